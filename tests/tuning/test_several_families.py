"""Several families in one search, from the spec to the registered model and the report."""

import json
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = pytest.mark.ray
MODELS = """model:
  xgboost: {num_boost_round: 40}
  mlp: {d_block: 32, k: 2, n_epochs: 4}
  ft_transformer: {d_head: 4, n_blocks: 1, n_epochs: 3}
  linear: {}"""


@pytest.mark.ray
@pytest.mark.long
def test_four_families_compete_and_the_best_one_is_registered(loans: Path, tmp_path: Path, ray_local: None) -> None:
    xgboost = "model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
    explained = "register: {alias: challenger} => register: {alias: challenger}\nexplain: {rows: 300}"
    spec = Spec.from_file(
        write_spec(
            loans, "contest.yaml", model=f"{xgboost} => {MODELS}", trials="trials: 6 => trials: 8", explain=explained
        )
    )
    release = pipeline.run(spec, Where(storage=str(tmp_path / "runs")))
    folder = Path(release.report).parent
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert [trial["family"] for trial in trials][:4] == ["xgboost", "mlp", "ft_transformer", "linear"]
    assert {trial["status"] for trial in trials} <= {"completed", "stopped"}
    ranks = json.loads((folder / "families.json").read_text())
    best = max((trial for trial in trials if trial["status"] == "completed"), key=lambda trial: trial["metric"])
    assert (release.family, ranks[0]["family"], ranks[0]["trial"]) == (best["family"], best["family"], best["trial"])
    assert {rank["family"] for rank in ranks} == set(spec.model) and release.version == 1
    for rank in ranks:
        assert (
            rank["low"] < rank["value"] < rank["high"] and rank["behind_low"] <= rank["behind"] <= rank["behind_high"]
        )
        assert rank["beyond_noise"] == (rank["behind_low"] > 0) and rank["size_mb"] > 0 and rank["latency_ms"] > 0
        assert sum(trial["family"] == rank["family"] for trial in trials) == rank["trials"]
    explanation = json.loads((folder / "explain.json").read_text())
    important = {row["column"]: row for row in explanation["importance"]}
    assert explanation["rows"] == 300 and {"amount", "income"} <= set(list(important)[:4])
    assert all(row["low"] <= row["value"] <= row["high"] for row in important.values())
    page = (folder / "report.html").read_text()
    assert "beyond noise" in page and all(f">{family}<" in page for family in spec.model)
