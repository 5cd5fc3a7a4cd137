"""Judged rows that are earlier than training rows."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ray_pipeline.components.checks._base import Check
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.data.rows import TIME
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS, Finding


class TimeOrder(Check):
    """High where a part is earlier than train as a whole (by the median), medium where the two overlap: a model in use
    never knows what comes after."""

    fix: ClassVar = "split by time, or do without labels.time if the order of rows means nothing"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding: of test, or else of validation."""
        if spec.split.by == "time" or TIME not in profile.sample.column_names:
            return
        train = numbers(profile.sample[TIME])
        last, span = profile.time_ranges.get("train", ["", ""])[1], np.ptp(train)
        for part in (PARTS[2], PARTS[1]):
            judged = profile.evaluation_samples.get(part)
            if judged is None or min(judged.num_rows, len(train)) < MIN_ROWS:
                continue
            times = numbers(judged[TIME])
            earlier = float((times < train.max()).mean())
            before = np.median(times) < np.median(train) - 0.25 * span
            if earlier > 0.01:
                rows = round(earlier * profile.parts[part])
                found = (
                    f"about {rows:,} {part} rows ({earlier:.0%}) are earlier than the last training row ({last}), since"
                    f" the split is {spec.split.by}"
                )
                yield self.finding("high" if before else "medium", spec.features.labels.time, rows, found)
                return
