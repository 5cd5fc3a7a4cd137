"""The scored rows of the test part, read back from `predictions/*.parquet`, and only the columns that pictures need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.report.run_files import RunFiles, number, section

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Scored:
    """Label, score, decision and weight of n rows that have both a label and a score.

    `label`: 0/1, class index or number; `score`: (n,), probability or number ((n, classes) is left on disk: no picture
    needs it);
    `decision`: (n,) 0/1 or class index, absent for regression; `weight`: ones where the run has none.
    """

    task: str
    classes: tuple[str, ...]
    label: NDArray[np.float64]
    score: NDArray[np.float64]
    decision: NDArray[np.int64] | None
    weight: NDArray[np.float64]
    weighted: bool

    @classmethod
    def read(cls, files: RunFiles) -> "Scored":
        """The predictions of a run.

        Raises:
            ValueError: they are absent, unreadable or lack a column; the text is for people.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder, task = files.folder / "predictions", str(files.schema.get("task") or files.spec.get("task"))
        paths = sorted(folder.glob("*.parquet"))
        if not paths:
            raise ValueError("there are no predictions in the run folder")
        weight = section(files.spec, "features", "labels").get("weight")
        try:
            names = pq.read_schema(paths[0]).names
            wanted = [name for name in ("label", "score", "decision", *(["weight"] if weight else [])) if name in names]
            table = pa.concat_tables([_plain(pq.read_table(path, columns=wanted)) for path in paths])
        except (OSError, pa.ArrowInvalid) as error:
            raise ValueError(f"the predictions cannot be read: {str(error).splitlines()[0]}") from None
        needed = {"label", "decision"} if task == "multiclass" else {"label", "score"}
        if absent := sorted(needed - set(wanted)):
            raise ValueError(f"the predictions have no column {', '.join(absent)}")
        table = table.filter(_complete(table, sorted(needed)))
        if not table.num_rows:
            raise ValueError("no row of the predictions has both a label and a score")
        return _from_table(
            table, task, tuple(str(c) for c in files.schema.get("classes") or ()), number(files.schema.get("threshold"))
        )


def _from_table(table: "pa.Table", task: str, classes: tuple[str, ...], threshold: float) -> Scored:
    columns = {name: table[name].to_numpy() for name in table.column_names}
    ones = np.ones(table.num_rows)
    weighted = "weight" in columns
    weight = np.nan_to_num(columns["weight"].astype(float)) if weighted else ones
    if task == "multiclass":
        known = classes or tuple(
            sorted({str(value) for name in ("label", "decision") for value in np.unique(columns[name].astype(str))})
        )
        label, decision = _indices(columns["label"], known), _indices(columns["decision"], known)
        kept = (label >= 0) & (decision >= 0)
        return Scored(task, known, label[kept].astype(float), np.empty(0), decision[kept], weight[kept], weighted)
    label, score = columns["label"].astype(float), columns["score"].astype(float)
    if task == "regression":
        return Scored(task, (), label, score, None, weight, weighted)
    if set(np.unique(label)) - {0.0, 1.0}:
        raise ValueError("the labels in the predictions are not 0 and 1")
    decided = (
        columns["decision"].astype(float) == 1
        if "decision" in columns and columns["decision"].dtype.kind in "biuf"
        else None
    )
    if decided is None and np.isfinite(threshold):
        decided = score >= threshold
    return Scored(
        "binary", classes, label, score, None if decided is None else decided.astype(np.int64), weight, weighted
    )


def _plain(table: "pa.Table") -> "pa.Table":
    """The table with its dictionaries written out: files of one part may differ in theirs."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _complete(table: "pa.Table", names: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = pa.chunked_array([pa.repeat(True, table.num_rows)])
    for name in names:
        kept = pc.and_(kept, pc.invert(pc.is_null(table[name], nan_is_null=pa.types.is_floating(table[name].type))))
    return kept


def _indices(values: NDArray[Any], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class index of each value, -1 where unknown; a whole number that is no class name is an index already."""
    words = values.astype(str)
    place = {name: i for i, name in enumerate(classes)}
    distinct, inverse = np.unique(words, return_inverse=True)
    if any(word not in place for word in distinct) and values.dtype.kind in "iu":
        index = values.astype(np.int64)
        return np.where((index >= 0) & (index < len(classes)), index, -1)
    found: NDArray[np.int64] = np.array([place.get(str(word), -1) for word in distinct], dtype=np.int64)[inverse]
    return found
