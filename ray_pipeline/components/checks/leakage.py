"""A column, or its missingness, that alone all but tells the label."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, as_quantity, codes, numbers, strength, told_share
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import LABEL, LABEL_INPUT
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

LEAK, SUSPECT = 0.999, 0.98
WHAT = {"binary": "an AUC", "regression": "a rank correlation", "multiclass": "an accuracy"}


class Leakage(Check):
    """By AUC for two classes, by rank correlation for a number (a copy or any monotone function of the label has 1), by
    accuracy for many classes."""

    fix: ClassVar = "leave it out if it is known only after the fact"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column for its values, and one for their absence."""
        if profile.sample.num_rows < MIN_ROWS:
            return
        for name in varying(profile):
            values, column, label = profile.sample[name], name, profile.sample[LABEL]
            missing = pc.is_null(values, nan_is_null=True).to_numpy()
            present = pa.array(~missing)
            told = self._told(
                *((values.filter(present), label.filter(present)) if missing.any() else (values, label)), spec
            )
            if told >= SUSPECT:
                found = (
                    f"{name} alone predicts the label with {WHAT[spec.task]} of {told:.4f} ({(~missing).sum():,}"
                    " sampled rows)"
                )
                yield self.finding("high" if told >= LEAK else "medium", column, (~missing).sum(), found)
            elif (of := self._source(name, ~missing, profile)) is not None:
                found = (
                    f"{name} follows {of}, of which the label is made, with a rank correlation of at least {LEAK}"
                    f" ({(~missing).sum():,} sampled rows)"
                )
                yield self.finding("high", column, (~missing).sum(), found)
            if (
                missing.any()
                and not missing.all()
                and (
                    absent := self._told(
                        pc.cast(pc.is_null(values, nan_is_null=True), "int8"), profile.sample[LABEL], spec
                    )
                )
                >= SUSPECT
            ):
                found = f"whether {name} is missing alone predicts the label with {absent:.4f}"
                yield self.finding(
                    "high" if absent >= LEAK else "medium",
                    column,
                    missing.sum(),
                    found,
                    "leave it out if it is filled in after the fact",
                )

    def _told(self, values: pa.ChunkedArray, label: pa.ChunkedArray, spec: Spec) -> float:
        if spec.task != "multiclass":
            outcome = label.to_numpy()
            return strength(as_quantity(values, outcome), outcome, spec.task) if len(outcome) >= MIN_ROWS else 0.0
        if len(label) < MIN_ROWS:
            return 0.0
        share, base = told_share(values, codes(label))
        return share if 1 - share < (1 - base) / 10 else 0.0  # a class that nearly all rows have is told by anything

    def _source(self, name: str, use: NDArray[np.bool_], profile: Profile) -> str | None:
        """The column behind a label's expression that this one follows step by step, if there is one."""
        if kind_of(profile.types[name]) == "category" or use.sum() < MIN_ROWS:
            return None
        for column in profile.sample.column_names:
            if column.startswith(LABEL_INPUT) and kind_of(profile.sample.schema.field(column).type) == "number":
                source = numbers(profile.sample[column])
                both = use & np.isfinite(source)
                if strength(numbers(profile.sample[name])[both], source[both], "regression") >= LEAK:
                    return str(column.removeprefix(LABEL_INPUT))
        return None
