"""Finite numbers that float32 cannot hold."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MAX_FLOAT32 = float(np.finfo(np.float32).max)


class TooLarge(Check):
    """The column exceeds float32, the type in which all models compute."""

    fix: ClassVar = "scale it, or take its logarithm"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding for each column."""
        for name in varying(profile):
            column = profile.columns[name]
            if column.low is None or column.high is None or kind_of(profile.types[name]) != "number":
                continue
            if (reach := max(-column.low, column.high)) > MAX_FLOAT32:
                yield self.finding("high", name, column.rows, f"{name} reaches {reach:.3g}, which float32 cannot hold")
