"""Numbers, also the label, whose different values become one in float32."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.column_encodings._columns import (
    distinct_counts,
    from_the_middle,
    merged_share,
    numbers,
    offset_of,
)
from ray_pipeline.data.rows import LABEL
from ray_pipeline.values import Severity

MAX_MERGED, MANY = 0.05, 0.5


class Precision(Check):
    """Models compute in float32: more than 5 % of the distinct values of a number, time or label become equal there.

    Features are compared after the offset that encoders subtract. The severity is medium above one half.
    """

    fix = "subtract a constant, or split it into two columns, such as the day and the second of the day"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        sampled = set(profile.sample.schema.names)
        names = {name: (name, True) for name in varying(profile, "number", "time") if name in sampled}
        if spec.task == "regression":
            names[spec.features.labels.label] = (LABEL, False)
        for name, (column, moved) in names.items():
            merged = _merged(profile.sample[column], moved)
            if merged > MAX_MERGED:
                severity: Severity = "medium" if merged > MANY else "low"
                found = f"{merged:.0%} of the different values of {name} are equal to another one in float32"
                yield self.finding(severity, name, profile.sample.num_rows, found)


def _merged(values: pa.ChunkedArray, moved: bool) -> float:
    """The share of the distinct values that become one with another, in float64 already or in float32."""
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        counts = distinct_counts(values)
        if counts is not None and counts[0] == counts[1]:  # nearly all columns
            return 0.0
    exact, _ = from_the_middle(values)
    with np.errstate(over="ignore"):
        merged = merged_share(exact, numbers(values, offset_of(values) if moved else 0.0).astype(np.float32))
    if pa.types.is_floating(values.type):
        return float(merged)
    distinct, left = pc.count_distinct(values).as_py(), len(np.unique(exact[~np.isnan(exact)]))
    return float(1 - (1 - merged) * min(left / max(distinct, 1), 1.0))
