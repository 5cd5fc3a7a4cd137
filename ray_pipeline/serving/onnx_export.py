"""Export a registered model as one ONNX file, and prove it: onnxruntime must give the model's scores."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_pipeline.bundle import Bundle
from ray_pipeline.column_types import kind_of, type_named
from ray_pipeline.components.column_encodings._columns import as_declared, numbers
from ray_pipeline.components.models._xgboost_file import read_booster
from ray_pipeline.components.sources._base import kind_at, source_of
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import PART
from ray_pipeline.data.split import split
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError, StorageError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import PARTS

if TYPE_CHECKING:
    from ray_pipeline.registry.registry import Registry

FAMILIES = ("xgboost",)
TOLERANCE = 1e-5
"""The largest allowed difference of a score, of its size or of 1. Sums of float32 differ with their order."""


def export_onnx(
    registry: "Registry", model: str, out: Path, rows: Path | None = None, where: Where | None = None
) -> dict[str, Any]:
    """Write a registered model as an ONNX file, after onnxruntime gave its scores.

    They are compared on the rows that are stored with the version, and on the rows of the test part, read again from
    the tables of the model's own spec.

    Parameters
    ----------
    registry
        Where the model is registered.
    model
        `name@alias`, `name/version` or `models:/...`.
    out
        The file to write.
    rows
        A Parquet or CSV file with the columns of the model, whose rows are compared in place of those of the test part.
    where
        Says where the paths of the tables start; unless given, at the folder of the spec.

    Returns
    -------
    dict
        `out`, `rows` (how many were compared), `test_rows` (how many of them are of the test part), `not_compared` (why
        the test part was not, or None), `empty_texts` (rows left out for an empty text), `largest_difference` of a
        score, `decisions_differ` and `bytes`.

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
    stored = pq.read_table(folder.parents[1] / "verification" / "rows.parquet")
    found = compare_all(bundle, content, [stored] if rows is None else [stored, _rows_of(rows, bundle)])
    test, reason = Compared(), None
    if rows is None:
        try:
            test = compare_all(bundle, content, _test_rows(bundle, where or Where()))
        except PipelineError as error:  # the tables have gone, or are of another form by now
            reason = error.problems[0].found
    found += test
    if found.largest > TOLERANCE:
        raise SpecError(
            Problem(stage="export", found=f"onnxruntime differs by {found.largest:.2g}", fix="report it with the model")
        )
    _write(out, content)
    return {
        "out": str(out),
        "rows": found.rows,
        "test_rows": test.rows,
        "not_compared": reason,
        "empty_texts": found.empty_texts,
        "largest_difference": found.largest,
        "decisions_differ": found.decisions,
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


@dataclass(frozen=True)
class Compared:
    """Rows that the model and onnxruntime have scored: the largest difference, and how many decisions differ."""

    rows: int = 0
    largest: float = 0.0
    decisions: int = 0
    empty_texts: int = 0
    """Other rows, with an empty text in a category: a missing value to ONNX, an unknown one to the model."""

    def __add__(self, other: "Compared") -> "Compared":
        """The counts of both."""
        largest = max(self.largest, other.largest)
        empty_texts = self.empty_texts + other.empty_texts
        return Compared(self.rows + other.rows, largest, self.decisions + other.decisions, empty_texts)


def compare_all(bundle: Bundle, content: bytes, tables: Iterable[pa.Table]) -> Compared:
    """Compare the scores of all rows of the tables; see `compare`."""
    found = Compared()
    for rows in tables:
        empty = _has_empty_text(bundle, rows)
        alike = rows.filter(pc.invert(empty))
        found += Compared(len(alike), *compare(bundle, content, alike), len(rows) - len(alike))
    return found


def _has_empty_text(bundle: Bundle, rows: pa.Table) -> pa.Array:
    """Whether a category of each row is the empty text; shape (rows,)."""
    table, found = bundle.select(rows), np.zeros(len(rows), bool)
    for encoding in bundle.encoder.encoded:
        if encoding.kind == "category" and kind_of(table[encoding.name].type) == "text":
            found |= pc.fill_null(pc.equal(table[encoding.name], ""), False).to_numpy()
    return pa.array(found)


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


def _test_rows(bundle: Bundle, where: Where) -> Iterator[pa.Table]:
    """The rows of the test part with the columns of the model, some at a time; no Ray is started.

    Raises
    ------
    PipelineError
        The tables cannot be read, or one of them is too large to be joined in memory.
    """
    folder = Path(bundle.schema["base"])
    spec = Spec.from_text(bundle.schema["spec"], file="spec.yaml", folder=folder, trust=where.trust)
    table = read(spec, where)
    if large := [name for name, plan in table.plans.items() if plan.how != "broadcast"]:
        found = f"the table {large[0]} is too large to be joined in memory"
        raise DataError(Problem(stage="export", found=found, fix="name rows with --rows"))
    table = split(table, spec, with_ray=False)
    with table.locating_errors():
        for block in table.tables():
            rows, _ = table.row_builder(block)
            yield rows.filter(pc.equal(rows[PART], PARTS.index("test")))


def _rows_of(file: Path, bundle: Bundle) -> pa.Table:
    """The columns of the model in a file, by their full or their bare names."""
    path = str(file.absolute())
    types = {name: type_ for name in bundle.columns if (type_ := type_named(bundle.types[name])) is not None}
    types |= {name.rpartition(".")[2]: type_ for name, type_ in types.items()}
    names = {*bundle.columns, *(name.rpartition(".")[2] for name in bundle.columns)}
    table = InputTable.open(source_of(kind_at(path), "rows", path).with_types(types))
    return table.rows([name for name in table.schema.names if name in names])


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
