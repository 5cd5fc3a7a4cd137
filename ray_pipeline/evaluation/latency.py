"""What a model costs whoever serves it: milliseconds a row, megabytes."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.models._base import Model, Scorer
from ray_pipeline.values import Matrix

CALLS = 50


@dataclass(frozen=True, kw_only=True)
class ServingCosts:
    """What a model costs those who serve it."""

    latency_ms: float
    """Milliseconds to score one row, encoding included: the median of 50 calls, on a row of nulls."""
    size_mb: float
    """Megabytes of the bundle's files."""

    @classmethod
    def of(cls, bundle: Bundle) -> "ServingCosts":
        """Measure a bundle."""
        row = pa.table({column: pa.nulls(1) for column in bundle.columns})
        size = sum(file.stat().st_size for file in bundle.folder.iterdir())
        return cls(latency_ms=_median_ms(lambda: bundle.score(row)), size_mb=size / 1e6)


def row_ms(scorer: Scorer, row: Matrix) -> float:
    """Milliseconds to score one encoded row, shape (1, columns): the median of 50 calls."""
    return round(_median_ms(lambda: scorer(row)), 3)


def row_ms_of(family: type[Model], model: bytes, row: Matrix) -> float:
    """The same of a model that is no file yet."""
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / family.file).write_bytes(model)
        return row_ms(family.load(Path(made)), row)


def _median_ms(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds)) * 1e3
