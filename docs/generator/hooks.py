"""What MkDocs cannot do alone: pages that are made from the code, files from outside of docs/, notebooks, links.

Made pages exist only in the site. So they always say what the code says, and no stale copy is in the repository.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import cli_reference  # noqa: E402
import notebook  # noqa: E402
import python_reference  # noqa: E402
import run_reference  # noqa: E402
import spec_reference  # noqa: E402

MADE: dict[str, Callable[[], str]] = {
    "reference/spec.md": spec_reference.spec_page,
    "reference/cluster-file.md": spec_reference.cluster_page,
    "reference/command-line.md": cli_reference.page,
    "reference/python.md": python_reference.page,
    "reference/run-folder.md": run_reference.run_folder_page,
    "reference/exit-codes.md": run_reference.exit_codes_page,
}
"""The pages that are made from the code."""
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "README.md": "index.md",
}
"""Files outside of docs/ that are pages of the site."""
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add all pages that are not files of docs/."""
    for place, make in MADE.items():
        files.append(File.generated(config, place, content=make()))
    for source, place in PAGES.items():
        if place != "index.md":
            files.append(File.generated(config, place, content=(ROOT / source).read_text()))
    for file in sorted((ROOT / "cluster").iterdir()):
        files.append(File.generated(config, f"cluster/{file.name}", content=file.read_bytes()))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        page = Path(file.src_uri).with_suffix(".md").as_posix()
        files.append(File.generated(config, page, content=notebook.markdown(ROOT / "docs" / file.src_uri)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    source = next((source for source, place in PAGES.items() if place == here), f"docs/{here}")
    return LINK.sub(lambda link: _site_link(link[1], PurePosixPath(source), PurePosixPath(here)), markdown)


def _site_link(link: str, source: PurePosixPath, here: PurePosixPath) -> str:
    if "://" in link or link.startswith(("mailto:", "/")):
        return link
    target = os.path.normpath(source.parent / link)
    place = PAGES.get(target) or target.removeprefix("docs/")
    place = re.sub(r"\.ipynb$", ".md", place)
    return os.path.relpath(place, here.parent)
