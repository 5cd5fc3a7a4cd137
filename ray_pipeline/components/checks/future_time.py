"""Moments among the features that lie after the moment of prediction."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.checks._numbers import numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import TIME
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class FutureTime(Check):
    """A feature's own time is later than `labels.time` in some row; a date counts from its first moment."""

    fix: ClassVar = "leave it out; if it was planned ahead, like a due date, name it in checks.ignore"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding a column."""
        if TIME not in profile.sample.column_names:
            return
        moment = profile.sample[TIME]
        for name in varying(profile):
            if kind_of(profile.types[name]) != "time":
                continue
            values = profile.sample[name].filter(pa.array(np.isfinite(numbers(profile.sample[name]))))
            later = numbers(profile.sample[name]) > numbers(moment)
            if later.any():
                found = (
                    f"{name} is later than {spec.features.labels.time} in {later.sum():,} of {len(values):,} sampled"
                    " rows"
                )
                yield self.finding("high", name, later.sum(), found)
