"""Suggestions from the findings: columns to leave out, slices, and groups for the bias audit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import PART
from ray_pipeline.start.draft import Draft, Reasoned
from ray_pipeline.start.words import SENSITIVE, words
from ray_pipeline.values import PARTS, Finding

LEFT_OUT = ("leakage", "id_like", "constant", "all_null", "free_text")
"""Checks whose findings always leave their column out. Others do so where they would end the run."""
MAX_SLICES, MAX_GROUPS, MAX_VALUES = 3, 3, 12
BINS = 4
MIN_ROWS = (200, 100, 50)
"""Test rows from which a slice is judged: the default of a spec, and what a smaller table may write."""


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


def with_slices(draft: Draft, rows: pa.Table) -> Draft:
    """The draft with the slices and bias groups of which the test part has enough rows.

    Parameters
    ----------
    draft
        Says the features, and the rows of the whole table.
    rows
        Sampled rows with their parts and every feature.
    """
    test = rows.filter(pc.equal(rows[PART], PARTS.index("test")))
    scale = draft.labels.num_rows / max(draft.labels.sample.num_rows, 1)
    reach, lacking = {"evaluate": list[int](), "bias": list[int]()}, dict[str, None]()

    def measured(section: str, proposed: Iterable[Reasoned], most: int) -> tuple[Reasoned, ...]:
        kept = list[Reasoned]()
        for one in proposed:
            least = next((step for step in MIN_ROWS if scale * _second(test, one) >= step), None)
            if least is None:
                lacking[one.value if isinstance(one.value, str) else one.value["column"]] = None
            elif len(kept) < most:
                kept.append(one)
                reach[section].append(least)
        return tuple(kept)

    few, binned = _slices(draft, rows)
    return replace(
        draft,
        slices=(*measured("evaluate", few, MAX_SLICES), *measured("evaluate", binned, 1)),
        groups=measured("bias", _groups(draft, rows), MAX_GROUPS),
        test_rows=round(scale * test.num_rows),
        min_rows={section: min(steps) for section, steps in reach.items() if steps and min(steps) < MIN_ROWS[0]},
        unmeasured=tuple(lacking),
    )


def _slices(draft: Draft, rows: pa.Table) -> tuple[list[Reasoned], list[Reasoned]]:
    """Categories of few values, and numbers in bins."""
    panel = draft.roles.panel.column if draft.roles.panel else None
    own = [name for name in draft.features if "." not in name and name != panel]
    few = [name for name in own if kind_of(rows[name].type) == "category" and 2 <= _distinct(rows, name) <= MAX_VALUES]
    numbers = [name for name in own if kind_of(rows[name].type) == "number" and _distinct(rows, name) > MAX_VALUES]
    found = [Reasoned(value=name, why="") for name in few]
    return found, [Reasoned(value={"column": name, "bins": BINS}, why="") for name in numbers[:1]]


def _groups(draft: Draft, rows: pa.Table) -> list[Reasoned]:
    """Columns that are named like an attribute by which nobody should be treated worse."""
    found = list[Reasoned]()
    for name in draft.features:
        hints = sorted(words(name.rpartition(".")[2]) & SENSITIVE)
        if not hints or kind_of(rows[name].type) not in ("number", "category"):
            continue
        values = _distinct(rows, name)
        if 2 <= values <= MAX_VALUES:
            found.append(Reasoned(value=name, why=f"its name says {hints[0]!r}"))
        elif kind_of(rows[name].type) == "number" and values > MAX_VALUES:
            found.append(Reasoned(value={"column": name, "bins": BINS}, why=f"its name says {hints[0]!r}"))
    return found


def _second(test: pa.Table, one: Reasoned) -> float:
    """The rows of the second largest slice; a comparison needs two."""
    if not isinstance(one.value, str):
        values = test[one.value["column"]]
        return float(len(values) - values.null_count) / BINS
    counts = sorted(pc.value_counts(test[one.value].combine_chunks().drop_null()).field("counts").to_pylist())
    return float(counts[-2]) if len(counts) > 1 else 0.0


def _distinct(rows: pa.Table, name: str) -> int:
    return int(pc.count_distinct(rows[name].combine_chunks(), mode="only_valid").as_py())
