"""Numbers, also the label, that are cut off at a highest value."""

import numpy as np
import pyarrow as pa

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.data.rows import LABEL

MIN_SHARE, MIN_DISTINCT, TIMES, NEAR = 0.01, 50, 5, 20


class Capped(Check):
    """The highest value has many times as many rows as any value just below it.

    Then every larger value was probably written as the highest one.
    """

    fix = "know that all larger values are written as this one; for a label, consider leaving such rows out"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        columns: dict[str, pa.ChunkedArray] = {name: profile.sample[name] for name in varying(profile, "number")}
        if spec.task == "regression":
            columns[spec.features.labels.label] = profile.sample[LABEL]
        for name, column in columns.items():
            values = numbers(column)
            distinct, rows = np.unique(values[np.isfinite(values)], return_counts=True)
            if rows.sum() < MIN_ROWS or len(distinct) < MIN_DISTINCT:
                continue
            top, share = int(rows[-1]), rows[-1] / rows.sum()
            if share >= MIN_SHARE and top >= TIMES * rows[-NEAR - 1 : -1].max():
                where = f"{top:,} of {rows.sum():,} sampled rows ({share:.1%})"
                yield self.finding(
                    "low",
                    name,
                    round(share * profile.parts["train"]),
                    f"{name} is {distinct[-1]:g}, its highest value, in {where}",
                )
