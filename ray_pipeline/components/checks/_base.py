"""What every check says: its findings in a profile. Its name is the word in `checks.json` and in `checks.ignore`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.choice import Choice, name_of
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding, Severity

LEAVE_OUT = "leave it out of `columns`"


class Check(Choice, ABC):
    """One thing that may be wrong with the data, found by arithmetic on the profile."""

    fix: ClassVar[str]
    """What would help, in words for the user."""

    @abstractmethod
    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """Every finding of this kind."""

    def finding(self, severity: Severity, column: str | None, rows: int, found: str, fix: str | None = None) -> Finding:
        """A finding of this check."""
        name = name_of(type(self))
        return Finding(check=name, severity=severity, column=column, rows=int(rows), found=found, fix=fix or self.fix)


def varying(profile: Profile) -> list[str]:
    """The columns that are neither constant nor null in every row; the others have a finding of their own."""
    return [name for name, column in profile.columns.items() if column.nulls < column.rows and not column.is_constant]
