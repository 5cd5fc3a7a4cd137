"""Step 3: fit the encoder from the profile by arithmetic, then encode every row once, for all trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find
from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.column_encodings._columns import DAY_US, kind_of, numbers
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.data.read import Table
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME, WEIGHT
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.hashing import hash_values
from ray_pipeline.profiling.block_summary import folds
from ray_pipeline.profiling.column_statistics import ColumnProfile
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runtime.session import own_errors
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS

if TYPE_CHECKING:
    import ray


@dataclass(frozen=True)
class Encoded:
    """Encoded rows of all parts, held in the object store as blocks that every slot reads without a copy."""

    blocks: "tuple[ray.ObjectRef[pa.Table], ...]"
    block_rows: tuple[tuple[int, ...], ...]
    """Rows of each part in each block, in the order of `PARTS`."""
    rows: Mapping[str, int]
    num_bytes: int
    encoders: Mapping[str, Encoder]
    """By the word that a family `needs`."""
    slice_columns: tuple[str, ...]
    min_label: float
    """Of any part's rows."""

    def fetch(self) -> list[pa.Table]:
        """The blocks, zero-copy."""
        import ray

        return ray.get(list(self.blocks))  # type: ignore[no-any-return]


def fit_encoders(
    profile: Profile, needs: Iterable[str], chosen: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Encoder]:
    """An encoder for each word that some family needs: of all columns but those that say nothing (all null, or one
    value in every training row).

    `chosen` are the options that a column has of its own, by its canonical name.
    """
    seen = {
        name: _seen(profile, name)
        for name, type_ in profile.types.items()
        if kind_of(type_) and _varies(profile.columns[name])
    }
    if not seen:
        raise DataError(
            Problem(
                stage="encode",
                found=f"none of {len(profile.types)} columns varies in the training rows",
                fix="name columns with more than one value",
            )
        )
    return {word: find("encoders", word).fit(seen, chosen) for word in dict.fromkeys(needs)}


def _varies(column: ColumnProfile) -> bool:
    return column.nulls < column.rows and not column.is_constant


def _seen(profile: Profile, name: str) -> ColumnSummary:
    kind, column = kind_of(profile.types[name]), profile.columns[name]
    assert kind is not None
    sample = (
        numbers(profile.sample[name]) if kind != "category" and name in profile.sample.column_names else np.empty(0)
    )
    unit = DAY_US if kind == "time" else 1
    deviation = float(np.sqrt(column.m2 / max(column.present, 1)))
    return ColumnSummary(
        kind,
        column.nulls + column.infinite,
        column.values,
        sample[~np.isnan(sample)],
        column.mean / unit,
        deviation / unit,
        profile.outcomes.get(name, {}),
    )


def encode(table: Table, encoders: Mapping[str, Encoder], profile: Profile, spec: Spec) -> Encoded:
    """Every row of every part, encoded: matrix, label, weight, key, part, bootstrap cluster, and what slices and bias
    need."""
    maker, classes = table.maker, pa.array(profile.classes, pa.string())
    edges = slice_edges(spec.slices, table, profile)
    multiclass = spec.task == "multiclass"

    def encode_block(block: pa.Table) -> pa.Table:
        rows, _ = maker(block)
        rows = rows.take(pc.sort_indices(rows[PART]))  # stable: file order within each part
        judged = rows.filter(pc.greater(rows[PART], 0))
        names = name_slices(spec.slices, judged, edges, table)
        blank = pa.nulls(rows.num_rows - judged.num_rows, pa.string())
        train = rows[PART].to_numpy() == 0
        fold = (
            np.where(train, folds(rows), -1).astype(np.int8)
            if any(encoder.needs_folds for encoder in encoders.values())
            else None
        )
        label = pc.index_in(rows[LABEL].cast(pa.string()), classes).cast(pa.float64()) if multiclass else rows[LABEL]
        return packed.pack(
            {word: encoder.apply(rows, fold) for word, encoder in encoders.items()},
            {
                packed.LABEL: label,
                packed.WEIGHT: rows[WEIGHT],
                packed.KEY: rows[KEY],
                packed.PART: rows[PART],
                packed.CLUSTER: pa.array(clusters_of(rows, spec, table)),
                **{
                    packed.SLICE + name: pa.concat_arrays([blank, pa.array(values, pa.string())]).dictionary_encode()
                    for name, values in names.items()
                },
            },
        )

    with own_errors():
        made = (
            table.blocks()
            .map_batches(encode_block, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)
            .materialize()
        )
    rows: dict[str, int] = {part: profile.parts[part] for part in PARTS}
    if made.count() != sum(rows.values()):
        raise DataError(
            Problem(
                stage="encode",
                rows=made.count(),
                found=f"{made.count():,} rows were encoded, but the profile counted {sum(rows.values()):,}",
                fix="the files changed during the run; run again",
            )
        )
    names = tuple(dict.fromkeys(table.canonical(c) for s in spec.slices for c in s.columns))
    blocks = tuple(made.to_arrow_refs())
    counted, least = zip(*_looked_at(blocks), strict=True)
    return Encoded(blocks, counted, rows, int(made.size_bytes() or 0), encoders, names, min(least))


def _looked_at(blocks: "Sequence[ray.ObjectRef[pa.Table]]") -> list[tuple[tuple[int, ...], float]]:
    """Of each block the rows of each part and the smallest label, found where the blocks are."""
    import ray

    def look(block: pa.Table) -> tuple[tuple[int, ...], float]:
        rows = np.bincount(block[packed.PART].to_numpy(), minlength=len(PARTS))
        return tuple(int(of_part) for of_part in rows), float(block[packed.LABEL].to_numpy().min(initial=np.inf))

    task = ray.remote(look)
    return ray.get([task.remote(block) for block in blocks])  # type: ignore[no-any-return]


def slice_edges(slices: Sequence[Slice], table: Table, profile: Profile) -> dict[str, list[float]]:
    """Bin edges of every binned slice column, from training rows."""
    return {
        column: profile.quantiles(table.canonical(column), bins)
        for slice_ in slices
        for column, bins in slice_.edges_needed.items()
    }


def name_slices(
    slices: Sequence[Slice], rows: pa.Table, edges: Mapping[str, list[float]], table: Table
) -> dict[str, Any]:
    """For each slice column, the name of each row's value, shape (n,) of str; columns as the user wrote them."""
    written = {
        column: rows[table.canonical(column)]
        for slice_ in slices
        for column in slice_.columns
        if table.canonical(column) in rows.column_names
    }
    seen = pa.table(written)
    return {column: names for slice_ in slices for column, names in slice_.name_of(seen, edges).items()}


def clusters_of(rows: pa.Table, spec: Spec, table: Table) -> NDArray[np.uint64]:
    """What each row is drawn together with in the bootstrap, (n,): `evaluate.cluster`, the split's group, the UTC day
    under a time split, else itself."""
    chosen = spec.evaluate.cluster or getattr(spec.split, "group", None)
    if chosen and table.canonical(chosen) in rows.column_names:
        return hash_values(rows[table.canonical(chosen)])
    if spec.split.by == "time":
        return hash_values(
            pa.array(rows[TIME].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy() // DAY_US)
        )
    return hash_values(rows[KEY])
