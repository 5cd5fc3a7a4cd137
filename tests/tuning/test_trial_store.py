"""What the search's memory makes of a trial's standing: who competes, who does not and why."""

from pathlib import Path
from typing import Any

import pytest
from encoded_fixture import SPEC, context, encoded

from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import rungs
from ray_pipeline.tuning.search import _contest
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep, TrialWorker


def trial_store(folder: Path, search: str) -> TrialStore:
    spec = Spec.from_text(SPEC.replace("seed: 3", search), file="toy.yaml", folder=Path())
    run = RunFolder.create(folder, "toy", "0" * 64)
    return TrialStore(
        spec, _contest(spec, context(rows=100), None), lambda budget: rungs(budget, halving=False), run, lambda *_: None
    )


@pytest.mark.parametrize(
    ("search", "standing", "status", "why"),
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
    memory = trial_store(tmp_path, search)
    config = memory.ask()
    assert config is not None and config["timed"] == ("latency_ms" in search)
    assert (
        memory.report(config["trial"], 0, TrialState(rounds=40, best=0.7, best_rounds=40, model=b"m", **trial_state))
        is False
    )
    result = memory.proposals.results[0]
    assert (result.status, result.why, memory.proposals.best is not None) == (status, why, status == "completed")


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
        training.run_step(TrialStep(trial, "xgboost", params, seed=0, rounds=5, timed=asked))
        for trial, asked in enumerate((True, False))
    )
    assert not timed.failed and 0 < timed.row_ms < 1000 and not_timed.row_ms == 0
