"""Findings from the profile: what a careful person notices in the rows before trusting a model on them.

The checks themselves are in `components/checks/`.
"""

from ray_pipeline.components.choice import menu, read_parameters
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import SEVERITIES, Finding


def check(profile: Profile, spec: Spec) -> tuple[Finding, ...]:
    """The findings of every check, the most severe first.

    `checks.ignore` leaves out a check, or a check on one column (`check:column`).
    """
    extra = {read_choice(name)[0]: name for name in spec.checks.extra}
    findings = list[Finding]()
    for name in ({word: word for word in menu("checks")} | extra).values():
        kind, parameters = read_parameters("checks", name)
        findings += kind(**parameters).check(profile, spec)
    ignored = set(spec.checks.ignore)
    kept = [f for f in findings if f.check not in ignored and f"{f.check}:{f.column}" not in ignored]
    return tuple(sorted(kept, key=lambda f: -SEVERITIES.index(f.severity)))


def raise_on_findings(findings: tuple[Finding, ...], spec: Spec) -> None:
    """Ends the run if a finding is too severe.

    Raises
    ------
    DataError
        With every finding of at least the severity `checks.fail_on`.
    """
    if spec.checks.fail_on not in SEVERITIES:
        return
    limit = SEVERITIES.index(spec.checks.fail_on)
    severe = [f for f in findings if SEVERITIES.index(f.severity) >= limit]
    if severe:
        raise DataError(
            Problem(
                stage="check",
                column=f.column,
                rows=f.rows,
                found=f"{f.check}: {f.found}",
                fix=f"{f.fix}, or add '{f.check}{f':{f.column}' if f.column else ''}' to checks.ignore",
            )
            for f in severe
        )
