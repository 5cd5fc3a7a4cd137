"""Columns that say the same as another one."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, codes
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MAX_ROWS, MAX_COLUMNS = 2_000, 150


class Derived(Check):
    """Two columns whose values go one to one (low); a bias group that a feature tells exactly (medium): leaving the
    group out hides nothing from the model."""

    fix: ClassVar = "keep one of the two"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column, and one a bias group."""
        names, sample = varying(profile)[:MAX_COLUMNS], profile.sample.slice(0, MAX_ROWS)
        if sample.num_rows < MIN_ROWS:
            return
        coded = {name: codes(sample[name]) for name in names}
        few = {name: code for name, code in coded.items() if 1 < code.max() + 1 <= len(code) / 4}
        for place, name in enumerate(few):
            twin = next(
                (
                    other
                    for other in list(few)[:place]
                    if _tells(few[name], few[other]) and _tells(few[other], few[name])
                ),
                None,
            )
            if twin is not None:
                yield self.finding(
                    "low",
                    name,
                    sample.num_rows,
                    f"{name} goes one to one with {twin} in {sample.num_rows:,} sampled rows",
                )
        groups = {column for one in spec.bias.groups for column in one.columns}
        for group in sorted(groups & set(sample.column_names)):
            told = next(
                (name for name, code in few.items() if name != group and _tells(code, codes(sample[group]))), None
            )
            if told is not None and codes(sample[group]).max() > 0:
                found = f"{told} tells {group} exactly in {sample.num_rows:,} sampled rows"
                yield self.finding(
                    "medium",
                    told,
                    sample.num_rows,
                    found,
                    f"know that the model sees {group} through it, or leave it out",
                )


def _tells(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether each value of the one goes with a single value of the other."""
    first = np.full(one.max() + 1, -1)
    first[one[::-1]] = other[::-1]
    return bool((first[one] == other).all())
