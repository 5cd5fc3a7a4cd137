"""Columns that evaluation needs beside the scores: the slice names of each row, and its bootstrap cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.slices._base import Slice
from ray_pipeline.data.rows import KEY, TIME
from ray_pipeline.data.table import Table
from ray_pipeline.duration import DAY_US, STEP_US
from ray_pipeline.hashing import hash_values
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec


def slice_edges(slices: Sequence[Slice], table: Table, profile: Profile) -> dict[str, list[float]]:
    """Return the inner bin edges of every binned slice column, from training rows."""
    return {
        column: profile.quantiles(table.canonical(column), bins)
        for slice_ in slices
        for column, bins in slice_.edges_needed.items()
    }


def name_slices(
    slices: Sequence[Slice], rows: pa.Table, edges: Mapping[str, Sequence[float]], table: Table
) -> dict[str, Any]:
    """Name the value of each row, shape (n,) of str, for each slice column as the user wrote it."""
    written = {column: table.canonical(column) for slice_ in slices for column in slice_.columns}
    present = pa.table({column: rows[name] for column, name in written.items() if name in rows.column_names})
    return {column: names for slice_ in slices for column, names in slice_.name_of(present, edges).items()}


def clusters_of(rows: pa.Table, spec: Spec, table: Table) -> NDArray[Any]:
    """Return the bootstrap cluster of each row, shape (n,) uint64.

    It is `evaluate.cluster`, else the split's group, else the UTC day or the step under a time split, else the row.
    """
    chosen = spec.evaluate.cluster or getattr(spec.split, "group", None)
    if chosen and table.canonical(chosen) in rows.column_names:
        return hash_values(rows[table.canonical(chosen)])
    if spec.split.by == "time":
        micros = rows[TIME].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy()
        return hash_values(pa.array(micros // (STEP_US if spec.features.labels.time_unit == "step" else DAY_US)))
    return hash_values(rows[KEY])
