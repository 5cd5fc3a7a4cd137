"""Times among the features that are later than the moment of prediction."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.checks._numbers import numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import TIME
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class FutureTime(Check):
    """A feature's time is later than `labels.time` in some row; a date counts as its first moment."""

    fix: ClassVar = "leave it out; if it was planned ahead, like a due date, name it in checks.ignore"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding for each column."""
        if TIME not in profile.sample.column_names:
            return
        moment = numbers(profile.sample[TIME])
        for name in varying(profile):
            if kind_of(profile.types[name]) != "time":
                continue
            times = numbers(profile.sample[name])
            if later := int((times > moment).sum()):
                where = f"{later:,} of {np.isfinite(times).sum():,} sampled rows"
                yield self.finding("high", name, later, f"{name} is later than {spec.features.labels.time} in {where}")
