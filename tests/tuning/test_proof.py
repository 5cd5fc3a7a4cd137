"""The proof that the bundle scores rows as the training run did, on rows that are not all different."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline import encoded_block
from ray_pipeline.data.rows import KEY
from ray_pipeline.errors import PipelineError
from ray_pipeline.tuning.refit import _prove

SAMPLE = pa.table({KEY: [7, 7, 9], "x": [0.5, 0.5, 1.0]})
"""Without a key column, equal rows have the same key."""


def proof_of(factor: float) -> Any:
    """The proof of a bundle whose scores are those of the training run times a factor."""
    keys = pa.table({encoded_block.KEY: pa.array([9, 7, 7])})
    block = SimpleNamespace(matrix=np.array([[1.0], [0.5], [0.5]]), rows=keys)
    encoded: Any = SimpleNamespace(
        profile=SimpleNamespace(sample=SAMPLE, evaluation_samples={}, declared={}),
        rows=SimpleNamespace(part=lambda part, encoder, select: [block]),
    )
    bundle: Any = SimpleNamespace(
        encoder=SimpleNamespace(needs_folds=False),
        select=lambda rows: rows,
        score=lambda rows: rows["x"].to_numpy() * factor,
        score_matrix=lambda matrix: matrix[:, 0],
    )
    return _prove(bundle, encoded, "trees")


def test_equal_rows_of_a_table_without_a_key_are_proved() -> None:
    assert proof_of(1.0).scores.tolist() == [0.5, 0.5, 1.0]


def test_another_score_is_refused() -> None:
    with pytest.raises(PipelineError, match="scores rows otherwise"):
        proof_of(1.001)
