"""pandas' own tests of `merge_asof`, with our join in its place: `pytest -p pandas_asof_adapter --pyargs TESTS`.

pandas makes the frame; the values of the right table's columns are then taken from the rows that our join finds. What
our join does not offer (other directions, no exact matches, floats as times) stays as pandas made it, and is counted.
"""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ray_pipeline.column_types import plain_column
from ray_pipeline.data.as_of_join import JoinOptions, as_of_table
from ray_pipeline.data.input_table import timestamps
from ray_pipeline.data.join_keys import finest_unit

TESTS = "pandas.tests.reshape.merge.test_merge_asof"
ORIGINAL = pd.merge_asof
COUNTS = {"joined": 0, "not offered": 0}


def merge_asof(left: Any, right: Any, on: Any = None, **options: Any) -> Any:
    """As pandas' function."""
    made = ORIGINAL(left, right, on=on, **options)
    given = {
        "direction": "backward",
        "allow_exact_matches": True,
        "suffixes": ("_x", "_y"),
        **{name: value for name, value in options.items() if value is not None},
    }
    frames = isinstance(left, pd.DataFrame) and isinstance(right, pd.DataFrame)
    times = [_times(frame, on, side, given) for frame, side in ((left, "left"), (right, "right")) if frames] or [None]
    if given["direction"] != "backward" or not given["allow_exact_matches"] or None in times or not len(right):
        COUNTS["not offered"] += 1
        return made
    COUNTS["joined"] += 1
    keys = [_keys(frame, side, given) for frame, side in ((left, "left"), (right, "right"))]
    rows = _rows(times, keys, given.get("tolerance"))
    for name in right.columns:
        if name == given.get("right_on") and given.get("left_index"):
            continue  # pandas shows the left index there
        shown = name if name in made.columns and name not in left.columns else f"{name}{given['suffixes'][1]}"
        if shown in made.columns and shown not in left.columns:
            made[shown] = pd.Series(
                right[name].array.take(rows, allow_fill=True), index=made.index, dtype=made[shown].dtype
            )
    return made


def _times(frame: Any, on: Any, side: str, given: dict[str, Any]) -> pa.ChunkedArray | None:
    """The times of one side, or None if our join has no such time."""
    name = given.get(f"{side}_on", on)
    if not given.get(f"{side}_index") and not (isinstance(name, str) and name in frame.columns):
        return None  # an array, or a level of the index
    column = frame.index if given.get(f"{side}_index") else frame[name]
    try:
        values = plain_column(pa.chunked_array([pa.array(column)]))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError):
        return None
    if pa.types.is_integer(values.type):
        return timestamps(values, "us", "time")
    return values if pa.types.is_timestamp(values.type) else None


def _keys(frame: Any, side: str, given: dict[str, Any]) -> list[pa.ChunkedArray]:
    names = given.get(f"{side}_by", given.get("by"))
    if names is None:
        return [pa.chunked_array([np.zeros(len(frame), np.int64)])]
    names = names if isinstance(names, list) else [names]
    columns = [frame.index.get_level_values(name) if name not in frame.columns else frame[name] for name in names]
    return [pa.chunked_array([pa.array(column, from_pandas=True)]) for column in columns]


def _rows(times: Any, keys: Any, tolerance: Any) -> Any:
    """The row of the right table for each row of the left one, -1 for none."""
    names = [f"k{place}" for place in range(len(keys[1]))]
    columns = {name: plain_column(key) for name, key in zip(names, keys[1], strict=True)}
    table = pa.table({**columns, "t": times[1], "row": np.arange(len(times[1]))})
    age = timedelta(microseconds=int(tolerance)) if isinstance(tolerance, int | np.integer) else tolerance
    options = JoinOptions(
        name="f",
        on=names,
        columns=["row"],
        time="t",
        max_age=None if age is None else pd.Timedelta(age).to_pytimedelta(),
        unit=finest_unit(*(one.type for one in times)),
    )
    joined, _ = as_of_table(table, options).join(keys[0], times[0])
    return joined["f.row"].fill_null(-1).to_numpy()


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our join in the place of pandas' own."""
    monkeypatch.setattr(pd, "merge_asof", merge_asof)


def pytest_sessionfinish() -> None:
    """Says how many joins were made by whom."""
    Path(os.environ["ASOF_COUNTS"]).write_text(json.dumps(COUNTS))
