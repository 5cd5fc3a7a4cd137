"""Every row is encoded once, for all trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline import encoded_block
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.data.labels import class_names
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME, WEIGHT
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.hashing import hash_values
from ray_pipeline.preprocessing.cache import cached_rows
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.fit_encoders import fit_encoders
from ray_pipeline.preprocessing.slice_names import clusters_of, name_slices, slice_edges
from ray_pipeline.profiling.label_folds import folds
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runtime.progress import stage
from ray_pipeline.runtime.ray_errors import own_errors
from ray_pipeline.runtime.tasks import task
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS

if TYPE_CHECKING:
    import ray

    from ray_pipeline.runs.context import Run


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The encoded rows, with the table and the profile that they were made from."""

    rows: EncodedRows
    table: Table
    profile: Profile
    edges: Mapping[str, Sequence[float]]
    """Inner bin edges of binned slice columns."""


@stage("encode")
def encode(table: Table, profile: Profile, spec: Spec, run: "Run") -> Encoded:
    """Fit the encoders and encode every row; rows that an earlier run encoded alike are used again.

    Raises
    ------
    DataError
        No column varies, or the files changed since the profile.
    """
    encoders = fit_encoders(profile, spec.encoders, table.own_encodings(spec))
    edges = slice_edges(spec.slices, table, profile)
    rows = cached_rows(run, spec, profile, encoders, lambda: encode_rows(table, profile, spec, encoders, edges))
    return Encoded(rows=rows, table=table, profile=profile, edges=edges)


def encode_rows(
    table: Table,
    profile: Profile,
    spec: Spec,
    encoders: Mapping[str, Encoder],
    edges: Mapping[str, Sequence[float]],
) -> EncodedRows:
    """Encode every row of every part: matrix, label, weight, key, part, bootstrap cluster and slice names."""

    def encode_block(block: pa.Table) -> pa.Table:
        return _encode_block(table.row_builder(block)[0], table, profile, spec, encoders, edges)

    with own_errors():
        encoded = table.dataset(encode_block, encoded_block.by_part).materialize()
    rows = {part: profile.parts[part] for part in PARTS}
    num_rows, counted = encoded.count(), sum(rows.values())
    if num_rows != counted:
        found = f"{num_rows:,} rows were encoded, but the profile counted {counted:,}"
        fix = "the files changed during the run; run again"
        raise DataError(Problem(stage="encode", rows=num_rows, found=found, fix=fix))
    blocks, block_rows, min_labels = _blocks_with_rows(encoded.to_arrow_refs())
    return EncodedRows(
        task=spec.task,
        label_name=spec.features.labels.label,
        classes=profile.classes,
        blocks=blocks,
        block_rows=block_rows,
        rows=rows,
        num_bytes=int(encoded.size_bytes() or 0),
        encoders=encoders,
        slice_columns=tuple(dict.fromkeys(table.canonical(c) for slice_ in spec.slices for c in slice_.columns)),
        min_label=min(min_labels),
    )


def _encode_block(
    rows: pa.Table,
    table: Table,
    profile: Profile,
    spec: Spec,
    encoders: Mapping[str, Encoder],
    edges: Mapping[str, Sequence[float]],
) -> pa.Table:
    rows = rows.take(pc.sort_indices(rows[PART]))  # stable: file order within each part
    train = rows[PART].to_numpy() == 0
    needs_folds = any(encoder.needs_folds for encoder in encoders.values())
    fold = np.where(train, folds(rows), -1).astype(np.int8) if needs_folds else None
    label = rows[LABEL]
    if spec.task == "multiclass":
        label = pc.index_in(class_names(label), pa.array(profile.classes, pa.string())).cast(pa.float64())
    columns = {
        encoded_block.LABEL: label,
        encoded_block.WEIGHT: rows[WEIGHT],
        encoded_block.KEY: rows[KEY],
        encoded_block.PART: rows[PART],
        encoded_block.CLUSTER: pa.array(clusters_of(rows, spec, table)),
    }
    if TIME in rows.column_names:
        columns[encoded_block.TIME] = rows[TIME].cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    group = getattr(spec.split, "group", None)
    if group and spec.evaluate.cluster and table.canonical(group) in rows.column_names:
        columns[encoded_block.GROUP] = pa.array(hash_values(rows[table.canonical(group)]))
    # Training rows come first, and are never sliced.
    blank = pa.nulls(int(train.sum()), pa.string())
    for column, names in name_slices(spec.slices, rows.filter(pc.greater(rows[PART], 0)), edges, table).items():
        named = pa.concat_arrays([blank, pa.array(names, pa.string())])
        columns[encoded_block.SLICE + column] = named.dictionary_encode()
    return encoded_block.pack({name: encoder.apply(rows, fold) for name, encoder in encoders.items()}, columns)


def _blocks_with_rows(
    blocks: "Sequence[ray.ObjectRef[pa.Table]]",
) -> "tuple[tuple[ray.ObjectRef[pa.Table], ...], tuple[tuple[int, ...], ...], tuple[float, ...]]":
    """The blocks that have rows, the rows of each part in each, and the smallest label of each.

    They are counted on the nodes where the blocks are. A piece of the table that `select` keeps nothing of leaves a
    block without rows, and then Ray Data's has no columns either.
    """
    import ray

    def facts(block: pa.Table) -> tuple[tuple[int, ...], float]:
        if not block.num_rows:
            return (0,) * len(PARTS), np.inf
        part = block[encoded_block.PART].to_numpy()
        if (part[1:] < part[:-1]).any():
            raise RuntimeError(f"an encoded block of {block.num_rows:,} rows is not ordered by part")
        rows = np.bincount(part, minlength=len(PARTS))
        return tuple(rows.tolist()), float(block[encoded_block.LABEL].to_numpy().min(initial=np.inf))

    count = task(facts)
    counted = zip(blocks, ray.get([count.remote(block) for block in blocks]), strict=True)
    kept = [(block, rows, label) for block, (rows, label) in counted if sum(rows)]
    refs, rows, labels = zip(*kept, strict=True)
    return refs, rows, labels
