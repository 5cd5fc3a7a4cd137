"""Columns whose values in validation or test never occur in train, or lie outside its range."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.values import PARTS

MAX_DISTINCT = 50


class OutsideTrain(Check):
    """No value of the part is known from train, for instance the month under a split by time.

    A number or time is known if it lies in the range of train; with at most 50 values in train, if it is one of them.
    """

    fix = "leave it out, or replace it by something that repeats, such as the time since an event"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column: for test, else for validation."""
        for name in varying(profile):
            for part in (PARTS[2], PARTS[1]):
                sample = profile.evaluation_samples.get(part)
                values = None if sample is None else sample[name].drop_null()
                if values is None or len(values) < MIN_ROWS or not _all_outside(profile, name, values):
                    continue
                first, last = pc.min_max(values).values()
                found = (
                    f"{name} has no value in {part} that train knows: all {len(values):,} sampled values, from"
                    f" {first.as_py()} to {last.as_py()}, are new to the model"
                )
                yield self.finding("medium", name, profile.parts[part], found)
                break


def _all_outside(profile: Profile, name: str, values: pa.ChunkedArray) -> bool:
    """Whether no value of another part is known from train."""
    column = profile.columns[name]
    if kind_of(values.type) == "category":
        known = pa.array(list(column.values), pa.string())
        return not pc.any(pc.is_in(values.cast(pa.string()), known)).as_py()
    theirs, train = numbers(values), np.unique(numbers(profile.sample[name].drop_null()))
    theirs = theirs[np.isfinite(theirs)]
    if not len(theirs) or column.low is None or column.high is None:
        return False
    if ((theirs < column.low) | (theirs > column.high)).all():
        return True
    return len(train) <= MAX_DISTINCT and not np.isin(theirs, train).any()
