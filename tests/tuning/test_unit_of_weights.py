"""Sample weights that add up to 1 give the model of the same weights in another unit."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from ray_pipeline.cli import build

ROWS = 2048
SPEC = """\
name: weights
task: binary
features: {labels: {path: rows.parquet, label: late, key: id, weight: WEIGHT, columns: [a, b]}}
split: {by: random}
model: {xgboost: {num_boost_round: 20}}
search: {trials: 1}
evaluate: {metrics: [auc], draws: 100}
register: false
"""


def test_a_run_does_not_depend_on_the_unit_of_the_weights(ray_local: None, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=ROWS), draw.normal(size=ROWS)
    weight = draw.integers(1, 4, ROWS).astype(float)
    columns = {"id": np.arange(ROWS), "a": a, "b": b, "few": weight / 4096, "many": weight * 4096}
    pq.write_table(pa.table({**columns, "late": a + b > draw.normal(size=ROWS)}), tmp_path / "rows.parquet")
    models, metrics = [], []
    for unit in ("few", "many"):
        (tmp_path / f"{unit}.yaml").write_text(SPEC.replace("WEIGHT", unit))
        (tmp_path / "on.yaml").write_text(f"storage: {tmp_path}/runs\n")
        done = CliRunner().invoke(
            build(), ["run", str(tmp_path / f"{unit}.yaml"), "--on", str(tmp_path / "on.yaml"), "--json"]
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        assert done.exit_code == 0, answer["problems"]
        models.append((tmp_path / "runs" / answer["run"] / "model" / "model.ubj").read_bytes())
        metrics.append(answer["metrics"]["auc"])
    assert models[0] == models[1] and metrics[0] == metrics[1]
    assert metrics[0]["value"] > 0.7
