"""Constraints of the spec become signs and groups of matrix columns."""

from typing import Any

import numpy as np
import pytest

from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.errors import SpecError
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.constraints import interaction_groups, monotone_signs

BASE = """\
name: loans
task: {task}
features: {{labels: {{path: loans.parquet, label: bad, key: id}}}}
split: {{by: random}}
model: {model}
monotone: {monotone}
"""
NUMBER = ColumnSummary(kind="number", missing=3, counts={}, sample=np.arange(9.0))
CATEGORY = ColumnSummary(kind="category", missing=0, counts={"a": 3, "b": 2}, sample=np.empty(0))
ENCODER = Trees.fit({"amount": NUMBER, "kind": CATEGORY, "w.income": NUMBER, "age": NUMBER}, {"amount": {"flag": True}})


def spec_of(monotone: str, *, task: str = "binary", model: str = "xgboost") -> Spec:
    return Spec.from_text(BASE.format(task=task, model=model, monotone=monotone), file="loans.yaml")


def test_signs_stand_at_the_columns_of_the_numbers() -> None:
    assert ENCODER.columns == ("amount", "amount is missing", "kind", "w.income", "age")
    signs = monotone_signs(spec_of("{income: increasing, amount: decreasing}"), {"trees": ENCODER})
    assert signs == {"trees": (-1, 0, 0, 1, 0)}
    assert monotone_signs(spec_of("{}"), {"trees": ENCODER}) == {}


def test_a_column_that_is_not_encoded_has_no_sign_and_a_table_may_be_written() -> None:
    signs = monotone_signs(spec_of("{constant: increasing, labels.age: increasing}"), {"trees": ENCODER})
    assert signs == {"trees": (0, 0, 0, 0, 1)}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "multiclass"}, "monotone: constraints are on one score, but the task is multiclass"),
        (
            {"model": "linear"},
            "model.linear: 'linear' takes no monotone constraints · Fix: use catboost, lightgbm, xgboost",
        ),
    ],
)
def test_a_task_or_family_without_constraints_is_refused_by_check(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec_of("{amount: increasing}", **given)
    assert told in str(refused.value)


def test_another_direction_is_refused() -> None:
    with pytest.raises(SpecError, match=r"monotone\.amount"):
        spec_of("{amount: up}")


def with_groups(groups: str, model: str = "xgboost") -> Spec:
    text = BASE.format(task="binary", model=model, monotone="{}")
    return Spec.from_text(f"{text}interactions: {groups}\n", file="loans.yaml")


def test_groups_hold_every_matrix_column_of_a_column_and_the_other_columns_are_alone() -> None:
    groups = interaction_groups(with_groups("[[amount, income], [income, kind]]"), {"trees": ENCODER})
    assert groups == {"trees": ((0, 1, 3), (2, 3), (4,))}
    assert interaction_groups(spec_of("{}"), {"trees": ENCODER}) == {}


def test_a_column_that_is_not_encoded_is_in_no_group() -> None:
    groups = interaction_groups(
        with_groups("[[amount, constant], [constant, other], [labels.age, kind]]"), {"trees": ENCODER}
    )
    assert groups == {"trees": ((0, 1), (2, 4), (3,))}


@pytest.mark.parametrize(
    ("groups", "model", "told"),
    [
        (
            "[[amount, kind]]",
            "catboost",
            "model.catboost: 'catboost' takes no interaction constraints",
        ),
        ("[amount, kind]", "xgboost", "interactions[0]: 'amount' is alone in its group"),
        ("[[amount, kind], []]", "xgboost", "interactions[1]: the list is empty"),
    ],
)
def test_groups_that_mean_nothing_are_refused_by_check(groups: str, model: str, told: str) -> None:
    with pytest.raises(SpecError) as refused:
        with_groups(groups, model)
    assert told in str(refused.value)
