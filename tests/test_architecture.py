"""The shape of the package holds: layers, light imports, one class a file, short files, nothing that runs text as
code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ray_pipeline
from ray_pipeline.components.choice import Choice, UnknownChoice, find, menu

PACKAGE = Path(ray_pipeline.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = (
    "sources",
    "splitters",
    "encoders",
    "column_encodings",
    "models",
    "metrics",
    "slices",
    "calibrators",
    "checks",
)
HEAVY = {"ray", "pandas", "torch", "mlflow", "xgboost", "optuna"}
MAX_LINES = 330


@pytest.mark.parametrize("module", ["ray_pipeline", "ray_pipeline.cli", "ray_pipeline.spec"])
def test_an_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, json, {module}; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(loaded.stdout))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_a_choice_folder_has_the_one_class_that_find_returns(folder: str) -> None:
    assert (
        menu(folder)
        == tuple(
            sorted(
                path.stem for path in (PACKAGE / "components" / folder).glob("*.py") if not path.stem.startswith("_")
            )
        )
        != ()
    )
    for word in menu(folder):
        written = ast.parse((PACKAGE / "components" / folder / f"{word}.py").read_text()).body
        found = find(folder, word)
        public = [node.name for node in written if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        assert found.__name__ in public and issubclass(found, Choice) and found.__doc__ and found.model_config["frozen"]
    with pytest.raises(UnknownChoice, match="Known: "):
        find(folder, "no_such_word")


def test_imports_point_down_and_mlflow_and_ray_have_their_doors() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_file_is_short_and_says_its_idea_first() -> None:
    long = {
        str(path.relative_to(PACKAGE)): n for path in FILES if (n := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}
    silent = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if (text := path.read_text()).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_nothing_is_unpickled_and_no_text_is_run_as_code() -> None:
    modules, calls, methods = (
        {"pickle", "cloudpickle", "marshal", "shelve", "dill", "joblib"},
        {"eval", "exec", "__import__"},
        {"system", "popen"},
    )
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong = any(name.partition(".")[0] in modules for name in names)
            if isinstance(node, ast.Call):
                wrong = isinstance(node.func, ast.Name) and node.func.id in calls
                wrong |= (
                    isinstance(node.func, ast.Attribute)
                    and node.func.attr in methods
                    and ast.unparse(node.func.value) == "os"
                )
                wrong |= any(
                    word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                    for word in node.keywords
                )
            if wrong:
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)[:80]}")  # type: ignore[attr-defined]
    assert found == []
