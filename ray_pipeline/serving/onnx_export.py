"""Export a registered model as one ONNX file, and prove it: onnxruntime must give the model's scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.column_encodings._columns import as_declared, numbers
from ray_pipeline.components.models._xgboost_file import read_booster
from ray_pipeline.errors import Problem, SpecError, StorageError

if TYPE_CHECKING:
    from ray_pipeline.registry.registry import Registry

FAMILIES = ("xgboost",)
TOLERANCE = 1e-5
"""The largest allowed difference of a score, of its size or of 1. Sums of float32 differ with their order."""


def export_onnx(registry: "Registry", model: str, out: Path, rows: Path | None = None) -> dict[str, Any]:
    """Write a registered model as an ONNX file, after onnxruntime gave its scores.

    Parameters
    ----------
    registry
        Where the model is registered.
    model
        `name@alias`, `name/version` or `models:/...`.
    out
        The file to write.
    rows
        A Parquet or CSV file with the columns of the model. Its rows are compared besides the rows of the proof that
        are stored with the version.

    Returns
    -------
    dict
        `out`, `rows` (how many were compared), `largest_difference` of a score, `decisions_differ` and `bytes`.

    Raises
    ------
    SpecError
        The model cannot be exported, or the extra `onnx` is not installed.
    RegistryError
        There is no such model.
    """
    require_libraries()
    folder = registry.fetch(model)
    bundle = Bundle.load(folder)
    content = onnx_bytes(bundle)
    compared = [pq.read_table(folder.parents[1] / "verification" / "rows.parquet")]
    if rows is not None:
        compared.append(_rows_of(rows))
    found = [compare(bundle, content, table) for table in compared]
    largest = max(difference for difference, _ in found)
    if largest > TOLERANCE:
        raise SpecError(
            Problem(stage="export", found=f"onnxruntime differs by {largest:.2g}", fix="report it with the model")
        )
    _write(out, content)
    return {
        "out": str(out),
        "rows": sum(len(table) for table in compared),
        "largest_difference": largest,
        "decisions_differ": sum(count for _, count in found),
        "bytes": len(content),
    }


def require_libraries() -> None:
    """Raise `SpecError` if onnx or onnxruntime is not installed."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError:
        problem = Problem(key="--to", found="onnx is not installed", fix="pip install 'ray-pipeline[onnx]'")
        raise SpecError(problem) from None
    assert onnx


def onnx_bytes(bundle: Bundle) -> bytes:
    """Return the bundle as the content of an ONNX file; raises `SpecError` if a part of it has no form in ONNX."""
    from ray_pipeline.serving.onnx_graph import NotExportable, model_of
    from ray_pipeline.serving.onnx_trees import trees_of

    family = bundle.model["family"]
    if family not in FAMILIES:
        found = f"the family {family} cannot be exported to onnx; known: {', '.join(FAMILIES)}"
        raise SpecError(Problem(stage="export", found=found, fix="train one of these, or use the bundle's plain files"))

    booster = read_booster(bundle.folder / "model.ubj")
    try:
        made = model_of(bundle, trees_of(bytes(booster.save_raw("json"))))
    except NotExportable as error:
        raise SpecError(Problem(stage="export", found=str(error), fix="use the bundle's plain files")) from None
    return bytes(made.SerializeToString())


def compare(bundle: Bundle, content: bytes, rows: pa.Table) -> tuple[float, int]:
    """Return the largest difference of a score between onnxruntime and the bundle, and how many decisions differ.

    A difference is divided by the size of the score if that is above 1.
    """
    import onnxruntime

    table = bundle.select(rows)
    if not len(table):
        return 0.0, 0
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = session.run(None, feeds(bundle, table))
    score = bundle.score(table)
    difference = np.abs(given[0] - score) / np.maximum(np.abs(score), 1.0)
    decided = given[1] != np.asarray(bundle.decide(score)).astype(given[1].dtype) if len(given) > 1 else []
    return float(difference.max()), int(np.sum(decided))


def feeds(bundle: Bundle, table: pa.Table) -> Mapping[str, Any]:
    """Return the inputs of the ONNX model for rows that `Bundle.select` returned."""
    inputs: dict[str, Any] = {}
    for encoding in bundle.encoder.encoded:
        values = table[encoding.name]
        if encoding.declared:
            values = as_declared(encoding.name, values, encoding.kind)
        if encoding.kind == "category":
            texts = pc.fill_null(values.cast(pa.string()), "")
            inputs[encoding.name] = np.array(texts.to_pylist(), dtype=object)
        else:
            inputs[encoding.name] = numbers(values)
    return inputs


def _rows_of(file: Path) -> pa.Table:
    if file.suffix == ".csv":
        from pyarrow import csv

        return csv.read_csv(file)
    return pq.read_table(file)


def _write(out: Path, content: bytes) -> None:
    """Writes the file whole, by rename."""
    draft = out.with_name(f".{out.name}")
    try:
        draft.write_bytes(content)
        draft.replace(out)
    except OSError as error:
        raise StorageError(
            Problem(file=str(out), found=f"cannot be written: {error.strerror}", fix="name another file with --out")
        ) from None
