"""Encoded rows without a pipeline before them: a search and a fit can be tried on a table that needs no files."""

from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import ColumnSummary, Encoder
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.preprocessing.encode import Encoded

PARTS = ("train", "validation", "test")
SPEC = """\
name: toy
task: binary
features: {labels: {path: nowhere.parquet, label: late, key: row}}
split: {by: random}
model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}
search: {trials: 6, metric: auc, seed: 3}
"""


def encoders() -> dict[str, Encoder]:
    """An encoder for trees, of three numbers."""
    sample = np.linspace(-2, 2, 50)
    return {"trees": find("encoders", "trees").fit({name: ColumnSummary("number", 1, {}, sample) for name in "abc"})}


def encoded(rows: int = 3_000, num_blocks: int = 3, seed: int = 0) -> Encoded:
    """Blocks in the object store: three numbers, one in twenty missing, and a label that two of them decide with
    noise."""
    import ray

    rng = np.random.default_rng(seed)
    tables, counts = [], []
    for n in np.diff(np.linspace(0, rows, num_blocks + 1).astype(int)):
        matrix = rng.normal(size=(n, 3)).astype(np.float32)
        matrix[rng.random(n) < 0.05, 0] = np.nan
        label = (np.nan_to_num(matrix[:, 0]) + 0.5 * matrix[:, 1] ** 2 + rng.normal(0, 0.7, n) > 0.7).astype(float)
        part = np.sort(rng.choice(3, n, p=[0.6, 0.2, 0.2])).astype(np.int8)
        columns: dict[str, Any] = {
            packed.LABEL: label,
            packed.WEIGHT: np.ones(n),
            packed.PART: part,
            packed.KEY: np.arange(n),
            packed.CLUSTER: np.arange(n, dtype=np.uint64),
        }
        tables.append(packed.pack({"trees": matrix}, {name: pa.array(values) for name, values in columns.items()}))
        counts.append(tuple(int(c) for c in np.bincount(part, minlength=3)))
    totals = {part: sum(count[i] for count in counts) for i, part in enumerate(PARTS)}
    return Encoded(
        tuple(ray.put(table) for table in tables),
        tuple(counts),
        totals,
        sum(t.nbytes for t in tables),
        encoders(),
        (),
        0.0,
    )


def context(threads: int = 1, **more: Any) -> TrainingContext:
    """What every fit on those rows has in common."""
    return TrainingContext(
        "binary", 2, {word: encoder.cardinalities for word, encoder in encoders().items()}, threads, **more
    )
