"""A fair contest: a slow default waits for the other families, and within noise the cheaper family wins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from encoded_fixture import SPEC, encoders
from run_fixture import Told, run_at

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.spec import Spec
from ray_pipeline.tuning import time_budget, trial_store
from ray_pipeline.tuning.family_allocation import CUT, CUT_SHARES, SEVERAL
from ray_pipeline.tuning.leaderboard import FamilyRank, Leaderboard, choose_family
from ray_pipeline.tuning.pruner import rungs_of
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.search import allocate
from ray_pipeline.tuning.time_budget import TimeBudget
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState

BEST = {"xgboost": 0.8, "mlp": 0.81, "linear": 0.7, "catboost": 0.75, "lightgbm": 0.75, "ft_transformer": 0.75}


class Simulated:
    """A search on one slot: no Ray, a clock of its own, and seconds for each round of a family."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        seconds: dict[str, float],
        search: str,
        row_ms: dict[str, float] | None = None,
    ) -> None:
        sets = [f"model=[{', '.join(seconds)}]", *(f"search.{one}" for one in search.split())]
        spec = Spec.from_text(SPEC, sets, file="toy.yaml", folder=Path())
        made = encoders("trees", "nets")
        context = TrainingContext(
            task="binary",
            num_classes=2,
            cardinalities={name: encoder.cardinalities for name, encoder in made.items()},
            threads=1,
            rows=100,
        )
        self.clock, self.seconds, self.row_ms = 0.0, seconds, row_ms or {}
        for module in (trial_store, time_budget):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.clock))
        run = run_at(folder, spec, progress=Told())
        self.store = TrialStore(
            allocate(spec, context, None), lambda budget: rungs_of(budget, True), run, TimeBudget.of(spec)
        )
        self.store.budget.began = 0.0
        self.steps: list[tuple[str, int, float]] = []
        """Family and trial of each turn on the slot, and when it began."""

    def run(self) -> "Simulated":
        while (config := self.store.ask()) is not None:
            self.steps.append((config["family"], config["trial"], self.clock))
            state: TrialState = config["before"][0] if config["before"] else TrialState()
            for rung in range(config["rung"], len(config["rungs"])):
                state = self._advance(config, rung, state)
                if not self.store.report(config["trial"], rung, state):
                    break
        assert not self.store.running and not self.store.paused
        return self

    def _advance(self, config: dict[str, Any], rung: int, before: TrialState) -> TrialState:
        rounds = config["rungs"][rung].rounds
        spent = (rounds - before.rounds) * self.seconds[config["family"]]
        left = min(self.store.seconds_left, np.inf if rung else CUT_SHARES * config["share"])
        late, spent = spent > left, min(spent, max(left, 1.0))
        self.clock += spent
        ended = late or rung == len(config["rungs"]) - 1
        further = rounds if ended else config["rungs"][rung + 1].rounds
        return TrialState(
            rounds=rounds,
            best=BEST[config["family"]],
            best_rounds=rounds,
            seconds=before.seconds + spent,
            ended=ended,
            late=late,
            pauses=not ended and before.seconds + spent > config["share"] * rounds / further,
            model=b"m",
            row_ms=self.row_ms.get(config["family"], 0.0),
        )

    def turns(self, family: str) -> list[tuple[int, float]]:
        return [(trial, began) for name, trial, began in self.steps if name == family]


def test_a_default_that_would_take_most_of_the_time_waits_until_the_others_have_had_several_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = int(find("models", "mlp")().n_epochs)
    search = Simulated(tmp_path, monkeypatch, {"xgboost": 0.002, "mlp": 150 / epochs}, "time=240s").run()
    first, again = search.turns("mlp")[:2]
    assert first[0] == again[0] == 1 and first[1] < again[1]
    trees_before = [trial for trial, began in search.turns("xgboost") if began < again[1]]
    assert len(trees_before) >= SEVERAL
    assert search.store.allocation.results[1].status == "completed"
    assert search.store.allocation.results[1].seconds == pytest.approx(150, rel=0.1)


