"""Columns that alone nearly determine the label, by their values or by where they are missing."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, as_quantity, codes, cross_accuracy, numbers, strength
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import LABEL, LABEL_INPUT
from ray_pipeline.values import Severity, Task

LEAK, SUSPECT = 0.999, 0.98
MEASURE = {"binary": "an AUC", "regression": "a rank correlation", "multiclass": "an accuracy"}


class Leakage(Check):
    """A column alone predicts the label nearly perfectly.

    Measured by AUC for two classes, by rank correlation for a number (a copy or any monotone function of the label has
    1), and by accuracy for many classes.
    """

    fix = "leave it out if it is known only after the fact"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column's values, and one for where they are missing."""
        label, task = profile.sample[LABEL], spec.task
        for name in varying(profile) if len(label) >= MIN_ROWS else ():
            values = profile.sample[name]
            missing = pc.is_null(values, nan_is_null=True)
            rows, num_missing = pc.invert(missing), pc.sum(missing).as_py()
            present = f"{len(values) - num_missing:,} sampled rows"
            power = _predictive_power(values.filter(rows), label.filter(rows), task)
            if power >= SUSPECT:
                yield self.finding(
                    _severity(power),
                    name,
                    len(values) - num_missing,
                    f"{name} alone predicts the label with {MEASURE[task]} of {power:.4f} ({present})",
                )
            elif (source := _followed_input(name, rows.to_numpy(), profile)) is not None:
                found = (
                    f"{name} follows {source}, from which the label is computed, with a rank correlation of at least"
                    f" {LEAK} ({present})"
                )
                yield self.finding("high", name, len(values) - num_missing, found)
            if 0 < num_missing < len(values):
                power = _predictive_power(missing.cast("int8"), label, task)
                if power >= SUSPECT:
                    found = f"whether {name} is missing alone predicts the label with {power:.4f}"
                    fix = "leave it out if it is filled in after the fact"
                    yield self.finding(_severity(power), name, num_missing, found, fix)


def _severity(power: float) -> Severity:
    return "high" if power >= LEAK else "medium"


def _predictive_power(values: pa.ChunkedArray, label: pa.ChunkedArray, task: Task) -> float:
    """How well a column alone predicts the label, from 0 to 1."""
    if len(label) < MIN_ROWS:
        return 0.0
    if task != "multiclass":
        outcome = label.to_numpy()
        return strength(as_quantity(values, outcome), outcome, task)
    accuracy, base = cross_accuracy(values, codes(label))
    return accuracy if 1 - accuracy < (1 - base) / 10 else 0.0  # anything predicts a class that nearly all rows have


def _followed_input(name: str, rows: NDArray[np.bool_], profile: Profile) -> str | None:
    """The column in the label's expression that this one follows monotonically in these rows, if there is one."""
    if kind_of(profile.types[name]) == "category" or rows.sum() < MIN_ROWS:
        return None
    for column in profile.sample.column_names:
        if column.startswith(LABEL_INPUT) and kind_of(profile.sample.schema.field(column).type) == "number":
            source = numbers(profile.sample[column])
            both = rows & np.isfinite(source)
            if strength(numbers(profile.sample[name])[both], source[both], "regression") >= LEAK:
                return str(column.removeprefix(LABEL_INPUT))
    return None
