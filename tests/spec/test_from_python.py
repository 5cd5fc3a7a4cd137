"""A spec that Python wrote obeys the limits of a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_pipeline.errors import SpecError
from ray_pipeline.spec import Spec

SPEC: dict[str, Any] = {
    "name": "a",
    "task": "regression",
    "features": {"labels": {"path": Path("rows.parquet"), "label": "y"}},
    "split": {"by": "random"},
    "model": "xgboost",
}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("\ud800", "holds half of a character"),
        ({"\ud800": 1}, "holds half of a character"),
        (float("nan"), "nan is not finite"),
        (np.float64("-inf"), "-inf is not finite"),
        (10**400, "a whole number has more than 308 digits"),
        (nested(5_000), "more than 32 levels of nesting"),
        ({1: 2}, "the key 1 is not text"),
    ],
    ids=["half", "half key", "nan", "infinite", "long", "deep", "number as key"],
)
def test_what_no_file_can_say_is_refused_by_name(value: Any, found: str) -> None:
    with pytest.raises(SpecError) as raised:
        Spec.from_dict({**SPEC, "search": {"target": value}})
    assert found in raised.value.problems[0].found


def test_values_of_python_are_those_of_a_file() -> None:
    joined = {**SPEC, "features": {"labels": {"path": "\ud83d\ude00.parquet", "label": "y"}}, "seed": np.int64(3)}
    assert Spec.from_dict(joined).features.labels.path == "😀.parquet"
    assert Spec.from_dict({**SPEC, "search": {"target": 1e308}}).search.target == 1e308
