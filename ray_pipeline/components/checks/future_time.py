"""Times among the features that are later than the moment of prediction."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import TIME
from ray_pipeline.values import Severity, Vector

MIN_SHARE, MIN_SHARE_READ = 0.01, 0.95
DATE = r"^\d{4}-\d{2}-\d{2}"
SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SINCE, UNTIL = 631_152_000, 4_102_444_800
"""1990 and 2100, in seconds since 1970."""


class FutureTime(Check):
    """A feature's time is later than `labels.time`; a date counts as its first moment.

    High if this is so in at least one in a hundred rows, else medium. Texts that begin with a date (`2024-05-01`) and
    whole numbers that count seconds, milli-, micro- or nanoseconds since 1970 are times, too.
    """

    fix = "leave it out; if it was planned ahead, like a due date, name it in checks.ignore"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        if TIME not in profile.sample.column_names or spec.features.labels.time_unit == "step":
            return
        moment = numbers(profile.sample[TIME])
        for name in varying(profile):
            times = _times(profile.sample[name])
            if times is None:
                continue
            later, known = int((times > moment).sum()), int(np.isfinite(times).sum())
            if later:
                where = f"{later:,} of {known:,} sampled rows"
                severity: Severity = "high" if later >= MIN_SHARE * known else "medium"
                yield self.finding(
                    severity, name, later, f"{name} is later than {spec.features.labels.time} in {where}"
                )


def _times(values: pa.ChunkedArray) -> Vector | None:
    """The column in microseconds since 1970, NaN where it is missing; None if it holds no times. Shape (rows,)."""
    kind, known = kind_of(values.type), len(values) - values.null_count
    if kind == "time":
        return numbers(values)
    if known < MIN_ROWS:
        return None
    if kind == "category":
        text = values.cast(pa.string())
        dated = pc.match_substring_regex(text, DATE)
        if (pc.sum(dated).as_py() or 0) < MIN_SHARE_READ * known:
            return None
        days = pc.if_else(dated, pc.utf8_slice_codeunits(text, 0, 10), pa.scalar(None, pa.string()))
        return numbers(pc.strptime(days, format="%Y-%m-%d", unit="us", error_is_null=True))
    number = numbers(values)
    for scale in SECONDS.values() if pa.types.is_integer(values.type) else ():
        seconds = number / scale
        if np.nanmin(seconds) >= SINCE and np.nanmax(seconds) < UNTIL:
            return seconds * 10**6
    return None
