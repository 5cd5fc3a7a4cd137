"""What the search's memory makes of a trial's state: which trials compete, which do not and why, and what is kept."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_fixture import SPEC, context, encoded
from run_fixture import Told, run_at

from ray_pipeline.plain_json import plain
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.digests import trials_digest
from ray_pipeline.runs.reproducibility import pin
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.pruner import rungs_of
from ray_pipeline.tuning.recorded_trials import RecordedTrials
from ray_pipeline.tuning.search import allocate
from ray_pipeline.tuning.time_budget import TimeBudget
from ray_pipeline.tuning.trial_store import SCORES_FILE, TrialStore
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep, TrialWorker


def run_in(folder: Path, search: str = "seed: 3") -> Run:
    return run_at(folder, Spec.from_text(SPEC.replace("seed: 3", search), file="toy.yaml", folder=Path()))


def store_of(run: Run, progress: Told | None = None, candidates: int = 0) -> TrialStore:
    """A store that has handed out nothing yet; on a folder with a journal, as a resumed run has it."""
    run.progress = progress or Told()
    allocation = allocate(run.spec, context(rows=100), None)
    return TrialStore(
        allocation, lambda budget: rungs_of(budget, halving=False), run, TimeBudget.of(run.spec), candidates
    )


def ended(best: float, model: bytes = b"m", **more: Any) -> TrialState:
    return TrialState(rounds=40, best=best, best_rounds=40, ended=True, model=model, **more)


def drive(store: TrialStore, scores: dict[int, float]) -> list[int]:
    """Run the trials of the store one after another; the numbers of those that were run."""
    ran = []
    while (config := store.ask()) is not None:
        trial = config["trial"]
        ran.append(trial)
        kept = {"scores": np.full(3, trial, np.float32)} if config["keep_scores"] else {}
        store.report(trial, 0, ended(scores[trial], b"model %d" % trial, **kept))
    return ran


SCORES = {0: 0.7, 1: 0.6, 2: 0.8, 3: 0.75, 4: 0.5, 5: 0.78}


@pytest.mark.parametrize(
    ("search", "trial_state", "status", "why"),
    [
        ("seed: 3", {"ended": True, "row_ms": 50.0}, "completed", ""),
        ("seed: 3, latency_ms: 2", {"ended": True, "row_ms": 1.9}, "completed", ""),
        (
            "seed: 3, latency_ms: 2",
            {"ended": True, "row_ms": 2.5},
            "stopped",
            "a row takes 2.5 ms, more than search.latency_ms",
        ),
        (
            "seed: 3, trial_seconds: 9",
            {"ended": True, "late": True, "seconds": 9.5},
            "stopped",
            "it took longer than search.trial_seconds",
        ),
        ("seed: 3, time: 1h", {"ended": True, "late": True, "seconds": 9.5}, "completed", "search.time was up"),
    ],
)
def test_a_model_that_is_too_slow_does_not_compete(
    search: str, trial_state: dict[str, Any], status: str, why: str, tmp_path: Path
) -> None:
    store = store_of(run_in(tmp_path, search))
    config = store.ask()
    assert config is not None and config["timed"] == ("latency_ms" in search)
    assert (
        store.report(config["trial"], 0, TrialState(rounds=40, best=0.7, best_rounds=40, model=b"m", **trial_state))
        is False
    )
    result = store.allocation.results[0]
    assert (result.status, result.why, store.allocation.best is not None) == (status, why, status == "completed")


def test_only_the_model_of_the_best_trial_is_kept_and_every_trial_is_journalled(tmp_path: Path) -> None:
    run, told = run_in(tmp_path), Told()
    assert drive(store_of(run, told), SCORES) == list(range(6))
    files = [file.relative_to(run.folder.path).as_posix() for file in (run.folder.path / "trials").rglob("model.*")]
    assert files == ["trials/0002/model.ubj"]
    assert (run.folder.path / files[0]).read_bytes() == b"model 2"
    assert run.journal.steps("trial-") == [f"trial-{number:04d}" for number in range(6)]
    assert told.trials == [1, 2, 3, 4, 5, 6]


def test_candidates_for_an_ensemble_keep_model_and_scores_and_no_other_trial_does(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    drive(store_of(run, candidates=3), SCORES)
    files = sorted(file.relative_to(run.folder.path / "trials") for file in run.folder.path.glob("trials/*/*"))
    kept = [(f"{trial:04d}", name) for trial in (2, 3, 5) for name in ("model.ubj", SCORES_FILE)]
    assert [file.parts for file in files] == kept
    assert np.load(run.folder.path / "trials/0005" / SCORES_FILE).tolist() == [5.0, 5.0, 5.0]
    ranked = store_of(run).allocation.candidates(2)
    assert ranked == []
    again = store_of(run, candidates=3)
    assert again.ask() is None and [one.trial for one in again.allocation.candidates(3)] == [2, 5, 3]


def test_a_candidate_whose_scores_were_changed_is_run_again(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    drive(store_of(run, candidates=3), SCORES)
    (run.folder.path / "trials/0005" / SCORES_FILE).write_bytes(b"other scores")
    assert drive(store_of(run, candidates=3), SCORES) == [5]
    assert drive(store_of(run, candidates=3), SCORES) == []


def test_a_resumed_search_replays_its_journal_and_runs_only_what_is_not_in_it(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    first = store_of(run)
    drive(first, SCORES)
    again = store_of(run)
    assert again.ask() is None and again.over
    assert again.allocation.results == first.allocation.results and again.allocation.best == first.allocation.best
    (run.folder.path / "journal" / "trial-0005.json").unlink()
    assert drive(store_of(run), SCORES) == [5]


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_trial_whose_model_is_lost_is_run_again(damage: str, tmp_path: Path) -> None:
    run = run_in(tmp_path, "seed: 3, deterministic: false")
    drive(store_of(run), SCORES)
    for step in run.journal.steps("trial-"):
        if step > "trial-0002":
            (run.folder.path / "journal" / f"{step}.json").unlink()
    file = run.folder.path / "trials/0002/model.ubj"
    file.unlink() if damage == "removed" else file.write_bytes(b"model X")
    ran = drive(store_of(run), SCORES)
    assert ran == [2, 3, 4, 5] and file.read_bytes() == b"model 2"


def test_a_record_of_another_proposal_is_not_believed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    drive(store_of(run), SCORES)
    record = run.journal.recorded("trial-0001")
    assert record is not None
    run.journal.record("trial-0001", {**record, "params": {**record["params"], "max_depth": 99}})
    assert drive(store_of(run), SCORES) == [1]


def test_a_failed_trial_has_its_cause_and_no_score_and_a_trial_that_never_began_is_handed_out_again(
    tmp_path: Path,
) -> None:
    run = run_in(tmp_path)
    store = store_of(run)
    first, second = store.ask(), store.ask()
    assert first is not None and second is not None
    assert store.report(first["trial"], 0, TrialState(failed="XGBoostError: no")) is False
    store.ask_again(second["trial"])
    assert store.ask() == {**second, "seconds": math.inf}
    result = store.allocation.results[0]
    assert (result.status, result.why, result.metric, result.rungs) == ("failed", "XGBoostError: no", None, ())
    assert store.finalists() == set() and not (run.folder.path / "trials").exists()
    recorded = run.journal.recorded("trial-0000")
    assert recorded is not None and recorded["why"] == "XGBoostError: no" and recorded["model_sha256"] is None


def test_a_search_ends_at_its_target_or_when_its_time_is_up(tmp_path: Path) -> None:
    assert drive(store_of(run_in(tmp_path, "seed: 3, target: 0.79")), SCORES) == [0, 1, 2]
    timed = store_of(run_in(tmp_path, "seed: 3, time: 1h"))
    assert 3590 < timed.seconds_left <= 3600 and not timed.over
    timed.budget.began -= 3601
    assert timed.over and timed.ask() is None


def test_a_trial_stops_at_its_rung_where_the_time_left_is_that_of_the_refit(tmp_path: Path) -> None:
    store = store_of(run_in(tmp_path, "seed: 3, time: 1h"))
    first, second = store.ask(), store.ask()
    assert first is not None and second is not None
    assert second["seconds"] == pytest.approx(second["seconds_with_refit"]) and second["refit_share"] == 1.0
    assert store.report(second["trial"], 0, TrialState(rounds=10, best=0.6, best_rounds=10)) is True
    state = TrialState(rounds=40, best=0.7, best_rounds=40, ended=True, model=b"m", seconds=1_800.0)
    assert store.report(first["trial"], 0, state) is False
    store.budget.began -= 1_000
    assert store.report(second["trial"], 1, TrialState(rounds=20, best=0.8, best_rounds=20)) is True
    store.budget.began -= 800  # half an hour is left, and the best trial took as long
    assert store.report(second["trial"], 2, TrialState(rounds=30, best=0.9, best_rounds=30)) is False
    result = store.allocation.results[second["trial"]]
    assert (result.status, result.why, store.over) == ("stopped", "search.time was up", True)


@pytest.mark.ray
def test_a_model_is_timed_where_that_is_asked(ray_local: None) -> None:
    training = TrialWorker(encoded(900), context(), "auc")
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=Path())
    space = spec.model["xgboost"].space(context(rows=540))
    params = {
        **space,
        **{
            name: value
            for name, value in type(spec.model["xgboost"]).start.items()
            if name in space and name != "objective"
        },
    }
    timed, not_timed = (
        training.run_step(TrialStep(trial=trial, family="xgboost", params=params, seed=0, rounds=5, timed=asked))
        for trial, asked in enumerate((True, False))
    )
    assert not timed.failed and 0 < timed.row_ms < 1000 and not_timed.row_ms == 0


def test_trials_that_a_clock_decided_are_repeated_as_they_were(tmp_path: Path) -> None:
    timed = "seed: 3, time: 1h"
    run = run_in(tmp_path / "first", timed)
    store = store_of(run)
    states = {
        0: TrialState(rounds=40, best=0.7, best_rounds=30, ended=True, model=b"0"),
        1: TrialState(rounds=15, best=0.8, best_rounds=15, ended=True, late=True, model=b"1"),
        2: TrialState(failed="XGBoostError: no"),
    }
    for trial, state in states.items():
        assert store.ask() is not None
        store.report(trial, 0, state)
    store.budget.began -= 3601
    assert store.over
    results = store.allocation.results
    again = run_in(tmp_path / "again", "seed: 3, deterministic: false")
    again.spec = again.spec.model_copy(update={"search": again.spec.search.model_copy(update={"trials": 3})})
    pin(again.journal, {"plan": {}, "trials": [plain(asdict(results[trial])) for trial in states]}, verify=False)
    allocation = allocate(again.spec, context(rows=100), None)
    again.progress = Told()
    repeated_budget = TimeBudget.of(again.spec)
    repeated = RecordedTrials(allocation, lambda budget: rungs_of(budget, halving=True), again, repeated_budget)
    for trial in (0, 1):
        config = repeated.ask()
        assert config is not None and dict(config["params"]) == dict(results[trial].params)
        assert [rung.rounds for rung in config["rungs"]] == [rounds for rounds, _ in results[trial].rungs]
        repeated.report(trial, 0, replace(states[trial], late=False))
    assert repeated.ask() is None and repeated.over
    assert trials_digest(allocation.results.values()) == trials_digest(results.values())
    assert allocation.results[1].why == "search.time was up" and allocation.best == results[1]


def test_a_trial_stops_at_the_rung_where_it_should_have_and_its_slot_learns_of_it_at_the_next(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.progress = Told()
    allocation = allocate(run.spec, context(rows=100), None)
    store = TrialStore(allocation, lambda budget: rungs_of(budget, halving=True), run, TimeBudget.of(run.spec))
    trials = [store.ask(), store.ask(), store.ask()]
    assert all(trials)

    def reach(trial: int, rung: int, best: float, **more: Any) -> bool:
        return store.report(trial, rung, TrialState(rounds=10 * (rung + 1), best=best, best_rounds=rung + 1, **more))

    assert [reach(0, rung, 0.9) for rung in (0, 1)] == [True, True] and reach(
        0, 2, 0.9, ended=True, model=b"0"
    ) is False
    assert [reach(2, rung, 0.8) for rung in (0, 1)] == [True, True]  # trial 1 has not come to the first rung yet
    assert reach(1, 0, 0.85) is True
    stopped = allocation.results[2]
    assert (stopped.status, stopped.rungs, stopped.metric, stopped.rounds) == ("stopped", ((10, 0.8),), 0.8, 1)
    assert reach(2, 2, 0.99, ended=True, model=b"2") is False and allocation.results[2] == stopped
    assert reach(1, 1, 0.85) is True and reach(1, 2, 0.95, ended=True, model=b"1") is False
    assert allocation.best is not None and allocation.best.trial == 1


def test_a_trial_that_has_trained_to_its_end_competes_when_those_before_it_are_judged(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.progress = Told()
    allocation = allocate(run.spec, context(rows=100), None)
    store = TrialStore(allocation, lambda budget: rungs_of(budget, halving=True), run, TimeBudget.of(run.spec))
    assert store.ask() and store.ask() and store.ask()
    assert store.report(0, 0, TrialState(failed="XGBoostError: no")) is False
    assert store.report(2, 0, TrialState(rounds=9, best=0.8, best_rounds=9)) is True
    assert store.report(2, 1, ended(0.9, b"late")) is False
    assert 2 not in allocation.results and not (run.folder.path / "trials").exists()
    assert store.report(1, 0, ended(0.7)) is False
    assert allocation.results[2].status == "completed" and allocation.best == allocation.results[2]
    assert (run.folder.path / "trials/0002/model.ubj").read_bytes() == b"late"
