"""Classes with too few rows to learn from."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec

MIN_ROWS, MIN_SHARE = 50, 0.001


class Imbalance(Check):
    """A class has fewer than 50 training rows, or less than one in a thousand."""

    fix = "bring more such rows; judge by average_precision and not by accuracy"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each class."""
        for value, rows in profile.labels.get("train", {}).items():
            if rows < MIN_ROWS or rows < MIN_SHARE * profile.parts["train"]:
                binary = {"0": "negatives", "1": "positives"} if spec.task == "binary" else {}
                noun = binary.get(value, f"class {value!r}")
                yield self.finding(
                    "medium",
                    spec.features.labels.label,
                    rows,
                    f"{noun}: {rows:,} of {profile.parts['train']:,} training rows",
                )
