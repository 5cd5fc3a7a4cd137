"""A notebook as Markdown: its texts, its code, and what the code has shown."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def markdown(file: Path) -> str:
    """Return the notebook as the Markdown of a page."""
    cells = nbformat.read(file, as_version=4).cells
    parts = [part for cell in cells for part in _parts(cell)]
    return "\n\n".join(parts) + f"\n\nThe page as a notebook: `docs/tutorials/{file.name}` in the repository.\n"


def _parts(cell: NotebookNode) -> list[str]:
    if cell.cell_type == "markdown":
        return [cell.source]
    return [f"```python\n{cell.source}\n```", *(_shown(output) for output in cell.outputs)]


def _shown(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    if "text/html" in output.data:
        shown = re.sub(r"<style.*?</style>", "", output.data["text/html"], flags=re.DOTALL)
        shown = re.sub(r'<a href="runs/[^>]*>(.*?)</a>', r"\1", shown)  # the run is not part of the site
        return "<div>" + re.sub(r"\s*\n\s*", "", shown) + "</div>"
    return f"```text\n{output.data['text/plain'].rstrip()}\n```"
