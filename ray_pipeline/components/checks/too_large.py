"""Finite numbers that float32 cannot hold."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying

MAX_FLOAT32 = float(np.finfo(np.float32).max)


class TooLarge(Check):
    """The column exceeds float32, the type in which all models compute."""

    fix = "scale it, or take its logarithm"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name in varying(profile, "number"):
            column = profile.columns[name]
            if column.low is None or column.high is None:
                continue
            if (reach := max(-column.low, column.high)) > MAX_FLOAT32:
                yield self.finding("high", name, column.rows, f"{name} reaches {reach:.3g}, which float32 cannot hold")
