"""Columns with which the label can be predicted nearly perfectly, and without which it cannot."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, label_copies
from ray_pipeline.profiling.probe import Probe

NEAR = {"binary": 0.8, "multiclass": 0.8, "regression": 0.975}
TIMES_WORSE = {"binary": 3.0, "multiclass": 3.0, "regression": 6.0}
MIN_GAIN, MAX_COLUMNS = 0.8, 5


class Dominating(Check):
    """A quick model owes a nearly perfect score to one column, and the other columns do not explain it.

    The model is boosted trees on the sample. Its skill is the share of the label's variance that it explains in
    validation. High if it is nearly perfect, the column takes most of the gain of all splits, and without the column at
    least three times as much is unexplained (six times for a number). An easy table, where many columns predict the
    label, has no such column.

    Several leaks hide each other. So up to five columns are removed one after another, then each of them is tried alone
    with the columns that remain. Copies of the label are left to `leakage`.
    """

    fix = "leave it out if it is known only after the fact"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        names, near, times = varying(profile), NEAR[spec.task], TIMES_WORSE[spec.task]
        validation = profile.evaluation_samples.get("validation")
        enough = validation is not None and len(validation) >= MIN_ROWS
        probe = Probe.of(profile.sample, names, spec.task, unseen=validation if enough else None)
        if probe is None or probe.fit(names).skill < near:
            return
        copies = label_copies(profile.sample, names, spec.task)
        names = [name for name in names if name not in copies]
        removed = remove_dominating(probe, names, near, times)
        rest = [name for name in names if name not in removed]
        base = max(0.0, probe.fit(rest).skill) if removed else 0.0
        for name in removed:
            skill = probe.fit([*rest, name]).skill
            if skill < near or 1 - base < times * (1 - skill):
                continue
            hidden = probe.only_missing(name).fit([*rest, name]).skill
            seen = f"whether {name} is missing" if hidden >= near and 1 - hidden < 2 * (1 - skill) else name
            without = ", ".join([name, *(other for other in removed if other != name)])
            found = (
                f"a quick model explains {skill:.1%} of the label's variance with {seen}, and {base:.1%} without"
                f" {without}"
            )
            yield self.finding("high", name, len(profile.sample), found)


def remove_dominating(probe: Probe, names: list[str], near: float, times: float) -> list[str]:
    """The few columns whose removal makes a nearly perfect model far worse; none if there are none.

    Parameters
    ----------
    probe
        The sample.
    names
        The columns to begin with.
    near
        The skill of a nearly perfect model.
    times
        How many times as much is unexplained by a model that is far worse.
    """
    rest, removed, most = [*names], list[str](), max(1, min(MAX_COLUMNS, len(names) // 3))
    whole = fit = probe.fit(rest)
    if whole.skill < near or sum(sorted(whole.gains.values())[-most:]) < MIN_GAIN:
        return []
    while fit.gains and len(removed) < most:
        removed.append(max(fit.gains, key=lambda name: fit.gains[name]))
        rest.remove(removed[-1])
        fit = probe.fit(rest)
        if fit.skill < near and 1 - fit.skill >= times * (1 - whole.skill):
            return removed if sum(whole.gains.get(name, 0.0) for name in removed) >= MIN_GAIN else []
    return []
