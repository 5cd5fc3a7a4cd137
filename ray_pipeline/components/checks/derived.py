"""Columns that hold the same information as another one."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, codes, determines

MAX_ROWS, MAX_COLUMNS = 2_000, 150


class Derived(Check):
    """Two columns whose values go one to one (low), or a feature that determines a bias group (medium).

    In the second case the model knows the group even if its column is left out.
    """

    fix = "keep one of the two"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column, and one for each bias group."""
        names, sample = varying(profile)[:MAX_COLUMNS], profile.sample.slice(0, MAX_ROWS)
        if sample.num_rows < MIN_ROWS:
            return
        coded = {name: codes(sample[name]) for name in names}
        few = {name: code for name, code in coded.items() if 1 < code.max() + 1 <= len(code) / 4}
        for place, name in enumerate(few):
            earlier = list(few)[:place]
            twins = (one for one in earlier if determines(few[name], few[one]) and determines(few[one], few[name]))
            if twin := next(twins, None):
                yield self.finding(
                    "low",
                    name,
                    sample.num_rows,
                    f"{name} goes one to one with {twin} in {sample.num_rows:,} sampled rows",
                )
        groups = {column for one in spec.bias.groups for column in one.columns}
        for group in sorted(groups & set(sample.column_names)):
            code = codes(sample[group])
            names = [name for name in few if name != group and determines(few[name], code)]
            if names and code.max() > 0:
                found = f"{names[0]} determines {group} in {sample.num_rows:,} sampled rows"
                fix = f"know that the model sees {group} through it, or leave it out"
                yield self.finding("medium", names[0], sample.num_rows, found, fix)
