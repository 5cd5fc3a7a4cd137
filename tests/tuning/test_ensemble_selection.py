"""Greedy selection with replacement: against plain oracles, within its caps, and never worse than the best model."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.tuning import ensemble_selection
from ray_pipeline.tuning.ensemble_selection import STEPS, Cap, Caps, Ensemble, EnsembleMember, Worth, select


def worth_of(label: np.ndarray, metric: str = "rmse") -> Worth:
    chosen = metric_of(metric)
    sign = 1 if chosen.better == "higher" else -1
    return lambda scores: sign * float(chosen(label, scores, np.ones(len(label))))


def noisy(seed: int, number: int, rows: int = 40) -> tuple[np.ndarray, list[np.ndarray]]:
    """A label, and scores that miss it by noise of their own; the best first."""
    rng = np.random.default_rng(seed)
    label = rng.normal(size=rows)
    scores = [label + rng.normal(0, rng.uniform(0.3, 1.5), rows) for _ in range(number)]
    return label, sorted(scores, key=lambda one: -worth_of(label)(one))


def mean_of(scores: list[np.ndarray], weights: dict[int, float]) -> np.ndarray:
    return sum(weight * scores[place] for place, weight in weights.items())


def greedy_oracle(scores: list[np.ndarray], worth: Worth, members: int) -> list[int]:
    """The same rule in its plainest form: every mean is computed anew."""
    chosen, best = [0], [0]
    for _ in range(STEPS - 1):
        allowed = [one for one in range(len(scores)) if len({*chosen, one}) <= members]
        worths = [worth(np.mean([scores[i] for i in (*chosen, one)], axis=0)) for one in allowed]
        chosen = [*chosen, allowed[int(np.argmax(np.round(worths, 12)))]]
        if worth(np.mean([scores[i] for i in chosen], axis=0)) > worth(np.mean([scores[i] for i in best], axis=0)):
            best = chosen
    return best


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("members", [2, 3, 8])
def test_it_chooses_what_the_plain_rule_chooses(seed: int, members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble_selection, "PATIENCE", STEPS)
    label, scores = noisy(seed, 6)
    expected = greedy_oracle(scores, worth_of(label), members)
    weights = select(scores, worth_of(label), Caps(members=members))
    assert weights == {one: pytest.approx(expected.count(one) / len(expected)) for one in sorted(set(expected))}


@pytest.mark.parametrize("seed", range(5))
def test_it_is_close_to_the_best_of_all_means_of_as_many_models(seed: int) -> None:
    label, scores = noisy(seed, 4)
    worth = worth_of(label)
    found = worth(mean_of(scores, select(scores, worth, Caps(members=4))))
    every = (one for size in range(1, 9) for one in combinations_with_replacement(range(4), size))
    best = max(worth(np.mean([scores[i] for i in one], axis=0)) for one in every)
    assert worth(scores[0]) < found and -found <= 1.01 * -best


@given(seed=st.integers(0, 10**6), number=st.integers(1, 7), members=st.integers(2, 5))
def test_it_is_never_worse_than_the_best_model_and_weights_add_up_to_one(seed: int, number: int, members: int) -> None:
    label, scores = noisy(seed, number, rows=15)
    worth = worth_of(label)
    weights = select(scores, worth, Caps(members=members))
    assert sum(weights.values()) == pytest.approx(1) and len(weights) <= members
    assert list(weights.values()) == sorted(weights.values(), reverse=True)
    assert worth(mean_of(scores, weights)) >= worth(scores[0]) - 1e-12


@given(seed=st.integers(0, 10**6), most=st.floats(0.5, 6))
def test_members_never_cost_more_than_the_caps_allow(seed: int, most: float) -> None:
    label, scores = noisy(seed, 6, rows=15)
    costs = np.random.default_rng(seed).uniform(0.4, 2.5, 6)
    costs[0] = min(costs[0], most)
    weights = select(scores, worth_of(label), Caps(members=8, costs=(Cap("latency_ms", costs, most),)))
    assert sum(costs[place] for place in weights) <= most


def test_a_member_too_many_for_the_cap_makes_room_for_a_cheaper_one() -> None:
    label = np.array([1.0, 2.0, 3.0, 4.0])
    error = np.array([0.4, -0.4, 0.4, -0.4])
    scores = [label + error, label - error, label - 0.9 * error]
    costs = np.array([1.0, 9.0, 1.0])
    assert set(select(scores, worth_of(label), Caps(members=8))) == {0, 1}
    assert set(select(scores, worth_of(label), Caps(members=8, costs=(Cap("latency_ms", costs, 5.0),)))) == {0, 2}
    assert select(scores, worth_of(label), Caps(members=8, costs=(Cap("latency_ms", costs, 1.5),))) == {0: 1.0}


def test_of_equal_models_the_first_is_taken() -> None:
    label = np.array([0.0, 1.0, 0.0, 1.0])
    score = np.array([0.2, 0.7, 0.4, 0.6])
    assert select([score, score.copy()], worth_of(label, "log_loss"), Caps(members=8)) == {0: 1.0}


def test_classes_are_averaged_class_by_class() -> None:
    label = np.array([0.0, 1.0, 2.0])
    first = np.array([[0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.2, 0.5, 0.3]])
    second = np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]])
    weights = select([first, second], worth_of(label, "log_loss"), Caps(members=2))
    assert set(weights) == {0, 1}


def test_its_record_is_read_back() -> None:
    member = EnsembleMember(trial=3, family="xgboost", weight=1.0, metric=0.8, value=0.8, latency_ms=0.4, size_mb=1.5)
    written = {"metric": "auc", "candidates": 9, "single": 0.8, "value": 0.8, "members": [vars(member)], "why": ""}
    assert Ensemble.from_json(written).members == (member,)
