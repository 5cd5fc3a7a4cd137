"""`evaluate` prints its verdict, and ends as `--fail-on` says."""

from typing import Any

import pytest

from ray_pipeline import registered_model
from ray_pipeline.cli.output import Answer
from ray_pipeline.cli.score import evaluate, predict
from ray_pipeline.errors import SpecError

GATE = {"gate": "auc >= 0.6", "passed": True, "value": 0.7, "low": 0.65, "high": 0.75, "why": "lower bound is >= 0.6"}
ANSWER: dict[str, Any] = {
    "status": "passed",
    "exit": 0,
    "metrics": {"auc": {"value": 0.7, "low": 0.65, "high": 0.75}},
    "gates": [GATE],
    "bias": [],
    "findings": [],
    "revoked": None,
    "layout": None,
    "drift": [
        {"column": "amount", "psi": 0.42, "index": 0.4, "severity": "medium"},
        {"column": "age", "psi": 0.16, "index": 0.15, "severity": "low"},
        {"column": "term", "psi": 0.03, "index": 0.01, "severity": None},
    ],
}


def evaluated(monkeypatch: pytest.MonkeyPatch, fail_on: str = "gate", **changes: Any) -> dict[str, Any]:
    """The answer of the verb, also if it ends with exit code 7."""
    monkeypatch.setattr(registered_model, "evaluate_registered", lambda *_, **__: {**ANSWER, **changes})
    try:
        return evaluate("loans@champion", "new.parquet", fail_on=fail_on)
    except Answer as refused:
        return refused.answer


def test_drift_ends_with_7_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(monkeypatch)["exit"] == 0
    assert "loans@champion: passed: its gate passed" in capsys.readouterr().out
    answer = evaluated(monkeypatch, "drift")
    assert (answer["exit"], answer["status"]) == (7, "refused")
    assert "failed on drift of amount\n" in capsys.readouterr().out, "low drift does not count"
    assert evaluated(monkeypatch, "drift", drift=ANSWER["drift"][1:])["exit"] == 0


def test_columns_are_compared_with_the_training_rows_and_scores_with_those_of_test(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = {"column": "score", "psi": 0.62, "index": 0.61, "severity": "medium"}
    done = {"model": "loans/1", "rows": 9, "out": "o.csv", "files": 1, "key": "id", "layout": None}
    answer = {**done, "drift": ANSWER["drift"], "score_drift": [score]}
    monkeypatch.setattr(registered_model, "predict_rows", lambda *_, **__: answer)
    predict("loans/1", "new.parquet", "o.csv", drift=True)
    amount, age, score_line = capsys.readouterr().out.splitlines()[1:]
    index = "by a population stability index of"
    assert amount == f"  amount differs from the training rows {index} 0.42, 0.40 of it beyond chance"
    assert age.startswith("  age differs from the training rows")
    assert score_line == f"  score differs from those of the test part {index} 0.62, 0.61 of it beyond chance"


@pytest.mark.parametrize("fail_on", ["gate", "drift"])
def test_a_failed_gate_ends_with_7_in_any_case(
    fail_on: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {**GATE, "passed": False, "why": "lower bound 0.65 is not >= 0.68"}
    answer = evaluated(monkeypatch, fail_on, gates=[failed], exit=7, status="refused", drift=[])
    assert answer["exit"] == 7
    assert "loans@champion: refused because `auc >= 0.6` does not hold: lower bound 0.65" in capsys.readouterr().out


def test_another_word_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="--fail-on: there is no 'gates'") as refused:
        evaluated(monkeypatch, "gates")
    assert "did you mean 'gate'?" in refused.value.problems[0].fix


def test_it_is_said_how_rows_are_read_where_the_models_table_is_written_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(monkeypatch, layout="read with skip_rows 0; the model's table has skip_rows 1")
    assert "  the rows are read with skip_rows 0; the model's table has skip_rows 1\n" in capsys.readouterr().out
