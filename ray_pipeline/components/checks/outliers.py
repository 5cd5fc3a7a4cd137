"""Numbers, also the label, with values that are far beyond nearly all others."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.data.rows import LABEL

MAX_RATIO = 100


class Outliers(Check):
    """The farthest value is more than 100 times as far from the median as 99 % of the values."""

    fix = "correct or leave out such rows, or take the logarithm"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        names = {name: name for name in varying(profile, "number")}
        if spec.task == "regression":
            names[spec.features.labels.label] = LABEL
        for name, column_name in names.items():
            values = numbers(profile.sample[column_name])
            values = values[np.isfinite(values)]
            if len(values) < MIN_ROWS:
                continue
            middle = np.median(values)
            usual = float(np.quantile(np.abs(values - middle), 0.99))
            column = profile.columns.get(column_name)
            low, high = (column.low, column.high) if column else (values.min(), values.max())
            reach = max(abs((low or 0.0) - middle), abs((high or 0.0) - middle))
            if usual > 0 and reach > MAX_RATIO * usual:
                rows = max(int((np.abs(values - middle) > MAX_RATIO * usual).sum()), 1)
                farthest = high if abs((high or 0.0) - middle) == reach else low
                yield self.finding(
                    "low",
                    name,
                    rows,
                    f"{name} reaches {farthest:g}, while 99 % of its values lie within {usual:g} of {middle:g}",
                )
