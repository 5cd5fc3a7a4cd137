"""What a spec says of an ensemble, and `model: auto`."""

import pytest

from ray_pipeline.errors import SpecError
from ray_pipeline.spec import Spec, installed

BASE = """\
name: loans
task: binary
features: {labels: {path: loans.parquet, label: late, key: loan_id}}
split: {by: random}
"""


def spec_of(more: str) -> Spec:
    return Spec.from_text(BASE + more)


def test_auto_is_every_installed_family_and_an_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda library: None if library in ("torch", "catboost") else library)
    spec = spec_of("model: auto")
    assert list(spec.model) == ["linear", "lightgbm", "xgboost"]
    assert spec.as_data()["ensemble"] == {"members": 8, "latency_ms": None, "size_mb": None}
    assert Spec.from_text(spec.render()) == spec and "auto" not in spec.as_data()["model"]


def test_the_families_of_auto_start_in_the_order_of_their_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda library: library)
    families = ["linear", "catboost", "lightgbm", "xgboost", "mlp", "ft_transformer"]
    assert list(spec_of("model: auto").model) == families


def test_auto_under_constraints_is_every_family_that_takes_them() -> None:
    assert set(spec_of("model: auto\nmonotone: {income: increasing}").model) == {"catboost", "lightgbm", "xgboost"}


@pytest.mark.parametrize(
    "more",
    [
        "model: xgboost",
        "model: [xgboost, linear]",
        "model: xgboost\nensemble:",
        "model: auto\nensemble: off",
        "model: auto\nsearch: {trials: 1}",
        "model: auto\nfit: {on: folds}",
    ],
)
def test_there_is_no_ensemble_unless_auto_or_the_spec_asks_for_one(more: str) -> None:
    assert spec_of(more).ensemble == "off"


def test_a_spec_without_an_ensemble_keeps_its_fingerprint() -> None:
    plain = spec_of("model: xgboost")
    assert spec_of("model: xgboost\nensemble: off").fingerprint == plain.fingerprint
    assert spec_of("model: xgboost\nensemble: {members: 4}").fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("more", "key", "found"),
    [
        ("ensemble: on", "ensemble", "expected off or a mapping such as {members: 8}, got 'on'"),
        ("ensemble: {members: 1}", "ensemble.members", "expected a whole number from 2 to 64, got 1"),
        ("ensemble: {latency_ms: 0}", "ensemble.latency_ms", "expected a number above 0, got 0"),
        ("ensemble: {size: 5}", "ensemble.size", "unknown key 'size'"),
        (
            "ensemble: {members: 3}\nsearch: {trials: 1}",
            "ensemble",
            "an ensemble has several models, and search.trials is 1",
        ),
        (
            "ensemble: {members: 3}\nfit: {on: folds}",
            "ensemble",
            "folds are of one winner, and an ensemble has several",
        ),
    ],
)
def test_what_cannot_be_is_named_before_any_work(more: str, key: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(f"model: xgboost\n{more}")
    (problem,) = caught.value.problems
    assert (problem.key, found in problem.found) == (key, True)
