"""`diff`: the differences of two runs, for people, as JSON and as a page that runs no foreign code."""

import json
import shutil
from pathlib import Path

import pytest
from report_fixture import build_run
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.report.compare import compare
from ray_pipeline.report.run_files import RunFiles


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("runs")
    first = build_run(storage / "flight_delay-1c9a77e2-1", rows=2_000)
    second = Path(shutil.copytree(first, storage / "flight_delay-99aa77e2-1"))
    (second / "spec.yaml").write_text((second / "spec.yaml").read_text().replace("trials: 32", "trials: 64"))
    rows = json.loads((second / "evaluation.json").read_text())
    for row in rows:
        if row["metric"] == "auc" and row["slice"] in ({}, {"origin": "JFK"}):
            row.update({key: row[key] + (0.1 if row["slice"] else 0.05) for key in ("value", "low", "high")})
    (second / "evaluation.json").write_text(json.dumps(rows))
    card = json.loads((second / "scorecard.json").read_text())
    card["gates"][0]["passed"] = False
    card["gates"].append({"gate": "brier <= 0.2", "passed": True, "value": 0.16, "low": 0.15, "high": 0.17})
    (second / "scorecard.json").write_text(json.dumps(card))
    return storage


def call(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(build(), ["diff", *arguments], standalone_mode=False)
    return found.exit_code, found.stdout


def test_it_has_the_differences_of_the_specs_and_of_the_results(runs: Path) -> None:
    found = compare(*(RunFiles.read(runs / name) for name in ("flight_delay-1c9a77e2-1", "flight_delay-99aa77e2-1")))
    assert found["spec"] == [{"key": "search.trials", "first": 32, "second": 64}]
    assert found["same_rows"] is True and not found["data"] and not found["versions"]
    changed = [row for row in found["metrics"] if row["difference"]]
    assert [(row["metric"], row["slice"], round(row["difference"], 6)) for row in changed] == [("auc", {}, 0.05)]
    assert found["slices"][0]["slice"] == {"origin": "JFK"} and round(found["slices"][0]["difference"], 6) == 0.1
    gates = {row["gate"]: row for row in found["gates"]}
    assert gates["brier <= 0.2"]["first"] is None and gates["brier <= 0.2"]["second"]["passed"] is True
    assert (
        sum(row["first"] is not None and row["first"]["passed"] != row["second"]["passed"] for row in gates.values())
        == 1
    )
    assert {row["metric"] for row in found["bias"]} >= {"selection_rate gap", "selection_rate ratio"}


def test_runs_on_other_test_rows_are_not_the_same_rows(runs: Path, tmp_path: Path) -> None:
    other = build_run(tmp_path / "other-1c9a77e2-1", rows=1_000)
    assert compare(RunFiles.read(runs / "flight_delay-1c9a77e2-1"), RunFiles.read(other))["same_rows"] is False


def test_the_verb_prints_answers_in_json_and_writes_a_page(runs: Path) -> None:
    code, out = call("flight_delay-1c9a77e2-1", "flight_delay-99aa77e2-1", "--storage", str(runs))
    assert code == 0 and "search.trials: 32 -> 64" in out and "+0.0500" in out and "the same test rows" in out
    code, out = call("flight_delay-1c9a77e2-1", "flight_delay-99aa77e2-1", "--storage", str(runs), "--json")
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["exit"], answer["first"]) == (0, 0, "flight_delay-1c9a77e2-1")
    assert Path(answer["report"]).parent == runs, "beside the second run"
    page = Path(answer["report"]).read_text()
    assert (
        page.count("<script") == 1
        and "search.trials" in page
        and "+0.0500" in page
        and "Content-Security-Policy" in page
    )


def test_an_unknown_run_is_exit_6(runs: Path) -> None:
    code, out = call("flight_delay-1c9a77e2-1", "nothing-1", "--storage", str(runs), "--json")
    assert code == 6 and json.loads(out.splitlines()[-1])["problems"]


def test_hostile_names_are_shown_as_text(runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(runs / "flight_delay-99aa77e2-1", tmp_path / "hostile-1c9a77e2-1"))
    rows = json.loads((folder / "evaluation.json").read_text())
    evil = "<img src=x onerror=alert(1)>\u202e"
    (folder / "evaluation.json").write_text(json.dumps([{**row, "metric": row["metric"] + evil} for row in rows]))
    code, _ = call(str(runs / "flight_delay-1c9a77e2-1"), str(folder), "--out", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert code == 0 and "<img" not in page and "&lt;img src=x" in page and "\u202e" not in page


def test_runs_that_left_nothing_give_a_page_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    code, out = call(str(tmp_path / "a"), str(tmp_path / "b"), "--json", "--out", str(tmp_path / "page.html"))
    assert json.loads(out.splitlines()[-1])["metrics"] == [] if code == 0 else code == 6