@pytest.mark.parametrize(("repeats", "turns"), [(False, 2), (True, 1)])
def test_a_paused_default_goes_on_only_where_it_gets_further_in_time_for_its_refit(
    repeats: bool, turns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CatBoost and LightGBM train the rounds before a pause again: 50 of 108 s that are left."""
    mlp = find("models", "mlp")
    monkeypatch.setattr(mlp, "repeats_rounds", repeats)
    seconds = {"xgboost": 0.002, "mlp": 150 / int(mlp().n_epochs)}
    search = Simulated(tmp_path, monkeypatch, seconds, "time=170s").run()
    assert [trial for trial, _ in search.turns("mlp")].count(1) == turns
    assert search.store.allocation.results[1].status == "completed"


def test_a_paused_default_that_runs_out_of_time_competes_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = int(find("models", "mlp")().n_epochs)
    search = Simulated(tmp_path, monkeypatch, {"xgboost": 0.02, "mlp": 400 / epochs}, "time=240s").run()
    assert len(search.turns("mlp")) == 1 and len(search.turns("xgboost")) > 1
    result = search.store.allocation.results[1]
    assert (result.status, result.why) == ("completed", "search.time was up before it could go on")
    assert search.store.allocation.best == result and result.rounds == result.rungs[-1][0] < epochs
    assert (search.store.run.folder.path / "trials/0001/model.safetensors").read_bytes() == b"m"


def test_a_paused_default_whose_rows_take_too_long_does_not_compete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = int(find("models", "mlp")().n_epochs)
    seconds = {"xgboost": 0.02, "mlp": 400 / epochs}
    search = Simulated(tmp_path, monkeypatch, seconds, "time=240s latency_ms=1", row_ms={"mlp": 2.0}).run()
    result = search.store.allocation.results[1]
    assert (result.status, result.why) == ("stopped", "a row takes 2 ms, more than search.latency_ms")
    assert search.store.allocation.best is not None and search.store.allocation.best.family == "xgboost"


def test_a_default_that_does_not_reach_its_first_rung_in_two_shares_is_cut_and_has_no_further_trials_behind_the_leader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEST, "mlp", 0.75)
    first_rung = rungs_of(int(find("models", "mlp")().n_epochs), True)[0].rounds
    seconds = {"linear": 0.04, "xgboost": 0.002, "mlp": 500 / first_rung}
    search = Simulated(tmp_path, monkeypatch, seconds, "time=240s trials=16").run()
    assert [trial for trial, _ in search.turns("mlp")] == [2]
    result = search.store.allocation.results[2]
    assert (result.status, result.why, result.metric) == ("completed", CUT, 0.75)
    assert result.seconds == pytest.approx(2 * 240 / 3)
    assert len(search.turns("xgboost")) > SEVERAL


def test_a_family_whose_default_was_cut_has_further_trials_while_it_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_rung = rungs_of(int(find("models", "mlp")().n_epochs), True)[0].rounds
    seconds = {**dict.fromkeys(BEST, 0.001), "mlp": 150 / first_rung}
    search = Simulated(tmp_path, monkeypatch, seconds, "time=240s trials=16").run()
    first = list(seconds).index("mlp")
    assert search.store.allocation.results[first].why == CUT and len(search.turns("mlp")) > 1


def test_a_default_within_its_share_is_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = int(find("models", "mlp")().n_epochs)
    search = Simulated(tmp_path, monkeypatch, {"xgboost": 0.02, "mlp": 60 / epochs}, "time=240s").run()
    assert [trial for trial, _ in search.turns("mlp")].count(1) == 1


def test_without_a_limit_or_with_one_family_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Simulated(tmp_path, monkeypatch, {"xgboost": 0.01, "mlp": 9.0}, "trials=6").run()
    alone = Simulated(tmp_path, monkeypatch, {"mlp": 9.0}, "time=240s").run()
    for search in (free, alone):
        trials = [trial for _, trial, _ in search.steps]
        assert len(trials) == len(set(trials))


def rank(family: str, trial: int, behind: float, error: float) -> FamilyRank:
    return FamilyRank(
        family=family,
        trial=trial,
        metric="auc",
        value=0.9 - behind,
        low=0.8,
        high=1.0,
        behind=behind,
        behind_low=behind - 2 * error,
        behind_high=behind + 2 * error,
        behind_error=error,
        beyond_noise=behind > 2 * error,
        trials=3,
        seconds=9.0,
        size_mb=0.1,
        latency_ms=1.0,
    )


def chosen(*ranks: FamilyRank) -> str:
    finalists = tuple(
        TrialResult(
            trial=one.trial,
            family=one.family,
            params={},
            rungs=(),
            metric=one.value,
            rounds=9,
            seconds=9.0,
            status="completed",
        )
        for one in ranks
    )
    board = Leaderboard(results=finalists, best=finalists[0], finalists=finalists, models=Path())
    board = choose_family(board, ranks)
    (marked,) = [one.family for one in board.families if one.chosen]
    assert marked == board.best.family
    return marked


@pytest.mark.parametrize(
    ("ranks", "wins"),
    [
        ([("ft_transformer", 0.0, 0.0), ("xgboost", 0.00006, 0.001)], "xgboost"),
        ([("mlp", 0.0, 0.0), ("xgboost", 0.00025, 0.0008), ("linear", 0.02, 0.004)], "xgboost"),
        ([("mlp", 0.0, 0.0), ("xgboost", 0.002, 0.001)], "mlp"),
        ([("xgboost", 0.0, 0.0), ("ft_transformer", 0.0001, 0.001)], "xgboost"),
        ([("catboost", 0.0, 0.0), ("xgboost", 0.0001, 0.001)], "catboost"),
        ([("mlp", 0.0, 0.0), ("linear", 0.001, 0.002), ("xgboost", 0.0005, 0.002)], "linear"),
    ],
)
def test_of_families_within_a_standard_error_the_cheapest_wins(
    ranks: list[tuple[str, float, float]], wins: str
) -> None:
    assert chosen(*(rank(family, trial, *rest) for trial, (family, *rest) in enumerate(ranks))) == wins


def test_the_winner_is_never_behind_the_best_family_beyond_noise() -> None:
    for step in range(40):
        ranks = [
            rank("ft_transformer", 0, 0.0, 0.0),
            rank("mlp", 1, step * 1e-4, 1e-3),
            rank("linear", 2, step * 2e-4, 1e-3),
        ]
        won = next(one for one in ranks if one.family == chosen(*ranks))
        assert won.behind <= won.behind_error and not won.beyond_noise


def test_one_family_alone_is_its_own_winner() -> None:
    result = TrialResult(
        trial=4, family="mlp", params={}, rungs=(), metric=0.8, rounds=9, seconds=9.0, status="completed"
    )
    board = Leaderboard(results=(result,), best=result, finalists=(result,), models=Path())
    assert choose_family(board, ()) == board
