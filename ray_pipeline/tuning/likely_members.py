"""The members that an ensemble would have now: of `search.time` so much is kept as their refits take, and no more."""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.ensemble_selection import Caps, Worth, select
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.trial_store import SCORES_FILE

ROWS = 5_000
"""Rows of validation to look at: on so many, ten trials take 0.1 s."""


class LikelyMembers:
    """Selects among finished trials as an ensemble will, on some rows of validation and without regard to costs."""

    def __init__(self, rows: EncodedRows, spec: Spec, models: Path) -> None:
        """`models` is the folder of the trials' models and scores."""
        self.rows, self.spec, self.models = rows, spec, models
        self.every = math.ceil(max(rows.rows["validation"], 1) / ROWS)
        self._last: tuple[list[int], list[TrialResult]] = [], []

    def __call__(self, trials: Sequence[TrialResult]) -> list[TrialResult]:
        """Return the members among these trials, the best of which comes first; all of them if scores are missing.

        In a run that goes on, a trial that was a candidate may have lost its files to one that comes later.
        """
        numbers = [one.trial for one in trials]
        if self._last[0] != numbers:
            self._last = numbers, self._select(trials)
        return self._last[1]

    def _select(self, trials: Sequence[TrialResult]) -> list[TrialResult]:
        files = [self.models / f"{one.trial:04d}" / SCORES_FILE for one in trials]
        if self.spec.ensemble == "off" or len(files) < 2 or not all(file.is_file() for file in files):
            return list(trials)
        scores = [np.load(file, mmap_mode="r", allow_pickle=False)[:: self.every] for file in files]
        weights = select(scores, self._worth, Caps(members=self.spec.ensemble.members))
        return [trials[place] for place in weights]

    @cached_property
    def _worth(self) -> Worth:
        def take(table: pa.Table, first: int) -> pa.Table:
            return table.take(np.arange(-first % self.every, table.num_rows, self.every))

        metric = metric_of(self.spec.search.metric)
        blocks = self.rows.part("validation", next(iter(self.rows.encoders)), take)
        label, weight = (encoded_block.column(blocks, name) for name in (encoded_block.LABEL, encoded_block.WEIGHT))
        return lambda scores: metric.sign * float(metric(label, scores, weight))
