"""Suggestions from the findings: columns to leave out, slices, and groups for the bias audit."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.start.draft import Draft, Reasoned
from ray_pipeline.start.words import SENSITIVE, words
from ray_pipeline.values import Finding

LEFT_OUT = ("leakage", "id_like", "constant", "all_null", "free_text")
"""Checks whose findings always leave their column out. Others do so where they would end the run."""
MAX_SLICES, MAX_GROUPS, MAX_VALUES = 3, 3, 12
BINS = 4


def left_out(findings: Iterable[Finding], features: Sequence[str]) -> dict[str, str]:
    """The features that a finding leaves out, with the finding.

    The first finding of a column counts, so the most severe one.
    """
    out = dict[str, str]()
    for finding in findings:
        if finding.column in features and (finding.check in LEFT_OUT or finding.severity == "high"):
            out.setdefault(str(finding.column), f"{finding.check}: {finding.found}")
    return out


def notes(findings: Iterable[Finding], features: Sequence[str]) -> dict[str, str]:
    """What is found of features that stay, of at least medium severity."""
    found = dict[str, str]()
    for finding in findings:
        if finding.column in features and finding.severity == "medium":
            found.setdefault(str(finding.column), f"{finding.check}: {finding.found}")
    return found


def ignored(findings: Iterable[Finding], features: Sequence[str]) -> tuple[Reasoned, ...]:
    """The findings that would end the run though no feature can be left out for them."""
    high = [one for one in findings if one.severity == "high" and one.column not in features]
    return tuple({one.check: Reasoned(value=one.check, why=one.found) for one in high}.values())


def slices(draft: Draft, rows: pa.Table) -> tuple[Reasoned, ...]:
    """Categories of few values, and one number in bins."""
    panel = draft.roles.panel.column if draft.roles.panel else None
    own = [name for name in draft.features if "." not in name and name != panel]
    few = [name for name in own if kind_of(rows[name].type) == "category" and 2 <= _distinct(rows, name) <= MAX_VALUES]
    numbers = [name for name in own if kind_of(rows[name].type) == "number" and _distinct(rows, name) > MAX_VALUES]
    found = [Reasoned(value=name, why="") for name in few[:MAX_SLICES]]
    return (*found, *(Reasoned(value={"column": name, "bins": BINS}, why="") for name in numbers[:1]))


def groups(draft: Draft, rows: pa.Table) -> tuple[Reasoned, ...]:
    """Columns that are named like an attribute by which nobody should be treated worse."""
    found = []
    for name in draft.features:
        hints = sorted(words(name.rpartition(".")[2]) & SENSITIVE)
        if not hints or kind_of(rows[name].type) not in ("number", "category"):
            continue
        values = _distinct(rows, name)
        if 2 <= values <= MAX_VALUES:
            found.append(Reasoned(value=name, why=f"its name says {hints[0]!r}"))
        elif kind_of(rows[name].type) == "number" and values > MAX_VALUES:
            found.append(Reasoned(value={"column": name, "bins": BINS}, why=f"its name says {hints[0]!r}"))
    return tuple(found[:MAX_GROUPS])


def _distinct(rows: pa.Table, name: str) -> int:
    return int(pc.count_distinct(rows[name].combine_chunks(), mode="only_valid").as_py())
