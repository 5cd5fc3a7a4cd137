"""Encoded rows without a pipeline before them: a search and a fit can be tried on a table that needs no files."""

from typing import Any, cast

import numpy as np
import pyarrow as pa
from profile_fixture import profile_of

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find
from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.data.table import Table
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.values import PARTS

SPEC = """\
name: toy
task: binary
features: {labels: {path: nowhere.parquet, label: late, key: row}}
split: {by: random}
model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}
search: {trials: 6, metric: auc, seed: 3}
"""


def encoders(*names: str) -> dict[str, Encoder]:
    """Encoders of three numbers; the one for trees unless others are named."""
    sample = np.linspace(-2, 2, 50)
    summaries = {
        name: ColumnSummary(kind="number", missing=1, counts={}, sample=sample, mean=0.0, deviation=1.2)
        for name in "abc"
    }
    return {name: find("encoders", name).fit(summaries) for name in names or ("trees",)}


def blocks(rows: int = 3_000, num_blocks: int = 3, seed: int = 0, *names: str) -> list[pa.Table]:
    """Three numbers, one in twenty missing, and a label that two of them decide with noise."""
    rng, made, first = np.random.default_rng(seed), [], 0
    for n in np.diff(np.linspace(0, rows, num_blocks + 1).astype(int)):
        matrix = rng.normal(size=(n, 3)).astype(np.float32)
        matrix[rng.random(n) < 0.05, 0] = np.nan
        label = (np.nan_to_num(matrix[:, 0]) + 0.5 * matrix[:, 1] ** 2 + rng.normal(0, 0.7, n) > 0.7).astype(float)
        part = np.sort(rng.choice(3, n, p=[0.6, 0.2, 0.2])).astype(np.int8)
        columns: dict[str, Any] = {
            packed.LABEL: label,
            packed.WEIGHT: np.ones(n),
            packed.PART: part,
            packed.KEY: np.arange(first, first + n),
            packed.CLUSTER: np.arange(first, first + n, dtype=np.uint64),
        }
        numbers = pa.table(
            {name: pa.array(matrix[:, at], mask=np.isnan(matrix[:, at])) for at, name in enumerate("abc")}
        )
        matrices = {
            name: matrix if name == "trees" else encoder.apply(numbers, None)
            for name, encoder in encoders(*names).items()
        }
        made.append(packed.pack(matrices, {name: pa.array(values) for name, values in columns.items()}))
        first += n
    return made


def encoded(rows: int = 3_000, num_blocks: int = 3, seed: int = 0, *names: str) -> EncodedRows:
    """The blocks in the object store, with a matrix for each of the named encoders."""
    import ray

    tables = blocks(rows, num_blocks, seed, *names)
    counts = [tuple(np.bincount(table[packed.PART].to_numpy(), minlength=3).tolist()) for table in tables]
    return EncodedRows(
        task="binary",
        label_name="late",
        classes=("0", "1"),
        blocks=tuple(ray.put(table) for table in tables),
        block_rows=tuple(counts),
        rows={part: sum(count[place] for count in counts) for place, part in enumerate(PARTS)},
        num_bytes=sum(table.nbytes for table in tables),
        encoders=encoders(*names),
        slice_columns=(),
        min_label=0.0,
    )


def with_profile(rows: EncodedRows) -> Encoded:
    """The rows with their profile, and no table: neither a search nor a fit reads one."""
    import ray

    table = pa.concat_tables(ray.get(list(rows.blocks)))
    label = pa.array(table[packed.LABEL].to_numpy() == 1)
    profile = profile_of({"a": table[packed.KEY].combine_chunks()}, label, table[packed.PART].to_numpy())
    return Encoded(rows=rows, table=cast(Table, None), profile=profile, edges={})


def context(threads: int = 1, **more: Any) -> TrainingContext:
    """What every fit on those rows has in common."""
    return TrainingContext(
        task="binary",
        num_classes=2,
        cardinalities={name: encoder.cardinalities for name, encoder in encoders().items()},
        threads=threads,
        **more,
    )
