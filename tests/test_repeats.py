"""`run --repeat`: which specs are run, and what the answer says of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from ray_pipeline.errors import NoTrialFinished, Problem, SpecError
from ray_pipeline.repeats import repeat, with_seed
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.spec.table_fields import with_paths

SPEC = Spec.from_text("""\
name: loans
task: binary
features: {labels: {path: loans.parquet, label: bad, key: id}}
split: {by: random, seed: 5}
model: {xgboost: {max_depth: {int: [3, 5]}}}
search: {trials: 4, seed: 11}
evaluate: {threshold: {maximize: f1}}
gates: [auc >= champion]
explain: {rows: 100}
seed: 7
""")


def release_of(spec: Spec, auc: float | None) -> Release:
    return Release(
        run=f"loans-{spec.seed}",
        status="registered" if spec.registration else "unregistered",
        exit=0,
        model="models:/loans/1" if spec.registration else None,
        version=1 if spec.registration else None,
        family="xgboost",
        fit={},
        metrics={"auc": {"value": auc, "low": None, "high": None}},
        gates=(),
        num_trials=4,
        rows={},
        seconds={},
        report="runs/loans/report.html",
    )


def test_the_own_seed_is_run_as_it_is_and_the_others_register_and_judge_nothing() -> None:
    seen: list[Spec] = []
    values = iter([0.8, 0.7, 0.9])

    def run(spec: Spec) -> Release:
        seen.append(spec)
        return release_of(spec, next(values))

    answer = repeat(SPEC, 3, run)
    assert seen[0] is SPEC
    assert [(spec.seed, spec.search.seed) for spec in seen] == [(7, 11), (8, 12), (9, 13)]
    assert [bool(spec.registration) for spec in seen] == [True, False, False]
    assert [len(spec.gates) for spec in seen] == [1, 0, 0] and not seen[1].needs_registry
    assert {spec.split.seed for spec in seen} == {5}, "the parts stay"
    assert len({spec.fingerprint for spec in seen}) == 3
    assert answer["model"] == "models:/loans/1" and answer["run"] == "loans-7"
    assert [(one["seed"], one["run"], one["status"]) for one in answer["repeats"]] == [
        (7, "loans-7", "registered"),
        (8, "loans-8", "unregistered"),
        (9, "loans-9", "unregistered"),
    ]
    assert [one["metrics"]["auc"] for one in answer["repeats"]] == [0.8, 0.7, 0.9]
    assert answer["mean"]["auc"] == pytest.approx(0.8) and answer["spread"]["auc"] == pytest.approx(0.1)


def test_nothing_but_seeds_gates_registration_and_explanation_differs() -> None:
    own, other = SPEC.as_data(), with_seed(SPEC, 1).as_data()
    assert {key for key in own if own[key] != other[key]} == {"seed", "search", "gates", "register", "explain"}
    assert {key for key in own["search"] if own["search"][key] != other["search"][key]} == {"seed"}


def test_a_repeat_that_fails_is_told_and_the_others_count() -> None:
    def run(spec: Spec) -> Release:
        if spec.seed == 8:
            raise NoTrialFinished(Problem(stage="search", found="0 of 4 trials finished"))
        return release_of(spec, None if spec.seed == 9 else 0.6)

    answer = repeat(SPEC, 4, run)
    assert [one["status"] for one in answer["repeats"]] == ["registered", "error", "unregistered", "unregistered"]
    assert answer["repeats"][1]["problems"][0]["found"] == "0 of 4 trials finished"
    assert (answer["exit"], answer["mean"]["auc"], answer["spread"]["auc"]) == (0, 0.6, 0.0)
    alone = repeat(SPEC, 1, run)
    assert (alone["mean"]["auc"], alone["spread"]["auc"]) == (0.6, None)


@pytest.mark.parametrize("times", [0, -1, 101])
def test_a_number_of_seeds_that_means_nothing_is_refused_before_anything_runs(times: int) -> None:
    with pytest.raises(SpecError, match=f"expected a number of seeds from 1 to 100, got {times}"):
        repeat(SPEC, times, lambda spec: pytest.fail("it ran"))


def test_all_seeds_see_the_rows_that_the_own_run_has_read_of_a_query(tmp_path: Path) -> None:
    query = {"kind": "sql", "url": "sqlite:///loans.db", "query": "SELECT 1", "label": "bad", "key": "id"}
    spec = Spec.from_dict({**SPEC.as_data(), "features": {"labels": query}}, folder=tmp_path)
    seen: list[Spec] = []

    def run(one: Spec) -> Release:
        seen.append(one)
        (tmp_path / "spec.yaml").write_text(with_paths(one, {"labels": str(tmp_path / "tables/labels")}).render())
        return replace(release_of(one, 0.5), report=f"{tmp_path}/report.html")

    repeat(spec, 2, run)
    assert [one.features.labels.path for one in seen] == ["(query)", str(tmp_path / "tables/labels")]
