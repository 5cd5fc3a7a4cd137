"""Finite numbers, also the label, that float32 cannot hold."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import numbers
from ray_pipeline.data.rows import LABEL

MAX_FLOAT32 = float(np.finfo(np.float32).max)


class TooLarge(Check):
    """The column exceeds float32, the type in which all models compute."""

    fix = "scale it, or take its logarithm"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        found = {
            name: (column.rows, max(-column.low, column.high))
            for name in varying(profile, "number")
            if (column := profile.columns[name]).low is not None and column.high is not None
        }
        if spec.task == "regression":
            found[spec.features.labels.label] = profile.parts["train"], np.abs(numbers(profile.sample[LABEL])).max()
        for name, (rows, reach) in found.items():
            if reach > MAX_FLOAT32:
                yield self.finding("high", name, rows, f"{name} reaches {reach:.3g}, which float32 cannot hold")
