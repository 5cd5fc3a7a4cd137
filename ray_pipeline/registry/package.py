"""What a registered version consists of: an MLflow model folder with the bundle, the code that scores it, and rows to
prove it by.

model/
  MLmodel, python_env.yaml, requirements.txt    MLflow's own
  pyfunc_model.py, code/ray_pipeline/           what scoring needs, and no more: neither ray nor mlflow nor this module
  artifacts/bundle/                             the bundle
  verification/{rows.parquet, scores.npy}       rows and the scores that training gave them
  SHA256SUMS                                    of all of these
"""

import ast
import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import SUMS, Bundle, check_sums, sums
from ray_pipeline.components.choice import find
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.private_mlflow import ADDED_FILE
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


def pack(bundle: Bundle, sample: pa.Table, scores: Vector, folder: Path) -> Path:
    """The folder `model` under `folder`, ready to be stored; `scores` are those of the training run for the rows of
    `sample`, of which 256 are kept."""
    import mlflow.pyfunc
    import pyarrow.parquet as pq

    scoring_code(folder / "code" / PACKAGE.name)
    shutil.copytree(bundle.folder, folder / "bundle")
    model = folder / "model"
    mlflow.pyfunc.save_model(
        model,
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"bundle": str(folder / "bundle")},
        code_paths=[str(folder / "code" / PACKAGE.name)],
        signature=signature(bundle),
        pip_requirements=requirements(bundle),
        metadata={"ray_pipeline": {"bundle": bundle.fingerprint, "columns": list(bundle.schema["columns"])}},
    )
    verification = model / "verification"
    verification.mkdir()
    pq.write_table(bundle.select(sample).slice(0, ROWS), verification / "rows.parquet")
    np.save(verification / "scores.npy", np.ascontiguousarray(scores[:ROWS], np.float64), allow_pickle=False)
    (model / SUMS).write_text(sums(model), encoding="utf-8")
    return model


def check(model: Path) -> str:
    """The version's own fingerprint, once every file of the folder was found as it was stored."""
    files = {path.relative_to(model) for path in model.rglob("*") if path.is_symlink() or path.is_file()}
    if not files:
        raise RegistryError(
            Problem(
                file=str(model),
                found="the version's files are gone",
                fix="restore the registry's artifacts, or register the run again",
            )
        )
    # MLflow and Python add files to the folder of a model that is loaded from there.
    stored = {
        path.as_posix()
        for path in files
        if path.as_posix() not in (SUMS, ADDED_FILE) and "__pycache__" not in path.parts
    }
    return check_sums(model, stored)


def scoring_code(target: Path) -> None:
    """Copies the package's files that scoring imports: the seeds, and what modules import at their top, to the end."""
    waiting = {file for seed in SEEDS for file in PACKAGE.glob(seed)}
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        found.add(file)
        parents = {folder / "__init__.py" for folder in file.parents if folder.is_relative_to(PACKAGE)}
        waiting |= ({path for path in parents if path.exists()} | _imported(file)) - found
    for file in sorted(found):
        copy = target / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _imported(file: Path) -> set[Path]:
    """The package's files that a module imports when it is itself imported."""
    modules: list[str] = []
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            modules += [name.name for name in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            modules += [statement.module, *(f"{statement.module}.{name.name}" for name in statement.names)]
    paths = {PACKAGE.joinpath(*module.split(".")[1:]) for module in modules if module.partition(".")[0] == PACKAGE.name}
    return {file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()}


def requirements(bundle: Bundle) -> list[str]:
    """The pinned packages that scoring imports, as installed here."""
    family = find("models", bundle.model["family"])
    readers = {"safetensors"} if family.file.endswith(".safetensors") else set()
    return sorted(_pinned(name) for name in {*LIBRARIES, *readers, family.library})


def _pinned(library: str) -> str:
    """The installed package of that name, or else the one that brings the module of that name (whose search takes
    seconds)."""
    try:
        return f"{library}=={importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        package = importlib.metadata.packages_distributions()[library][0]
        return f"{package}=={importlib.metadata.version(package)}"


def signature(bundle: Bundle) -> Any:
    """MLflow's signature: every column may be null or absent there, so that our own message names what is missing.

    Numbers and booleans are `any`: MLflow would refuse integers for doubles and nulls among integers, and turn a null
    boolean to false.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec

    def kind(written: str) -> Any:
        if "string" in written:
            return "string"
        return "datetime" if written.startswith(("timestamp", "date")) else AnyType()

    columns = [ColSpec(kind(column["type"]), column["name"], required=False) for column in bundle.schema["columns"]]
    shape = (-1, len(bundle.schema["classes"])) if bundle.schema["task"] == "multiclass" else (-1,)
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype(np.float64), shape)]))
