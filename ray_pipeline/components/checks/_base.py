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
    """One thing that may be wrong with the data, found by arithmetic on the profile. Its fields are its parameters."""

    fix: ClassVar[str]
    """What to do about it, for a person."""

    @abstractmethod
    def look(self, seen: Profile, spec: Spec) -> Iterator[Finding]:
        """Every finding of this kind."""

    def finding(self, severity: Severity, column: str | None, rows: int, found: str, fix: str | None = None) -> Finding:
        """A finding of this check."""
        return Finding(name_of(type(self)), severity, column, int(rows), found, fix or self.fix)


def varying(seen: Profile) -> list[str]:
    """The columns that are neither constant nor all null. The others have a finding of their own, and are left out."""
    return [name for name, column in seen.columns.items() if column.nulls < column.rows and not column.is_constant]
