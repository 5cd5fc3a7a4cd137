"""The costs of serving a model: milliseconds a row, megabytes."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from timeit import repeat

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.models._base import Model, Scorer
from ray_pipeline.values import Matrix

CALLS = 50


@dataclass(frozen=True, kw_only=True)
class ServingCosts:
    """The costs of serving a model."""

    latency_ms: float
    """Milliseconds to score one row, encoding included: the median of 50 calls, on a row of nulls."""
    size_mb: float
    """Megabytes of the bundle's files."""

    @classmethod
    def of(cls, bundle: Bundle) -> "ServingCosts":
        """Measure latency and size of a bundle."""
        row = pa.table({column: pa.nulls(1) for column in bundle.columns})
        size = sum(file.stat().st_size for file in bundle.files)
        return cls(latency_ms=_median_ms(lambda: bundle.score(row)), size_mb=size / 1e6)


def row_ms(scorer: Scorer, row: Matrix) -> float:
    """Measure the milliseconds to score one encoded row, shape (1, columns): the median of 50 calls."""
    return round(_median_ms(lambda: scorer(row)), 3)


def row_ms_of(family: type[Model], model: bytes, row: Matrix) -> float:
    """Measure `row_ms` of a model that is not in a file yet; `model` is the content of the family's file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, family.file).write_bytes(model)
        return row_ms(family.load(Path(folder)), row)


def _median_ms(call: Callable[[], object]) -> float:
    return float(np.median(repeat(call, number=1, repeat=CALLS))) * 1e3
