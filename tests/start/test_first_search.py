"""The first search of a large table has fewer and larger steps, and time for a trial on each slot."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ray_pipeline.start import first_search
from ray_pipeline.start.draft import Draft


def drafted(rows: int, features: int, classes: int = 2) -> Draft:
    task = "multiclass" if classes > 2 else "binary"
    label = SimpleNamespace(counts=dict.fromkeys(map(str, range(classes)), 1), task=task)
    parts = {"label": label, "labels": SimpleNamespace(num_rows=rows), "features": range(features)}
    return cast(Draft, SimpleNamespace(**parts))


@pytest.mark.parametrize(
    ("rows", "features", "classes", "rounds", "rate", "time"),
    [
        (48_000, 14, 2, None, None, "30s"),
        (20_000, 16, 26, 50, [0.2, 0.5], "30s"),
        (300_000, 20, 2, 80, [0.12, 0.34], "30s"),
        (1_500_000, 31, 2, 20, [0.3, 0.7], "1m"),
        (100_000_000, 30, 2, 20, [0.3, 0.7], "2m"),
    ],
)
def test_steps_and_time_follow_from_the_seconds_of_a_round(
    rows: int, features: int, classes: int, rounds: int | None, rate: list[float] | None, time: str
) -> None:
    draft = drafted(rows, features, classes)
    wanted: Any = "xgboost"
    if rounds is not None:
        wanted = {"xgboost": {"num_boost_round": rounds, "learning_rate": {"log": rate}}}
    assert first_search.model(draft).value == wanted
    assert first_search.time(draft).value == time
    assert (first_search.time(draft).why == "") == (time == "30s")
