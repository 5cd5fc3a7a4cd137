"""The model card says what the files of the run say, in Markdown, and never reads foreign text as Markdown."""

import json
import re
from pathlib import Path

import pytest
from report_fixture import build_run

from ray_pipeline.report import MODEL_CARD, write_report

TITLES = ["Intended use", "Model", "Data", "Metrics", "Slices", "Bias", "Limits", "How to reproduce"]


def card_of(folder: Path) -> str:
    write_report(folder)
    return (folder / MODEL_CARD).read_text()


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_part_is_there_in_its_order(task: str, tmp_path: Path) -> None:
    card = card_of(build_run(tmp_path / "run", task, rows=3_000))
    assert [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")] == TITLES
    assert card.startswith("# Model card: flight_delay\n") and "\n\n\n" not in card


def test_the_figures_are_those_of_the_run(tmp_path: Path) -> None:
    run = build_run(tmp_path / "flight_delay-1c9a77e2-1", rows=3_000)
    card = card_of(run)
    overall = {row["metric"]: row for row in json.loads((run / "evaluation.json").read_text()) if not row["slice"]}
    auc = overall["auc"]
    assert f"| auc | {auc['value']:.4f} | [{auc['low']:.4f}, {auc['high']:.4f}] | higher |" in card
    assert "registered as `models:/flight_delay/3`" in card
    assert "the probability that `arr_delay > 15` is true" in card
    assert "- train: 210,442 rows, from 2013-01-01 05:15 to 2013-08-30 23:59" in card
    assert "- Dropped: 9,430 (null_label), 1,844 (gap)" in card
    assert "| `weather` | `data/weather` | 26,115 | `90cd31fe90cd` |" in card
    assert "Of all rows, 99.5 % found a row in `weather`." in card
    assert "- Worse than the whole beyond chance: carrier UA and origin LGA" in card
    assert "judged 4 times" in card and "11.1 % null" in card
    assert "$ ray-pipeline rerun flight_delay-1c9a77e2-1 --verify" in card


def test_a_refused_model_says_so_and_names_the_gate(tmp_path: Path) -> None:
    card = card_of(build_run(tmp_path / "run", rows=3_000, passed=False))
    assert "refused by its gates" in card and "**not passed**" in card


def test_an_empty_run_folder_has_a_card(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    assert card.startswith(f"# Model card: {tmp_path.name}") and "No groups were compared." in card


def test_foreign_text_is_shown_and_never_read(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", rows=3_000)
    hostile = "x | y <script>alert(1)</script> [a](http://b) `c` **d**\n# e"
    findings = [{"check": hostile, "severity": "high", "column": None, "rows": 1, "found": hostile, "fix": ""}]
    (run / "checks.json").write_text(json.dumps(findings))
    card = re.sub(r"`[^`\n]*`", "", card_of(run))  # code is shown as it is
    assert "<script>" not in card and r"[a](" not in card and "\n# e" not in card
    assert "\\*\\*d\\*\\*" in card


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", rows=3_000)
    assert card_of(run) == card_of(run)
