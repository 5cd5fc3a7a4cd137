"""The report on an ensemble: its members, or why there is none; nothing where the spec asks for none."""

import json
from pathlib import Path
from typing import Any

from ray_pipeline.report.run_files import RunFiles
from ray_pipeline.report.sections import ensemble
from ray_pipeline.report.write import render

MEMBERS = [
    {"trial": 4, "family": "xgboost", "weight": 0.75, "metric": 0.8, "value": 0.8, "latency_ms": 0.5, "size_mb": 1.0},
    {"trial": 1, "family": "mlp<", "weight": 0.25, "metric": 0.7, "value": 0.82, "latency_ms": 1.5, "size_mb": 2.0},
]


def files_of(folder: Path, **more: Any) -> RunFiles:
    written = {"metric": "auc", "candidates": 9, "single": 0.8, "value": 0.82, "members": MEMBERS, "why": "", **more}
    (folder / "ensemble.json").write_text(json.dumps(written))
    (folder / "trials.jsonl").write_text('{"trial": 4, "family": "xgboost", "metric": 0.8, "status": "completed"}\n')
    return RunFiles.read(folder)


def test_members_stand_with_their_weights_and_what_they_cost_together(tmp_path: Path) -> None:
    found = ensemble.context(files_of(tmp_path))
    assert [(row["trial"], row["weight"], row["value"]) for row in found["members"]] == [
        (4, "75%", "0.8000"),
        (1, "25%", "0.8200"),
    ]
    assert (found["latency_ms"], found["size_mb"], found["candidates"]) == ("2.0000", "3.0000", 9)
    page = render(files_of(tmp_path))
    assert "Ensemble" in page and "weighted mean of these 2 trials" in page and "mlp&lt;" in page


def test_it_says_why_no_ensemble_is_used(tmp_path: Path) -> None:
    page = render(files_of(tmp_path, members=[], why="one trial finished"))
    assert "No ensemble is used: one trial finished." in page


def test_a_run_without_an_ensemble_has_no_such_part(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    (tmp_path / "ensemble.json").unlink()
    assert ensemble.context(RunFiles.read(tmp_path)) == {} and files.ensemble
    assert "Ensemble" not in render(RunFiles.read(tmp_path))
