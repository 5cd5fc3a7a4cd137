"""The proof that a bundle scores as training did: rows as they were read, and the scores of their encoded form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block
from ray_pipeline.bundle import Bundle
from ray_pipeline.data.rows import KEY
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.values import Vector

SAMPLE_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a registered version must repeat, bit for bit."""

    sample: pa.Table
    """Training rows with the bundle's columns, as they were read."""
    scores: Vector
    """Their scores, from the rows as the training run encoded them."""


def prove(bundle: Bundle, encoded: Encoded, encoder: str) -> Proof:
    """Make the proof on 100 training rows.

    Raises
    ------
    PipelineError
        The bundle scores a row otherwise, by a bit, than the run that encoded it.
    """
    rows = encoded.profile.sample.slice(0, SAMPLE_ROWS)
    keys = rows[KEY].combine_chunks()

    def with_keys(table: pa.Table, first: int) -> pa.Table:
        own = table[encoded_block.KEY]
        return table.filter(pa.compute.is_in(own, keys.cast(own.type)))

    scores: list[Any] = [None] * len(keys)
    place = {key: number for number, key in enumerate(keys.to_pylist())}
    for block in encoded.rows.part("train", encoder, with_keys):
        scored = bundle.score_matrix(np.ascontiguousarray(block.matrix))
        for key, score in zip(block.rows[encoded_block.KEY].to_pylist(), scored, strict=True):
            scores[place[key]] = score
    trained, sample = np.asarray(scores, np.float64), bundle.select(rows)
    if not np.array_equal(trained, bundle.score(sample)):
        found = "the bundle scores rows otherwise than the training run did"
        fix = "report this: it is a bug of ray-pipeline"
        raise PipelineError(Problem(stage="register", rows=len(sample), found=found, fix=fix))
    return Proof(sample=sample, scores=trained)
