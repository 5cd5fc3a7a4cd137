"""Gates: judged on bounds, paired against the champion, and never passed for want of evidence."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from part_fixture import binary, regression, spec_of

from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.gates import GateResult, judge
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.evaluation.rival import Champion
from ray_pipeline.values import Predictions

N = 3000
CARRIER = np.array(["AA", "UA", "ZZ"])[np.random.default_rng(1).choice(3, N, p=[0.6, 0.39, 0.01])]
ROWS = replace(binary(0, N, columns={"carrier": CARRIER}), threshold=0.4)  # AUC about 0.76, interval about +-0.02
SLICED = {"metrics": ["auc", "log_loss"], "slices": ["carrier"]}


def costs_of(latency_ms: float = math.nan, size_mb: float = math.nan) -> ServingCosts:
    return ServingCosts(latency_ms=latency_ms, size_mb=size_mb)


def judged(gate: str, rows: Predictions = ROWS, champion: Champion | None = None, **costs: float) -> GateResult:
    spec = spec_of(gates=[gate], evaluate=SLICED)
    (result,) = judge(evaluate(rows, spec), costs_of(**costs), champion, spec).gates
    return result


def champion_of(predictions: Predictions, **more: Any) -> Champion:
    return Champion(version=1, predictions=predictions, **more)


def worse(rows: Predictions = ROWS, noise: float = 1.0) -> Predictions:
    odds = np.log(rows.score / (1 - rows.score)) + np.random.default_rng(9).normal(0, noise, len(rows))
    return replace(rows, score=1 / (1 + np.exp(-odds)))


def test_a_gate_is_judged_on_the_bound_and_point_on_the_value() -> None:
    auc = judged("auc >= 0.5")
    assert auc.passed and auc.low < auc.value < auc.high
    between = (auc.low + auc.value) / 2
    assert not judged(f"auc >= {between}").passed
    assert judged(f"point auc >= {between}").passed
    above = (auc.high + auc.value) / 2
    assert not judged(f"auc <= {above}").passed
    assert judged(f"point auc <= {above}").passed
    assert judged(f"auc <= {auc.high}").passed and not judged(f"auc < {auc.high}").passed
    assert "could be noise" in judged(f"auc >= {between}").why


def test_a_metric_that_is_only_gated_is_measured_too() -> None:
    result = judged("mcc >= 0.05")
    assert result.passed and result.low < result.value < result.high


def test_worst_looks_at_every_large_enough_slice() -> None:
    result = judged("auc worst by carrier >= 0.5")
    by = {name: ROWS.columns["carrier"] == name for name in ("AA", "UA", "ZZ")}
    assert by["ZZ"].sum() < 200
    from ray_pipeline.components.metrics.auc import AUC

    values = {name: AUC()(ROWS.label[mask], ROWS.score[mask], ROWS.weight[mask]) for name, mask in by.items()}
    assert result.value == pytest.approx(min(values["AA"], values["UA"]))
    assert result.passed and result.low < result.value
    assert judged("log_loss worst by carrier <= 5").value > judged("log_loss >= 0").value


def test_gap_and_ratio_are_judged_on_the_far_bound() -> None:
    gap, ratio = judged("selection_rate gap by carrier <= 0.9"), judged("selection_rate ratio by carrier >= 0.1")
    assert gap.passed and 0 <= gap.low <= gap.value < gap.high
    assert ratio.passed and 0 < ratio.low < ratio.value <= ratio.high <= 1
    assert not judged(f"selection_rate gap by carrier <= {(gap.value + gap.high) / 2}").passed


def test_no_champion_yet_passes_and_says_so() -> None:
    result = judged("auc >= champion - 0.001")
    assert result.passed and "no champion yet" in result.why
    assert result.as_json()["champion"] is None and result.as_json()["value"] == pytest.approx(judged("auc >= 0").value)
    assert "champion" not in judged("auc >= 0").as_json()


def test_the_champion_is_compared_on_the_paired_difference() -> None:
    near = champion_of(worse(noise=0.05))
    result, alone = judged("auc >= champion - 0.01", champion=near), judged("auc >= 0")
    assert result.passed
    assert result.high - result.low < (alone.high - alone.low) / 5
    assert result.value == pytest.approx(alone.value - result.champion)  # type: ignore[operator]
    same = judged("auc >= champion", champion=champion_of(ROWS))
    assert same.passed and same.value == same.low == same.high == 0
    assert not judged("auc > champion", champion=champion_of(ROWS)).passed


def test_a_worse_challenger_is_refused_and_a_better_one_passes() -> None:
    bad = worse(noise=2.0)
    assert not judged("auc >= champion - 0.02", rows=bad, champion=champion_of(ROWS)).passed
    assert judged("auc >= champion + 0.02", champion=champion_of(bad)).passed
    assert judged("log_loss <= champion * 0.95", champion=champion_of(bad)).passed
    assert not judged("log_loss <= champion * 0.5", champion=champion_of(bad)).passed


def test_a_champion_is_compared_group_by_group() -> None:
    result = judged("auc worst by carrier >= champion - 0.01", champion=champion_of(worse(noise=2.0)))
    assert result.passed and result.value > 0


def test_rows_that_the_champion_was_trained_on_are_left_out_and_counted() -> None:
    unseen = np.arange(N) % 3 > 0
    other = worse(noise=0.3)
    kept = replace(
        other,
        **{name: getattr(other, name)[unseen] for name in ("key", "label", "score", "weight", "cluster")},
        columns={},
    )
    spec = spec_of(gates=["auc >= champion - 0.05"], evaluate=SLICED)
    champion = Champion(version=7, predictions=kept, compared=unseen)
    verdict = judge(evaluate(ROWS, spec), costs_of(), champion, spec)
    assert verdict.passed
    assert verdict.as_json()["champion"] == {
        "version": 7,
        "rows": int(unseen.sum()),
        "rows_excluded": int((~unseen).sum()),
    }


@pytest.mark.parametrize(
    ("champion", "why"),
    [
        (champion_of(replace(ROWS, task="regression")), "the champion's task is regression, ours binary"),
        (champion_of(replace(ROWS, label_name="paid")), "the champion predicts paid, ours label"),
        (champion_of(replace(ROWS, classes=("no", "yes"))), "the champion's classes are no, yes, ours 0, 1"),
        (champion_of(replace(ROWS, label=1 - ROWS.label)), "the champion's label differs on 3,000 of 3,000 rows"),
        (champion_of(binary(0, 10)), "the champion scored 10 rows, ours 3,000"),
    ],
)
def test_another_champion_fails_the_gate(champion: Champion, why: str) -> None:
    result = judged("auc >= champion - 0.9", champion=champion)
    assert not result.passed and why in result.why and math.isnan(result.value)


@pytest.mark.parametrize(
    ("gate", "rows", "why"),
    [
        ("auc >= 0.1", replace(ROWS, label=np.zeros(N)), "auc is undefined on the test part (3,000 rows of label 0)"),
        ("auc >= 0.1", replace(ROWS, cluster=np.zeros(N, np.uint64)), "has no interval here"),
        (
            "auc worst by carrier >= 0.1",
            replace(ROWS, columns={"carrier": np.array([str(i) for i in range(N)], object)}),
            "0 of the 3000 groups by carrier have at least 200 rows",
        ),
        (
            "auc gap by carrier <= 1",
            replace(ROWS, columns={"carrier": np.full(N, "AA", object)}),
            "1 of the 1 groups by carrier have at least 200 rows",
        ),
        (
            "auc worst by carrier >= 0.1",
            replace(ROWS, label=np.where(ROWS.columns["carrier"] == "UA", 0.0, ROWS.label)),
            "auc is undefined in 1 of 2 groups (UA)",
        ),
        ("auc worst by carrier >= 0.1", replace(ROWS, columns={}), "the predictions have no column 'carrier'"),
        ("latency_ms <= 5", ROWS, "the latency_ms was not measured"),
    ],
)
def test_what_cannot_be_decided_fails_and_says_so(gate: str, rows: Predictions, why: str) -> None:
    spec = spec_of(gates=[gate], evaluate=SLICED)
    bare = spec_of(gates=[], evaluate={"metrics": ["auc"]})
    (result,) = judge(evaluate(rows, bare), costs_of(), None, spec).gates
    assert not result.passed and result.why.startswith("cannot be decided, so it fails") and why in result.why


def test_latency_and_size_are_points() -> None:
    assert judged("latency_ms <= 5", latency_ms=4.0).passed and not judged("size_mb < 2", size_mb=2.0).passed
    assert judged(
        "size_mb <= champion * 1.5", champion=champion_of(ROWS, costs=costs_of(size_mb=2.0)), size_mb=2.5
    ).passed
    assert (
        "of the champion was not measured"
        in judged("latency_ms <= champion", champion=champion_of(ROWS), latency_ms=1.0).why
    )


def test_the_scorecard_is_plain_json_and_refuses_on_one_gate() -> None:
    spec = spec_of(gates=["auc >= 0.6", "auc >= 0.99", "auc >= champion"], evaluate=SLICED)
    verdict = judge(evaluate(ROWS, spec), costs_of(), None, spec, times_judged=3)
    card = verdict.as_json()
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["passed"] is False and [gate["passed"] for gate in card["gates"]] == [True, False, True]
    assert set(card["gates"][0]) == {"gate", "passed", "value", "low", "high", "why"}
    assert card["times_judged"] == 3 and "judged 3 times" in card["notes"][-1]
    assert card["clusters"] == N and card["resolution"]["auc"] == pytest.approx(0.02, abs=0.01)


def test_no_gates_pass() -> None:
    spec = spec_of("regression")
    rows = regression()
    verdict = judge(evaluate(rows, spec), costs_of(), None, spec)
    assert verdict.passed and verdict.as_json()["gates"] == []


@pytest.mark.parametrize(
    ("gates", "rows", "champion", "better"),
    [
        (["auc >= champion - 0.5"], ROWS, worse(), True),
        (["auc >= champion - 0.5"], worse(), ROWS, False),  # passes by its margin, and is no better
        (["auc >= champion * 0.5"], ROWS, worse(), True),
        (["auc >= champion * 0.5"], worse(), ROWS, False),
        (["log_loss <= champion + 5", "auc >= champion - 0.5"], ROWS, worse(), True),
        (["log_loss <= champion + 5"], worse(), ROWS, False),
        (["auc >= champion - 0.5", "auc >= 0.999"], ROWS, worse(), False),  # refused by another gate
        (["auc >= 0.5"], ROWS, worse(), False),  # nothing compares
    ],
)
def test_a_model_is_better_that_passes_and_gains_in_every_compared_metric(
    gates: list[str], rows: Predictions, champion: Predictions, better: bool
) -> None:
    spec = spec_of(gates=gates, evaluate=SLICED)
    verdict = judge(evaluate(rows, spec), costs_of(), champion_of(champion), spec)
    assert (verdict.gain is not None) is better
    if better:
        assert str(verdict.gain).startswith("better than version 1 on the same rows: ")
        gains = [one.gain for one in verdict.gates if one.gate.champion]
        auc = next(one for one in verdict.gates if one.gate.metric == "auc")
        assert all(gain is not None and gain > 0 for gain in gains)
        assert auc.champion is not None and auc.gain == pytest.approx(
            verdict.evaluation.overall_metrics["auc"].value - auc.champion
        )


def test_the_first_model_is_better_than_none() -> None:
    spec = spec_of(gates=["auc >= champion"], evaluate=SLICED)
    assert judge(evaluate(ROWS, spec), costs_of(), None, spec).gain == "there was no champion"
