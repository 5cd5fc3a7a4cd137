"""What a person reads at the end of a run: rows, metrics, gates, and what was found."""

from typing import Any

import pytest

from ray_pipeline.cli.summary import print_run

ANSWER: dict[str, Any] = {
    "run": "loans-01234567-1",
    "status": "registered",
    "model": "models:/loans/1",
    "family": "xgboost",
    "metrics": {"auc": {"value": 0.8, "low": 0.7, "high": None}},
    "gates": [{"gate": "auc >= 0.6", "passed": True, "value": 0.8, "low": 0.7, "high": 0.9}],
    "trials": 5,
    "rows": {"train": 1000, "validation": 200, "test": 300, "dropped": {"where": 7, "gap": 0}},
    "seconds": {"read": 0.4, "search": 9.7},
    "report": "runs/loans-01234567-1/report.html",
}
BROKEN = {"found": "four-fifths rule broken by sex: the ratio is 0.450, at most 0.520", "fix": "gate it"}


def test_a_broken_four_fifths_rule_is_one_line_before_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(ANSWER, [BROKEN])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"  ! {BROKEN['found']}; gate it"
    assert lines[-1] == "report   runs/loans-01234567-1/report.html"


def test_a_run_without_findings_shows_rows_metrics_and_gates_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(ANSWER)
    out = capsys.readouterr().out
    assert "1,000 train, 200 validation, 300 test; dropped 7 where" in out
    assert "0.8000  [0.7000,    -  ]" in out and "✔ auc >= 0.6" in out
    assert "!" not in out
