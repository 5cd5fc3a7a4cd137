"""Errors for people: place, finding and remedy of each problem.

PipelineError          1   one or more problems
├── SpecError          2   decidable from the text of the spec or the cluster file
├── DataError          3   needs the data or its footers
├── ResourceError      4   the machine or the cluster cannot do it
├── RegistryError      5   the model registry: unknown model, failed verification
├── StorageError       6   unknown run, cannot write
├── NoTrialFinished    8   every trial of the search failed
└── Interrupted      130   SIGINT or SIGTERM; the run can be resumed
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, ClassVar

from ray_pipeline.redaction import redacted


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem: its place, what was found, and what would fix it. The fields are those of the JSON output.

    Its texts hold no credentials, whatever they are made of.
    """

    found: str
    """The finding, with counts."""
    fix: str = ""
    """The remedy."""
    file: str | None = None
    line: int | None = None
    key: str | None = None
    stage: str | None = None
    column: str | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("found", "fix", "file"):
            if text := getattr(self, name):
                object.__setattr__(self, name, redacted(text))

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.file and self.line else self.file
        column = f"column {self.column!r}" if self.column and repr(self.column) not in self.found else None
        where = ": ".join(part for part in (file, self.stage, self.key, column) if part)
        text = f"{where}: {self.found}" if where else self.found
        return f"{text} {'' if text.endswith(('.', '?', '!')) else '· '}Fix: {self.fix}" if self.fix else text

    def as_json(self) -> dict[str, Any]:
        """Return the object of `problems` in the JSON output; every key is present."""
        return asdict(self)


class PipelineError(Exception):
    """One or more problems that a user can fix, and their exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.answer: dict[str, Any] = {}  # further keys of the JSON output: the run, the job
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class SpecError(PipelineError):
    """The text of the spec or of the cluster file is not valid."""

    exit_code = 2


class DataError(PipelineError):
    """The data or its footers do not fit the spec."""

    exit_code = 3


class ResourceError(PipelineError):
    """The machine or the cluster cannot do what the spec asks for."""

    exit_code = 4


class RegistryError(PipelineError):
    """The registry does not know the model, does not answer, or a version failed its verification."""

    exit_code = 5


class StorageError(PipelineError):
    """A run is unknown, or a file cannot be written."""

    exit_code = 6


class NoTrialFinished(PipelineError):
    """Every trial of the search failed."""

    exit_code = 8


class Interrupted(PipelineError):
    """A person or the system stopped the run; it can be resumed."""

    exit_code = 130


CLOSE, CLOSER = 0.5, 0.6
"""The share of letters that close words have in common, from which they are close, and from which no more is asked."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'? ` for the closest known word; the empty string where none is close.

    Words that have little more than half in common must also begin alike, or have the same letters, or one be a part
    of the other.

    >>> nearest("xgb", ["xgboost"]), nearest("random_forest", ["ft_transformer"])
    ("did you mean 'xgboost'? ", '')
    """
    for match in get_close_matches(word, list(known), n=1, cutoff=CLOSE):
        alike = word[:1].casefold() == match[:1].casefold() or sorted(word) == sorted(match)
        alike = alike or word in match or match in word
        if alike or get_close_matches(word, [match], cutoff=CLOSER):
            return f"did you mean {match!r}? "
    return ""


def listed(values: Iterable[object], most: int = 5) -> str:
    """Return up to `most` values as one phrase, with the count of the others.

    >>> listed(range(7))
    '0, 1, 2, 3, 4 and 2 more'
    """
    values = list(values)
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
