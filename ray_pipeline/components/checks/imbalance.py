"""A class so rare that it can hardly be learnt."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MIN_ROWS, MIN_SHARE = 50, 0.001


class Imbalance(Check):
    """Fewer than 50 training rows, or less than one in a thousand."""

    fix: ClassVar = "bring more such rows; judge by average_precision and not by accuracy"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding a class."""
        for value, rows in profile.labels.get("train", {}).items():
            if rows < MIN_ROWS or rows < MIN_SHARE * profile.parts["train"]:
                word = (
                    {"0": "negatives", "1": "positives"}.get(value, f"class {value!r}")
                    if spec.task == "binary"
                    else f"class {value!r}"
                )
                yield self.finding(
                    "medium",
                    spec.features.labels.label,
                    rows,
                    f"{word}: {rows:,} of {profile.parts['train']:,} training rows",
                )
