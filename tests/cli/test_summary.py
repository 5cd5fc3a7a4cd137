"""What a person reads at the end of a run: rows, metrics, gates, and what was found."""

from typing import Any

import pytest

from ray_pipeline.cli.summary import print_run, verdict

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


def test_a_broken_four_fifths_rule_is_one_line_before_time_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(ANSWER, [BROKEN])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == f"  ! {BROKEN['found']}; gate it"
    assert lines[-1] == "report   runs/loans-01234567-1/report.html"


def test_a_run_without_findings_shows_rows_metrics_and_gates_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(ANSWER)
    out = capsys.readouterr().out
    assert "1,000 train, 200 validation, 300 test; dropped 7 where" in out
    assert "0.8000  [0.7000,    -  ]" in out and "✔ auc >= 0.6" in out
    assert "!" not in out


def test_a_metric_without_a_value_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {"value": None, "low": None, "high": None, "why": "no row has the label snow"}
    print_run({**ANSWER, "metrics": {"recall": nothing}})
    assert "  recall     -    no row has the label snow\n" in capsys.readouterr().out


def test_a_run_ends_with_where_the_time_went_the_longest_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(ANSWER, whole_s=18.3)
    assert "time     18 s: search 9.7 s, start and end 8.2 s, read 0.4 s\n" in capsys.readouterr().out
    print_run(ANSWER)
    assert "time     10 s: search 9.7 s, read 0.4 s\n" in capsys.readouterr().out


def test_the_value_of_a_gate_against_the_champion_says_what_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    difference = {"passed": True, "value": -0.0077, "low": -0.012, "high": 0.003, "champion": 0.81}
    print_run(
        {
            **ANSWER,
            "gates": [
                {**ANSWER["gates"][0], "gate": "auc >= champion - 0.05", "champion": None},
                {**difference, "gate": "auc >= champion - 0.01"},
                {**difference, "gate": "auc >= champion * 0.9"},
                {
                    "gate": "mae <= champion",
                    **dict.fromkeys(("value", "low", "high", "champion")),
                    "passed": False,
                    "why": "cannot be decided",
                },
            ],
        }
    )
    out = capsys.readouterr().out
    for line in (
        "  ✔ auc >= champion - 0.05  no champion to compare with yet\n",
        "  ✔ auc >= champion - 0.01  -0.0077  [-0.0120, 0.0030] against the champion\n",
        "  ✔ auc >= champion * 0.9\n    -0.0077  [-0.0120, 0.0030] against 0.9 times the champion\n",
        "  ✘ mae <= champion            -    cannot be decided\n",
    ):
        assert line in out


FAILED = {"gate": "auc >= 0.75", "passed": False, "why": "the lower bound 0.7 is not >= 0.75"}


@pytest.mark.parametrize(
    ("gates", "model", "words"),
    [
        (ANSWER["gates"], "models:/loans/1", "registered as models:/loans/1: its gate passed"),
        ([], "models:/loans/1", "registered as models:/loans/1: there is no gate to pass"),
        (ANSWER["gates"], None, "its gate passed; not registered, because the spec says so"),
        ([FAILED], None, "refused because `auc >= 0.75` does not hold: the lower bound 0.7 is not >= 0.75"),
        (
            [FAILED, *ANSWER["gates"], FAILED],
            "models:/loans/2",
            "refused because 2 of 3 gates failed; the first: `auc >= 0.75` does not hold: the lower bound 0.7 is not"
            " >= 0.75; registered all the same as models:/loans/2, without alias",
        ),
    ],
)
def test_the_verdict_is_a_sentence_with_its_reason(gates: list[Any], model: str | None, words: str) -> None:
    assert verdict({**ANSWER, "gates": gates, "model": model}) == words


def row(measure: str, reduction: str, value: float, **more: str) -> dict[str, Any]:
    group = {"sex": "f to m"}
    return {"measure": measure, "reduction": reduction, "value": value, "low": 0.1, "high": 0.9, "group": group, **more}


def test_the_summary_shows_the_four_fifths_rule_and_the_largest_gap(capsys: pytest.CaptureFixture[str]) -> None:
    rates = [
        {"measure": "selection_rate", "group": {"sex": "f"}, "value": 0.3, "low": 0.2, "high": 0.4},
        row("selection_rate gap", "gap", 0.2),
        row("selection_rate ratio", "ratio", 0.6, four_fifths="open"),
        row("true_positive_rate gap", "gap", 0.3),
    ]
    print_run(ANSWER, bias=rates)
    assert (
        "bias     by sex: four-fifths rule undecided, selection_rate ratio 0.6000 [0.1000, 0.9000], f to m\n"
        "         by sex: largest gap: true_positive_rate gap 0.3000 [0.1000, 0.9000], f to m\n"
    ) in capsys.readouterr().out
    print_run(ANSWER, bias=[row("mae gap", "gap", 5.0), row("mean_residual gap", "gap", 9.0)])
    assert "bias     by sex: mae gap 5.0000 [0.1000, 0.9000], f to m\n" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [20, 40, 60, 200])
def test_a_narrow_terminal_gets_gate_and_value_in_two_lines(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    gate = {**ANSWER["gates"][0], "gate": "true_positive_rate gap by origin <= 0.25"}
    print_run({**ANSWER, "gates": [gate]})
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if gate["gate"] in line)
    value = "0.8000  [0.7000, 0.9000]"
    assert lines[place].endswith(value) if columns == 200 else lines[place + 1] == f"    {value}"
