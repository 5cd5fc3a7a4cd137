"""The unit in which trees train squared error: a label that varies little is multiplied by a power of two.

XGBoost makes no split whose gain is below 1e-6 (`kRtEps`, src/tree/param.h), and a gain has the unit of the squared
label; LightGBM's default spaces hold an L1 penalty of at least 1e-4, which has the unit of the label. Both give all
rows one score where a label varies by 1e-9, XGBoost also at 1e-4 on few rows (`benchmarks/bench_units.py`). A power of
two changes no bit of what is trained but the exponents.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ray_pipeline.components.models._base import Scores
from ray_pipeline.encoded_block import EncodedBlock

LEAST_SPREAD = 2.0**-6
"""Labels with a lower standard deviation are multiplied until it is about 1."""


def factor_of(blocks: Sequence[EncodedBlock], sum_over_workers: Callable[[Scores], Scores]) -> float:
    """Return the power of two by which squared error multiplies the labels, 1 for nearly all tables.

    Parameters
    ----------
    blocks
        The training rows of this worker.
    sum_over_workers
        Adds an array over all workers.
    """
    sums = [[len(block.label), block.label.sum()] for block in blocks]
    rows, total = sum_over_workers(np.array(sums, np.float64).reshape(-1, 2).sum(axis=0))
    squares = [np.square(block.label - total / rows).sum() for block in blocks]
    spread = math.sqrt(sum_over_workers(np.array([sum(squares)], np.float64))[0] / rows)
    return 2.0 ** -round(math.log2(spread)) if 0 < spread < LEAST_SPREAD else 1.0
