"""What a registered version consists of: an MLflow model with the bundle, its scoring code and rows that prove it.

`MLmodel`, `python_env.yaml`, `requirements.txt` and the input examples are MLflow's own. `code/` holds what scoring
imports, and no more. `artifacts/bundle/` is the bundle; `verification/` holds rows and the training run's scores of
them; `SHA256SUMS` lists all files.
"""

import ast
import importlib.metadata
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.checksums import SUMS, check_sums, refuse, sums
from ray_pipeline.components.choice import find
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.private_mlflow import ADDED_FILE, without_comparison
from ray_pipeline.values import Vector

PACKAGE = Path(__file__).parents[1]
SEEDS = (
    "bundle.py",
    *(
        f"components/{folder}"
        for folder in ("calibrators/*.py", "encoders/*.py", "column_encodings/*.py", "models/**/*.py")
    ),
)
LIBRARIES = ("numpy", "pandas", "pyarrow", "pydantic", "scipy", "xxhash")
ROWS = 256
EXAMPLE_ROWS = 5


def pack(bundle: Bundle, sample: pa.Table, scores: Vector, folder: Path) -> Path:
    """Write the version's files to `model` under `folder`, and return that folder.

    Parameters
    ----------
    sample
        Rows before encoding; 256 of them are kept.
    scores
        The training run's scores of `sample`, shape (rows,) or (rows, classes).
    """
    import mlflow.pyfunc
    import pyarrow.parquet as pq

    rows = bundle.select(sample).slice(0, ROWS)
    scoring_code(folder / "code" / PACKAGE.name)
    shutil.copytree(bundle.folder, folder / "bundle")
    model = folder / "model"
    with without_comparison():
        mlflow.pyfunc.save_model(
            model,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(folder / "bundle")},
            code_paths=[str(folder / "code" / PACKAGE.name)],
            signature=signature(bundle),
            input_example=example(rows.slice(0, EXAMPLE_ROWS)),
            pip_requirements=requirements(bundle),
            metadata={"ray_pipeline": {"bundle": bundle.fingerprint, "columns": list(bundle.schema["columns"])}},
        )
    verification = model / "verification"
    verification.mkdir()
    pq.write_table(rows, verification / "rows.parquet")
    np.save(verification / "scores.npy", np.ascontiguousarray(scores[:ROWS], np.float64), allow_pickle=False)
    (model / SUMS).write_text(sums(model), encoding="utf-8")
    return model


def check(model: Path) -> str:
    """Return the version's fingerprint, the SHA-256 of its `SHA256SUMS`, after every file of the folder was checked.

    Raises
    ------
    RegistryError
        The folder is empty, or a file is missing, unlisted, a link or changed.
    """
    files = {path.relative_to(model) for path in model.rglob("*") if path.is_symlink() or path.is_file()}
    if not files:
        raise RegistryError(
            Problem(
                file=str(model),
                found="the version's files are gone",
                fix="restore the registry's artifacts, or register the run again",
            )
        )
    compiled = sorted(path.as_posix() for path in files if "__pycache__" in path.parts)
    fix = "remove it, and serve with PYTHONDONTWRITEBYTECODE=1: Python keeps it where a model is loaded from its folder"
    refuse(model, compiled, "was not stored, and would be run in place of the stored code", fix)
    # MLflow adds a file to the folder of a model that it loads from there.
    return check_sums(model, {path.as_posix() for path in files} - {SUMS, ADDED_FILE})


def warm_up() -> None:
    """Do what `pack` needs for every model: half of the time of the first registration of a process."""
    import mlflow.pyfunc  # noqa: F401
    import pandas  # noqa: F401

    scoring_files()


def scoring_code(target: Path) -> None:
    """Copy the package's files that scoring imports."""
    for file in scoring_files():
        copy = target / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


@cache
def scoring_files() -> tuple[Path, ...]:
    """Return the package's files that scoring imports: `SEEDS`, and recursively what they import at module level."""
    waiting = {file for seed in SEEDS for file in PACKAGE.glob(seed)}
    needed: set[Path] = set()
    while waiting:
        file = waiting.pop()
        needed.add(file)
        parents = {folder / "__init__.py" for folder in file.parents if folder.is_relative_to(PACKAGE)}
        waiting |= ({path for path in parents if path.exists()} | _imported(file)) - needed
    return tuple(sorted(needed))


def _imported(file: Path) -> set[Path]:
    """The package's files that a module imports at module level."""
    modules: list[str] = []
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            modules += [name.name for name in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            modules += [statement.module, *(f"{statement.module}.{name.name}" for name in statement.names)]
    paths = {PACKAGE.joinpath(*module.split(".")[1:]) for module in modules if module.partition(".")[0] == PACKAGE.name}
    return {file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()}


def requirements(bundle: Bundle) -> list[str]:
    """Return the packages that scoring imports, pinned to the versions that are installed here."""
    families = [find("models", family) for family in bundle.families]
    readers = {"safetensors"} if any(family.file.endswith(".safetensors") for family in families) else set()
    return sorted(_pinned(name) for name in {*LIBRARIES, *readers, *(family.library for family in families)})


def _pinned(library: str) -> str:
    """The installed package of that name, or else the package of the module of that name."""
    try:
        return f"{library}=={importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        package = importlib.metadata.packages_distributions()[library][0]  # this takes seconds
        return f"{package}=={importlib.metadata.version(package)}"


def signature(bundle: Bundle) -> Any:
    """Return MLflow's signature of the model, which says what comes out.

    It has no inputs: the bundle itself checks the columns. MLflow would change values before the bundle sees them: a
    null in `instances` becomes the text 'None', and a time loses its zone. It would also refuse CSV, categories of
    pandas, and whole numbers for fractions.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    shape = (-1, len(bundle.schema["classes"])) if bundle.schema["task"] == "multiclass" else (-1,)
    return ModelSignature(outputs=Schema([TensorSpec(np.dtype(np.float64), shape)]))


def example(rows: pa.Table) -> Any:
    """Return a pandas frame of the rows as JSON can hold them: times as text, decimals as floats, nulls as None."""
    import pandas as pd

    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_temporal(column.type):
            column = column.cast(pa.string())
        elif pa.types.is_decimal(column.type):
            column = column.cast(pa.float64(), safe=False)
        columns[name] = pd.Series(column.to_pylist(), dtype=object)
    return pd.DataFrame(columns)
