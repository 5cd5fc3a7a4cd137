"""Numbers that mean a missing value."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers

MIN_SHARE = 0.002


class Sentinel(Check):
    """Many rows have -1, -999, 9999 or the like, at an end of the column's range and far from all other values."""

    fix = "write the value as null where it is made, or keep it if it is a real value"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each end of each column."""
        for name in varying(profile, "number"):
            values = numbers(profile.sample[name])
            distinct, rows = np.unique(values[np.isfinite(values)], return_counts=True)
            for end, inner in (
                ((0, distinct[1:]), (-1, distinct[:-1])) if len(distinct) > 10 and rows.sum() >= MIN_ROWS else ()
            ):
                value, share = float(distinct[end]), rows[end] / rows.sum()
                alone = np.abs(inner - value).min() > (inner[-1] - inner[0]) / 2 or (value < 0 <= inner[0])
                if share >= MIN_SHARE and rows[end] >= 5 and alone and _is_code(value):
                    found = (
                        f"{name} is {value:g} in {rows[end]:,} of {rows.sum():,} sampled rows ({share:.1%}), while all"
                        f" other values lie in {inner[0]:g} to {inner[-1]:g}"
                    )
                    yield self.finding("medium", name, round(share * profile.columns[name].present), found)


def _is_code(value: float) -> bool:
    """Whether people write this number for a missing one: -1, or only nines (or eights), of either sign."""
    digits = f"{abs(value):g}".replace(".", "")
    return value == -1 or (len(digits) > 1 and set(digits) in ({"9"}, {"8"})) or value == -9
