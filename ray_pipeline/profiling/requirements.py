"""What the pass over the rows may show that ends a run at once: repeated keys, empty parts, a label with one class."""

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.data.read import Table
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import distinct
from ray_pipeline.profiling.block_summary import BlockSummary
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS

MIN_ROWS = 50


def refuse_repeated_keys(hashes: NDArray[np.uint64], spec: Spec) -> None:
    """Raises `DataError` for repeated keys: two rows of one key would be two answers to one question (64-bit hashes; a
    false alarm is one in 10^8 at 600,000 rows)."""
    doubled = len(hashes) - len(distinct(hashes))
    if doubled:
        file, line = spec.place("features.labels.key")
        key = spec.features.labels.key
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.key",
                stage="profile",
                column=key,
                rows=doubled,
                found=f"{key!r} is not unique: {doubled:,} rows repeat a key",
                fix="name a unique key, or leave `key` out",
            )
        )


def refuse_empty_parts(state: BlockSummary, table: Table, spec: Spec) -> None:
    """Raises `DataError` where a part holds no row, with what became of all rows, or where there are fewer than
    `LEAST_ROWS` in all."""
    empty, rows = [part for part in PARTS if not state.parts.get(part)], sum(state.parts.values())
    if not empty and rows >= MIN_ROWS:
        return
    counts = state.counts
    file, line = spec.place("split")
    if not any(state.parts.values()):
        left = table.num_rows - table.out_of_range
        raise DataError(
            Problem(
                stage="read",
                rows=0,
                found=(
                    f"0 rows left of {table.num_rows:,}: {table.out_of_range:,} out of range,"
                    f" {left - counts.scanned + counts.where:,} by `where`, {counts.null_label:,} without a label,"
                    f" {counts.gap:,} in a gap"
                ),
                fix="widen `select`",
            )
        )
    if not empty:
        found = f"{rows:,} rows are left of {table.num_rows:,}; train, validation and test need {MIN_ROWS} together"
        raise DataError(
            Problem(
                file=file, line=line, stage="split", rows=rows, found=found, fix="widen `select`, or bring more rows"
            )
        )
    found = (
        f"{listed(empty)} {'is' if len(empty) == 1 else 'are'} empty: "
        + ", ".join(f"{part} {state.parts.get(part, 0):,}" for part in PARTS)
        + " rows"
    )
    times = (
        f"; labels.time goes from {min(s[0] for s in state.spans.values())} to"
        f" {max(s[1] for s in state.spans.values())}"
        if state.spans
        else ""
    )
    raise DataError(
        Problem(
            file=file,
            line=line,
            key="split",
            stage="split",
            rows=0,
            found=found + times,
            fix="move the cut dates" if spec.split.by == "time" else "ask for larger shares",
        )
    )


def refuse_weightless_parts(state: BlockSummary, spec: Spec) -> None:
    """Raises `DataError` where all rows of a part weigh nothing."""
    none = [part for part in PARTS if not state.weights.get(part)]
    if none:
        file, line = spec.place("features.labels.weight")
        found = f"every weight in {listed(none)} is 0"
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.weight",
                stage="split",
                column=spec.features.labels.weight,
                rows=sum(state.parts[part] for part in none),
                found=found,
                fix="mend the weights, or leave `weight` out",
            )
        )


def classes_of(state: BlockSummary, spec: Spec) -> tuple[str, ...]:
    """The label's classes, sorted. Raises `DataError` where there is one only, or where train lacks one."""
    file, line = spec.place("features.labels.label")
    text = spec.features.labels.label
    for part in PARTS:
        if len(state.labels[part]) == 1 and spec.task == "binary":
            (only,) = state.labels[part]
            shown = {"0": "false (0)", "1": "true (1)"}.get(only, only)
            raise DataError(
                Problem(
                    file=file,
                    line=line,
                    key="features.labels.label",
                    stage="split",
                    column=text,
                    rows=state.parts[part],
                    found=f"the label has one class in {part}: {shown} in all {state.parts[part]:,} rows",
                    fix="mend the label's condition, or split otherwise",
                )
            )
    known = state.labels["train"]
    unseen = {value: count for part in PARTS for value, count in state.labels[part].items() if value not in known}
    if unseen:
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.label",
                stage="split",
                column=text,
                rows=sum(unseen.values()),
                found=f"classes that train never shows: {listed(f'{v!r} ({n} rows)' for v, n in unseen.items())}",
                fix="leave them out with `select.where`, or split otherwise",
            )
        )
    if spec.task == "binary":
        return ("0", "1")
    if len(known) < 2:
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.label",
                stage="split",
                column=text,
                found=f"the label has one class: {listed(known)}",
                fix="multiclass needs at least two",
            )
        )
    whole = all(value.lstrip("-").isdigit() for value in known)
    return tuple(sorted(known, key=(lambda v: (int(v), v)) if whole else (lambda v: (0, v))))
