"""What the rows must fulfil after the one pass: unique keys, rows and weight in every part, at least two classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_pipeline.data.rows import RowCounts
from ray_pipeline.data.table import Table
from ray_pipeline.duration import STEP_UNIT
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.profiling.block_summary import BlockSummary, TimeRange
from ray_pipeline.runtime.scratch import ScratchHashes
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS

MIN_ROWS = 50
LABEL_KEY = "features.labels.label"


class EmptyPart(DataError):
    """A part of the split has no rows."""

    newest: str | None = None
    """The latest time of a row with a label, as text; a step as its number. None where rows have no time."""


def require_keys_and_times(counts: RowCounts, spec: Spec) -> None:
    """Every row that nothing else drops has its key and its time.

    Raises
    ------
    DataError
        With the number of rows in which one of them is null.
    """
    labels, problems = spec.features.labels, list[Problem]()
    for role, column, rows in (("key", labels.key, counts.null_key), ("time", labels.time, counts.null_time)):
        if rows:
            place = _place(spec, f"features.labels.{role}")
            found = f"{column!r} is null in {rows:,} rows"
            fix = f"each label row needs its {role}; correct the rows, drop them with `where`, or leave `{role}` out"
            problems.append(Problem(**place, stage="read", column=column, rows=rows, found=found, fix=fix))
    if problems:
        raise DataError(problems)


def require_unique_keys(hashes: ScratchHashes, spec: Spec) -> None:
    """No two rows have one key.

    Parameters
    ----------
    hashes
        The 64-bit hash of every row's key. A false alarm has a chance of one in 10^8 at 600,000 rows.
    spec
        The run's spec, for the place in messages.

    Raises
    ------
    DataError
        With the number of rows that repeat a key.
    """
    if repeated := hashes.num_repeated():
        key = spec.features.labels.key
        found = f"{key!r} is not unique: {repeated:,} rows repeat a key"
        place = _place(spec, "features.labels.key")
        raise DataError(
            Problem(
                **place,
                stage="profile",
                column=key,
                rows=repeated,
                found=found,
                fix="name a unique key, or leave `key` out",
            )
        )


def require_rows(summary: BlockSummary, table: Table, spec: Spec) -> None:
    """Every part has rows, and all parts together have at least `MIN_ROWS`.

    Raises
    ------
    EmptyPart
        With the rows of each part.
    DataError
        With the number of rows, or with what became of all rows.
    """
    rows, empty = sum(summary.parts.values()), [part for part in PARTS if not summary.parts.get(part)]
    if not rows:
        raise DataError(Problem(stage="read", rows=0, found=_all_dropped(summary, table), fix="widen `select`"))
    if not empty and rows >= MIN_ROWS:
        return
    if not empty:
        found = f"{rows:,} rows are left of {table.num_rows:,}; train, validation and test need {MIN_ROWS} together"
        raise DataError(
            Problem(
                **_place(spec, "split"), stage="split", rows=rows, found=found, fix="widen `select`, or bring more rows"
            )
        )
    each = ", ".join(f"{part} {summary.parts.get(part, 0):,}" for part in PARTS)
    found = f"{listed(empty)} {'is' if len(empty) == 1 else 'are'} empty: {each} rows"
    last = None
    if ranges := summary.time_ranges.values():
        whole = [min(start for start, _ in ranges), max(end for _, end in ranges)]
        first, last = shown_ranges({"all": whole}, spec)["all"]
        found += f"; labels.time goes from {first} to {last}"
    fix = "move the cut dates" if spec.split.by == "time" else "ask for larger shares"
    error = EmptyPart(Problem(**_place(spec, "split"), stage="split", rows=0, found=found, fix=fix))
    error.newest = last
    raise error


def shown_ranges(ranges: Mapping[str, TimeRange], spec: Spec) -> Mapping[str, TimeRange]:
    """The ranges as they are; steps as numbers."""
    if spec.features.labels.time_unit != "step":
        return ranges
    steps = {part: np.array(ends, f"datetime64[{STEP_UNIT}]").astype(np.int64) for part, ends in ranges.items()}
    return {part: [str(step) for step in ends] for part, ends in steps.items()}


def require_weights(summary: BlockSummary, spec: Spec) -> None:
    """No part has weights of 0 alone.

    Raises
    ------
    DataError
        With the parts whose weights are all 0.
    """
    if weightless := [part for part in PARTS if not summary.weights.get(part)]:
        raise DataError(
            Problem(
                **_place(spec, "features.labels.weight"),
                stage="split",
                column=spec.features.labels.weight,
                rows=sum(summary.parts[part] for part in weightless),
                found=f"every weight in {listed(weightless)} is 0",
                fix="correct the weights, or leave `weight` out",
            )
        )


def label_classes(summary: BlockSummary, spec: Spec) -> tuple[str, ...]:
    """The label's classes, sorted: by number if all are whole numbers, else by text.

    Raises
    ------
    DataError
        The label has one class (for a binary task: in a part), or train lacks a class of another part.
    """
    known = summary.labels["train"]
    if spec.task == "binary":
        _require_both_classes(summary, spec)
    unseen = Counter[str]()
    for part in PARTS:
        unseen.update({value: rows for value, rows in summary.labels[part].items() if value not in known})
    if unseen:
        found = f"classes that train does not have: {listed(f'{v!r} ({n} rows)' for v, n in unseen.items())}"
        fix = "leave them out with `select.where`, or split in another way"
        raise DataError(_label_problem(spec, found, fix, sum(unseen.values())))
    if spec.task == "binary":
        return ("0", "1")
    if len(known) < 2:
        raise DataError(
            _label_problem(spec, f"the label has one class: {listed(known)}", "multiclass needs at least two")
        )
    whole = all(value.lstrip("-").isdigit() for value in known)
    return tuple(sorted(known, key=(lambda v: (int(v), v)) if whole else (lambda v: (0, v))))


def require_weighted_classes(classes: Sequence[str], spec: Spec) -> None:
    """Every class to which `fit.class_weight` gives a weight is there.

    Raises
    ------
    DataError
        With one problem for each name that is no class.
    """
    weights = spec.fit.class_weight_of(spec.task)
    problems = list[Problem]()
    for name in weights if isinstance(weights, dict) else ():
        if name not in classes:
            key, near = f"fit.class_weight.{name}", f"{nearest(name, classes)}Known: {listed(classes, 12)}"
            found = f"there is no class {name!r}; {near}"
            problems.append(Problem(**_place(spec, key), stage="profile", found=found, fix="correct the name"))
    if problems:
        raise DataError(problems)


def _require_both_classes(summary: BlockSummary, spec: Spec) -> None:
    """A binary label has both classes in every part."""
    for part in PARTS:
        if len(summary.labels[part]) == 1:
            (only,) = summary.labels[part]
            shown = {"0": "false (0)", "1": "true (1)"}.get(only, only)
            found = f"the label has one class in {part}: {shown} in all {summary.parts[part]:,} rows"
            fix = "correct the label's condition, or split in another way"
            raise DataError(_label_problem(spec, found, fix, summary.parts[part]))


def _all_dropped(summary: BlockSummary, table: Table) -> str:
    """What became of the rows, where none is left."""
    counts = summary.counts
    by_where = table.num_rows - table.out_of_range - counts.scanned + counts.where
    return (
        f"0 rows left of {table.num_rows:,}: {table.out_of_range:,} out of range, {by_where:,} by `where`,"
        f" {counts.null_label:,} without a label, {counts.gap:,} in a gap"
    )


def _label_problem(spec: Spec, found: str, fix: str, rows: int | None = None) -> Problem:
    column = spec.features.labels.label
    return Problem(**_place(spec, LABEL_KEY), stage="split", column=column, rows=rows, found=found, fix=fix)


def _place(spec: Spec, key: str) -> dict[str, Any]:
    """File, line and key of a problem."""
    file, line = spec.place(key)
    return {"file": file, "line": line, "key": key}
