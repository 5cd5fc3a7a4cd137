"""Findings from the profile: what a careful person would notice in the rows before trusting a model on them. The checks
themselves are `checks/`."""

from ray_pipeline.components.choice import menu, read_parameters
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import SEVERITIES, Finding


def check(profile: Profile, spec: Spec) -> tuple[Finding, ...]:
    """Every finding, the gravest first; none that `checks.ignore` names (a check, or `check:column`)."""
    own = {read_choice(name)[0]: name for name in spec.checks.extra}
    found = list[Finding]()
    for name in {**{word: word for word in menu("checks")}, **own}.values():
        kind, parameters = read_parameters("checks", name)
        found += kind(**parameters).look(profile, spec)
    ignored = set(spec.checks.ignore)
    kept = [f for f in found if f.check not in ignored and f"{f.check}:{f.column}" not in ignored]
    return tuple(sorted(kept, key=lambda f: -SEVERITIES.index(f.severity)))


def refuse(findings: tuple[Finding, ...], spec: Spec) -> None:
    """Raises `DataError` with every finding at or above `checks.fail_on`."""
    if spec.checks.fail_on not in SEVERITIES:
        return
    least = SEVERITIES.index(spec.checks.fail_on)
    grave = [f for f in findings if SEVERITIES.index(f.severity) >= least]
    if grave:
        raise DataError(
            Problem(
                stage="check",
                column=f.column,
                rows=f.rows,
                found=f"{f.check}: {f.found}",
                fix=f"{f.fix}, or add '{f.check}{f':{f.column}' if f.column else ''}' to checks.ignore",
            )
            for f in grave
        )
