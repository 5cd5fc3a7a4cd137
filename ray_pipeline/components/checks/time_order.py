"""Rows of validation or test that are earlier than training rows."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.data.rows import TIME
from ray_pipeline.values import PARTS


class TimeOrder(Check):
    """A part has rows that are earlier than the last training row; a model in use never knows the future.

    High if the part is earlier than train by the median, medium if the two overlap.
    """

    fix = "split by time, or leave labels.time out if the order of rows means nothing"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding: for test, else for validation."""
        if spec.split.by == "time" or TIME not in profile.sample.column_names:
            return
        train = numbers(profile.sample[TIME])
        last, length = profile.time_ranges.get("train", ["", ""])[1], np.ptp(train)
        for part in (PARTS[2], PARTS[1]):
            sample = profile.evaluation_samples.get(part)
            if sample is None or min(sample.num_rows, len(train)) < MIN_ROWS:
                continue
            times = numbers(sample[TIME])
            earlier = float((times < train.max()).mean())
            before = np.median(times) < np.median(train) - 0.25 * length
            if earlier > 0.01:
                rows = round(earlier * profile.parts[part])
                found = (
                    f"about {rows:,} {part} rows ({earlier:.0%}) are earlier than the last training row ({last}), since"
                    f" the split is {spec.split.by}"
                )
                yield self.finding("high" if before else "medium", spec.features.labels.time, rows, found)
                return
