"""Times among the features that are later than the moment of prediction."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import numbers
from ray_pipeline.data.rows import TIME


class FutureTime(Check):
    """A feature's time is later than `labels.time` in some row; a date counts as its first moment."""

    fix = "leave it out; if it was planned ahead, like a due date, name it in checks.ignore"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        if TIME not in profile.sample.column_names:
            return
        moment = numbers(profile.sample[TIME])
        for name in varying(profile, "time"):
            times = numbers(profile.sample[name])
            if later := int((times > moment).sum()):
                where = f"{later:,} of {np.isfinite(times).sum():,} sampled rows"
                yield self.finding("high", name, later, f"{name} is later than {spec.features.labels.time} in {where}")
