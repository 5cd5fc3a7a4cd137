"""The scored rows of the test part, from `predictions/*.parquet`: only the columns that the pictures need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_pipeline.hashing import mix
from ray_pipeline.report.run_files import RunFiles, nested, number

MAX_ROWS = 2_000_000
"""Of a larger part one in two, three ... rows is read: a picture has some hundred points."""


@dataclass(frozen=True, kw_only=True)
class StoredPredictions:
    """The rows of the test part that have both a label and a prediction.

    Parameters
    ----------
    task
        `binary`, `multiclass` or `regression`.
    classes
        Names of the classes; empty for a regression, and for a binary model without names.
    label
        0 or 1, the index of the class, or the number; shape (rows,).
    score
        The probability or the number, shape (rows,); empty for several classes, whose scores no picture needs.
    decision
        0 or 1, or the index of the class, shape (rows,); None for a regression, and for a model without a threshold.
    weight
        Ones if the run has no weights; shape (rows,).
    weighted
        Whether the run has weights.
    every
        One in so many rows of the part is here.
    """

    task: str
    classes: tuple[str, ...]
    label: NDArray[np.float64]
    score: NDArray[np.float64]
    decision: NDArray[np.int64] | None
    weight: NDArray[np.float64]
    weighted: bool
    every: int

    @classmethod
    def read(cls, files: RunFiles) -> "StoredPredictions":
        """Read the predictions of a run.

        Raises
        ------
        ValueError
            They are absent, unreadable or lack a column. The page shows the message.
        """
        task = str(files.schema.get("task") or files.spec.get("task"))
        columns, every = _read_columns(files, {"label", "decision"} if task == "multiclass" else {"label", "score"})
        weighted = "weight" in columns
        weight = np.nan_to_num(columns["weight"].astype(float)) if weighted else np.ones(len(columns["label"]))
        classes = tuple(str(name) for name in files.schema.get("classes") or ())
        if task == "multiclass":
            texts = np.concatenate([columns["label"].astype(str), columns["decision"].astype(str)])
            classes = classes or tuple(str(name) for name in np.unique(texts))
            index, decided = _indices(columns["label"], classes), _indices(columns["decision"], classes)
            kept = (index >= 0) & (decided >= 0)
            label, score, weight = index[kept].astype(float), np.empty(0), weight[kept]
            decision: NDArray[np.int64] | None = decided[kept]
        else:
            label, score = columns["label"].astype(float), columns["score"].astype(float)
            decision = None if task == "regression" else _decision(columns, number(files.schema.get("threshold")))
        return cls(
            task=task if task in ("multiclass", "regression") else "binary",
            classes=() if task == "regression" else classes,
            label=label,
            score=score,
            decision=decision,
            weight=weight,
            weighted=weighted,
            every=every,
        )


def _read_columns(files: RunFiles, needed: set[str]) -> tuple[dict[str, NDArray[Any]], int]:
    """Label, score, decision and weight, as far as they are stored, of the rows that have all the needed ones; and of
    how many rows one was read."""
    paths = sorted((files.folder / "predictions").glob("*.parquet"))
    if not paths:
        raise ValueError("there are no predictions in the run folder")
    weight = ["weight"] if nested(files.spec, "features", "labels").get("weight") else []
    try:
        stored = pq.read_schema(paths[0]).names
        names = [name for name in ("label", "score", "decision", *weight) if name in stored]
        every = max(1, -(-sum(pq.read_metadata(path).num_rows for path in paths) // MAX_ROWS))
        table = pa.concat_tables([piece for path in paths for piece in _pieces(path, names, every)])
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"the predictions cannot be read: {str(error).splitlines()[0]}") from None
    if absent := sorted(needed - set(names)):
        raise ValueError(f"the predictions have no column {', '.join(absent)}")
    for name in needed:
        table = table.filter(pc.invert(pc.is_null(table[name], nan_is_null=True)))
    if not table.num_rows:
        raise ValueError("no row of the predictions has both a label and a score")
    return {name: table[name].to_numpy() for name in table.column_names}, every


def _pieces(path: Path, names: list[str], every: int) -> Iterator[pa.Table]:
    """About one in so many rows of a file, by a hash of their number."""
    with pq.ParquetFile(path) as file:
        begun = 0
        yield _without_dictionaries(file.schema_arrow.empty_table().select(names))
        for batch in file.iter_batches(columns=names):
            numbers = np.arange(begun, begun + len(batch), dtype=np.uint64)
            places = np.flatnonzero(mix(numbers) % np.uint64(every) == 0)
            begun += len(batch)
            yield _without_dictionaries(pa.Table.from_batches([batch]).take(places))


def _decision(columns: dict[str, NDArray[Any]], threshold: float) -> NDArray[np.int64] | None:
    """The stored decisions of a binary model, else those at the threshold; None if there is no threshold either."""
    if set(np.unique(columns["label"].astype(float))) - {0.0, 1.0}:
        raise ValueError("the labels in the predictions are not 0 and 1")
    if "decision" in columns and columns["decision"].dtype.kind in "biuf":
        return np.asarray(columns["decision"].astype(float) == 1, np.int64)
    return np.asarray(columns["score"].astype(float) >= threshold, np.int64) if np.isfinite(threshold) else None


def _without_dictionaries(table: pa.Table) -> pa.Table:
    """The table without dictionary encoding: the files of one part may have different dictionaries."""
    return table.cast(
        pa.schema(
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in table.schema
        )
    )


def _indices(values: NDArray[Any], classes: Sequence[str]) -> NDArray[np.int64]:
    """The class index of each value, -1 if it is unknown; a whole number that is no class name is an index already."""
    index_of = {name: i for i, name in enumerate(classes)}
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    if any(name not in index_of for name in distinct) and values.dtype.kind in "iu":
        index = values.astype(np.int64)
        return np.where((index >= 0) & (index < len(classes)), index, -1)
    found: NDArray[np.int64] = np.array([index_of.get(str(name), -1) for name in distinct], dtype=np.int64)[inverse]
    return found
