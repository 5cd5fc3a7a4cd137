"""The tutorials are what their script makes, they run without an error, and show nothing of the machine they ran on."""

import getpass
import importlib.util
import re
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ABSOLUTE = re.compile(r"(?<![\w/.<])/(?:tmp|home|root|usr|opt|var|work|Users)/\S*")


def read(file: Path) -> NotebookNode:
    """A valid notebook."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    return notebook


def outputs(notebook: NotebookNode) -> str:
    """All that the cells have shown, as text."""
    return "\n".join(str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)


def assert_ran(notebook: NotebookNode) -> None:
    """Every cell was executed, none with an error or a warning; nothing names the machine."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = outputs(notebook)
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert "'name': 'stderr'" not in shown
    assert ABSOLUTE.findall(shown) == []
    names = {socket.gethostname(), getpass.getuser()} - {"root"}
    assert [name for name in names if re.search(rf"\b{re.escape(name)}\b", shown)] == []


def test_every_tutorial_is_what_its_script_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_tutorials", FOLDER / "make.py")
    assert spec and spec.loader
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert [file.stem for file in NOTEBOOKS] == sorted(make.NOTEBOOKS)
    for file in NOTEBOOKS:
        made, stored = make.build(make.NOTEBOOKS[file.stem]), read(file)
        assert [(cell.cell_type, cell.source) for cell in stored.cells] == [
            (cell.cell_type, cell.source) for cell in made.cells
        ]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_stored_tutorial_was_executed_and_its_links_lead_somewhere(file: Path) -> None:
    notebook = read(file)
    assert_ran(notebook)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert links and [link for link in links if not (file.parent / link).exists()] == []
    assert file.stat().st_size < 100_000


@pytest.mark.slow
@pytest.mark.ray
def test_the_tutorials_run(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, FOLDER / "make.py", "--out", tmp_path], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    fresh = read(tmp_path / "first-model.ipynb")
    assert_ran(fresh)
    assert "registered</strong> as models:/adult_income/1; all gates passed" in outputs(fresh)
