"""Times that are whole numbers without an origin, such as the years of a panel: spec key `time_unit: step`."""

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.hashing import distinct, hash_rows
from ray_pipeline.start.roles import is_key_like, time_role
from ray_pipeline.start.table import StartTable, Steps, is_name
from ray_pipeline.start.words import STEPS, words

MIN_STEPS, MIN_ROWS_EACH = 8, 4
"""Different steps, and rows of each value of the panel's other column, from where steps order the rows."""


def with_steps(table: StartTable, label: Collection[str]) -> StartTable:
    """The table with its steps as the time, if it is a panel that has no other time.

    Parameters
    ----------
    table
        The labels.
    label
        The columns that the label reads.
    """
    free = [name for name in table.names if name not in label and is_name(name)]
    if not table.is_whole or any(time_role(table, name) for name in free):
        return table
    steps = next(filter(None, (_steps(table, name, free) for name in free)), None)
    return replace(table, steps=steps) if steps else table


def _steps(table: StartTable, name: str, others: Collection[str]) -> Steps | None:
    """The column as steps: its name says so, and another column has one row for each of them."""
    if not pa.types.is_integer(table.type(name)) or not words(name) & STEPS:
        return None
    steps = table.column(name)
    num_steps, rows = pc.count_distinct(steps).as_py(), len(steps)
    if steps.null_count or num_steps < MIN_STEPS:
        return None
    for other in others:
        if other == name or not is_key_like(table, other):
            continue
        values = table.column(other)
        num_values = pc.count_distinct(values).as_py()
        if values.null_count or not max(2, rows / num_steps) <= num_values <= rows / MIN_ROWS_EACH:
            continue
        if len(distinct(hash_rows(pa.table({name: steps, other: values})))) == rows:
            ends = pc.min_max(steps).as_py()
            span = f"{num_steps} steps from {ends['min']} to {ends['max']}"
            why = f"{span}, at most one row for each step of each {other}"
            return Steps(column=name, each=other, why=why)
    return None
