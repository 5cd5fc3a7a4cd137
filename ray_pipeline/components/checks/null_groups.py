"""Rows without a group, which all become one group."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec
from ray_pipeline.values import Severity

MIN_SHARE = 0.05


class NullGroups(Check):
    """The column of `split.group` or `evaluate.cluster` is null in some rows, which count as one group.

    The split gives all of them to one part, and intervals treat them as one observation. Medium from 5 % of the
    rows, else low.
    """

    fix = "give each of these rows a group of its own where they are made, or leave them out with `select.where`"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each of the two columns."""
        roles = {"split.group": getattr(spec.split, "group", None), "evaluate.cluster": spec.evaluate.cluster}
        samples = {"train": profile.sample, **profile.evaluation_samples}
        for role, written in roles.items():
            name = _column(written, profile)
            if name is None:
                continue
            rows = sum(
                profile.parts[part] * sample[name].null_count / max(len(sample), 1) for part, sample in samples.items()
            )
            if rows:
                share = rows / sum(profile.parts.values())
                severity: Severity = "medium" if share >= MIN_SHARE else "low"
                found = f"{role}: {written} is null in {rows:,.0f} rows ({share:.1%}), and they are one group"
                yield self.finding(severity, written, max(round(rows), 1), found)


def _column(written: str | None, profile: Profile) -> str | None:
    """The column of the sample that the spec names, by its whole or its bare name."""
    names = profile.sample.column_names
    if written is None or written in names:
        return written
    return next((name for name in names if name.rpartition(".")[2] == written), None)
