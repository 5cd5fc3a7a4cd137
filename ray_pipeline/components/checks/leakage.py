"""Columns that alone nearly determine the label, by their values or by where they are missing."""

from collections.abc import Mapping

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, is_copy, is_near_copy, numbers, power, strength
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import LABEL, LABEL_INPUT
from ray_pipeline.values import Severity, Vector

FOLLOWS, SUSPECT = 0.999, 0.98
MEASURE = {"binary": "an AUC", "regression": "a rank correlation", "multiclass": "an accuracy"}


class Leakage(Check):
    """A column alone predicts the label nearly perfectly.

    Measured by AUC for two classes, by rank correlation for a number, and by accuracy for many classes.

    High for a copy of the label, whose values go one to one with it (for many classes: in nearly all rows), and for a
    column that follows a number from which the label is computed. Else medium: some honest tables are that easy.
    `dominating` tells the two apart.
    """

    fix = "leave it out if it is known only after the fact"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column's values, and one for where they are missing."""
        label, task = profile.sample[LABEL], spec.task
        sources = _sources(profile)
        for name in varying(profile) if len(label) >= MIN_ROWS else ():
            values = profile.sample[name]
            missing = pc.is_null(values, nan_is_null=True)
            rows, num_missing = pc.invert(missing), pc.sum(missing).as_py()
            present = f"{len(values) - num_missing:,} sampled rows"
            known, outcome = values.filter(rows), label.filter(rows)
            near = task == "multiclass" and is_near_copy(known, outcome)
            if (reached := power(known, outcome, task)) >= SUSPECT or (near and reached):
                copied = near or is_copy(known, outcome, task)
                found = f"{name} alone predicts the label with {MEASURE[task]} of {reached:.4f} ({present})"
                found += "; its values go one to one with the label" if copied else ""
                yield self.finding("high" if copied else "medium", name, len(values) - num_missing, found)
            elif (source := _followed_input(name, rows.to_numpy(), profile, sources)) is not None:
                found = (
                    f"{name} follows {source}, from which the label is computed, with a rank correlation of at least"
                    f" {FOLLOWS} ({present})"
                )
                yield self.finding("high", name, len(values) - num_missing, found)
            if 0 < num_missing < len(values) and (reached := power(missing.cast("int8"), label, task)) >= SUSPECT:
                found = f"whether {name} is missing alone predicts the label with {reached:.4f}"
                fix = "leave it out if it is filled in after the fact"
                severity: Severity = "high" if is_copy(missing.cast("int8"), label, task) else "medium"
                yield self.finding(severity, name, num_missing, found, fix)


def _sources(profile: Profile) -> dict[str, Vector]:
    """The numbers in the label's expression, by column."""
    return {
        column.removeprefix(LABEL_INPUT): numbers(profile.sample[column])
        for column in profile.sample.column_names
        if column.startswith(LABEL_INPUT) and kind_of(profile.sample.schema.field(column).type) == "number"
    }


def _followed_input(name: str, rows: NDArray[np.bool_], profile: Profile, sources: Mapping[str, Vector]) -> str | None:
    """The column in the label's expression that this one follows monotonically in these rows, if there is one."""
    if not sources or kind_of(profile.types[name]) == "category" or rows.sum() < MIN_ROWS:
        return None
    for column, source in sources.items():
        both = rows & np.isfinite(source)
        if strength(numbers(profile.sample[name])[both], source[both], "regression") >= FOLLOWS:
            return column
    return None
