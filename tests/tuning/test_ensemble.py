"""The ensemble of a search: what it says of its members, when none is used, and that a recorded choice stands."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from encoded_fixture import SPEC
from run_fixture import run_at

from ray_pipeline import encoded_block
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runs.context import Run
from ray_pipeline.spec import Spec
from ray_pipeline.tuning import ensemble, likely_members
from ray_pipeline.tuning.ensemble import candidates_of_each_family, choose_ensemble, ensemble_scores
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.likely_members import LikelyMembers
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.trial_store import SCORES_FILE

ROWS = 400


class Rows:
    """The validation rows of a run, without Ray."""

    def __init__(self, rows: int = ROWS) -> None:
        rng = np.random.default_rng(0)
        self.encoders, self.classes, self.rows = {"trees": None}, ("0", "1"), {"validation": rows, "train": 3 * rows}
        self.label = (rng.random(rows) < 0.4).astype(float)
        matrix = rng.normal(size=(rows, 3)).astype(np.float32)
        columns = {encoded_block.LABEL: self.label, encoded_block.WEIGHT: np.ones(rows)}
        self.table = encoded_block.pack({"trees": matrix}, {name: pa.array(one) for name, one in columns.items()})

    def part(self, part: str, encoder: str, select: Any = None) -> list[encoded_block.EncodedBlock]:
        return [encoded_block.view(select(self.table, 0) if select else self.table, encoder)]


def run_with(folder: Path, asked: str = "ensemble: {members: 3}", search: str = "seed: 3") -> Run:
    text = SPEC.replace("seed: 3", search) + asked + "\n"
    return run_at(folder, Spec.from_text(text, file="toy.yaml", folder=Path()))


def board_of(run: Run, rows: Rows, noise: list[float]) -> Leaderboard:
    """Trials whose scores are the label with noise of their own; the less noise, the better."""
    rng, results = np.random.default_rng(1), []
    for trial, width in enumerate(noise):
        folder = run.folder.path / "trials" / f"{trial:04d}"
        folder.mkdir(parents=True)
        np.save(folder / SCORES_FILE, (rows.label + rng.normal(0, width, len(rows.label))).astype(np.float32))
        booster = xgboost.train({"max_depth": 1, "nthread": 1}, xgboost.DMatrix(np.ones((4, 3)), [0, 1, 0, 1]), 2)
        booster.save_model(folder / "model.ubj")
        of = {"trial": trial, "family": "xgboost", "params": {}, "rungs": (), "rounds": 2, "seconds": 1.0}
        results.append(TrialResult(**of, metric=1 - width / 10, status="completed"))
    best = results[0]
    return Leaderboard(
        results=tuple(results),
        best=best,
        finalists=(best,),
        candidates=tuple(results),
        models=run.folder.path / "trials",
    )


def chosen(run: Run, rows: Rows, noise: list[float], refit_seconds: float = math.inf) -> Any:
    return choose_ensemble(board_of(run, rows, noise), cast(EncodedRows, rows), run.spec, run, refit_seconds)


def test_each_member_says_its_weight_what_it_adds_and_what_it_costs(tmp_path: Path) -> None:
    run, rows = run_with(tmp_path), Rows()
    found = chosen(run, rows, [1.0, 1.1, 1.2, 1.3, 1.4])
    assert (found.metric, found.candidates, found.why, len(found.members)) == ("auc", 5, "", 3)
    values = [member.value for member in found.members]
    assert values == sorted(values) and values[-1] == pytest.approx(found.value) and found.value > found.single
    assert found.members[0].value == found.members[0].metric
    assert all(member.latency_ms > 0 and member.size_mb > 0 for member in found.members)
    assert sum(member.weight for member in found.members) == pytest.approx(1)


def test_scores_for_calibration_are_the_weighted_mean_of_those_of_the_trials(tmp_path: Path) -> None:
    run, rows = run_with(tmp_path), Rows()
    board = board_of(run, rows, [1.0, 1.1, 1.2])
    found = choose_ensemble(board, cast(EncodedRows, rows), run.spec, run, math.inf)
    assert found is not None
    files = {one.trial: np.load(board.model_folder(one) / SCORES_FILE) for one in board.results}
    expected = sum(member.weight * files[member.trial].astype(float) for member in found.members)
    np.testing.assert_allclose(ensemble_scores(replace(board, ensemble=found)), expected, rtol=1e-12)


def test_a_recorded_choice_stands_whatever_latencies_are_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, rows = run_with(tmp_path, "ensemble: {members: 3, latency_ms: 1000}"), Rows()
    board = board_of(run, rows, [1.0, 1.1, 1.2])
    first = choose_ensemble(board, cast(EncodedRows, rows), run.spec, run, math.inf)
    monkeypatch.setattr("ray_pipeline.tuning.leaderboard.row_ms", lambda *_: 9e9)
    assert choose_ensemble(board, cast(EncodedRows, rows), run.spec, run, math.inf) == first


@pytest.mark.parametrize(
    ("asked", "search"),
    [("ensemble: {members: 3, latency_ms: 1}", "seed: 3"), ("ensemble: {members: 3}", "seed: 3, latency_ms: 1")],
)
def test_an_ensemble_keeps_within_latency_and_says_where_none_can(
    asked: str, search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_pipeline.tuning.leaderboard.row_ms", lambda *_: 0.4)
    found = chosen(run_with(tmp_path / "a", asked, search), Rows(), [1.0, 1.1, 1.2])
    assert len(found.members) == 2
    monkeypatch.setattr("ray_pipeline.tuning.leaderboard.row_ms", lambda *_: 0.6)
    found = chosen(run_with(tmp_path / "b", asked, search), Rows(), [1.0, 1.1, 1.2])
    section = "search" if "latency_ms" in search else "ensemble"
    assert found.members == () and found.why == f"no second model fits within {section}.latency_ms"
    assert found.value == found.single


def test_an_ensemble_keeps_within_its_size(tmp_path: Path) -> None:
    one = next(iter(chosen(run_with(tmp_path / "a"), Rows(), [1.0, 1.1]).members)).size_mb
    asked = f"ensemble: {{members: 3, size_mb: {1.5 * one}}}"
    assert chosen(run_with(tmp_path / "b", asked), Rows(), [1.0, 1.1, 1.2]).members == ()
    asked = f"ensemble: {{members: 3, size_mb: {2.5 * one}}}"
    assert len(chosen(run_with(tmp_path / "c", asked), Rows(), [1.0, 1.1, 1.2]).members) == 2


@pytest.mark.parametrize(("seconds", "members"), [(6.0, 3), (4.0, 2), (2.0, 0)])
def test_members_are_refitted_in_the_time_that_is_left_for_them(seconds: float, members: int, tmp_path: Path) -> None:
    search = "seed: 3, time: 20s"  # a member trained for 1 s, and its refit has a third more rows
    found = chosen(run_with(tmp_path / "a", search=search), Rows(), [1.0, 1.1, 1.2], seconds)
    assert len(found.members) == members
    assert found.why == ("" if members else "no second model fits within search.time")
    of_trials = run_with(tmp_path / "b", "ensemble: {members: 3}\nfit: {on: train}", search)
    assert len(chosen(of_trials, Rows(), [1.0, 1.1, 1.2], seconds).members) == 3


@pytest.mark.parametrize(("seconds", "members"), [(3.0, 3), (1.6, 0)])
def test_refits_side_by_side_share_the_time_and_none_takes_longer_than_it(
    seconds: float, members: int, tmp_path: Path
) -> None:
    run = run_with(tmp_path, search="seed: 3, time: 8s")  # a refit takes 1.8 s
    run.layout = replace(run.layout, fit_threads=2, threads=1)
    found = chosen(run, Rows(), [1.0, 1.1, 1.2], seconds)
    assert len(found.members) == members
    assert found.why == ("" if members else "no second model fits within search.time")


def test_a_search_of_one_finished_trial_has_no_ensemble_and_says_so(tmp_path: Path) -> None:
    found = chosen(run_with(tmp_path), Rows(), [1.0])
    assert (found.members, found.why) == ((), "one trial finished")


def test_no_ensemble_is_used_where_no_mean_is_better(tmp_path: Path) -> None:
    found = chosen(run_with(tmp_path), Rows(), [0.0, 3.0, 3.0])
    assert (found.members, found.why) == ((), "no mean of trials is better than the best trial")


def test_many_rows_are_thinned_for_the_selection_and_all_are_used_for_its_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "SELECTION_ROWS", 100)
    run, rows = run_with(tmp_path), Rows()
    board = board_of(run, rows, [1.0, 1.1, 1.2])
    found = choose_ensemble(board, cast(EncodedRows, rows), run.spec, run, math.inf)
    assert found is not None and found.members
    auc = ensemble.metric_of("auc")(rows.label, ensemble_scores(replace(board, ensemble=found)), np.ones(ROWS))
    assert found.value == pytest.approx(auc)


def test_time_is_kept_for_the_trials_that_an_ensemble_would_have_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def likely(folder: str, noise: list[float]) -> tuple[LikelyMembers, list[TrialResult]]:
        run, rows = run_with(tmp_path / folder), Rows()
        board = board_of(run, rows, noise)
        return LikelyMembers(cast(EncodedRows, rows), run.spec, board.models), list(board.candidates)

    members_of, trials = likely("several help", [1.0, 1.1, 1.2])
    assert members_of(trials[:1]) == trials[:1] and len(members_of(trials)) > 1 and members_of(trials)[0] == trials[0]
    members_of, trials = likely("none helps", [0.0, 3.0, 3.0])
    assert members_of(trials) == trials[:1]
    (members_of.models / "0002" / SCORES_FILE).unlink()  # a resumed run, in which a later trial took its place
    assert members_of(trials[:2]) == trials[:1] and members_of(trials) == trials
    monkeypatch.setattr(likely_members, "ROWS", 150)
    members_of, trials = likely("every third row", [0.0, 3.0])
    assert members_of(trials) == trials[:1]


def test_off_means_that_nothing_is_kept_or_chosen(tmp_path: Path) -> None:
    run, rows = run_with(tmp_path, "ensemble: off"), Rows()
    assert chosen(run, rows, [1.0, 1.1]) is None and run.journal.recorded("ensemble") is None
    assert candidates_of_each_family(run.spec, cast(EncodedRows, rows)) == 0


def test_scores_that_are_kept_are_bounded(tmp_path: Path) -> None:
    spec = run_with(tmp_path).spec
    assert candidates_of_each_family(spec, cast(EncodedRows, Rows())) == 24
    many = Rows()
    many.rows["validation"] = 10_000_000
    assert candidates_of_each_family(spec, cast(EncodedRows, many)) == 6
    many.rows["validation"] = 1_000_000_000
    assert candidates_of_each_family(spec, cast(EncodedRows, many)) == 2
