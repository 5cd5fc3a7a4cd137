"""How good the families are on three public tables with fixed parts: the mean over seeds of each family searched alone.

The tables are Parquet files with columns `row_id`, `label`, `part` (train, validation, test) and features: adult
(binary), california_housing and bike_sharing (regression). A seed changes the search, the initial weights and the order
of the rows.

usage: bench_quality.py FOLDER [--sets adult ...] [--families xgboost ...] [--seeds 0 1 2] [--trials 32] [--minutes 10]
-> one JSON line
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = {
    "adult": ("binary", "auc"),
    "california_housing": ("regression", "rmse"),
    "bike_sharing": ("regression", "rmse"),
}
TARGETS = {
    "adult": {"xgboost": 0.928, "mlp": 0.915, "ft_transformer": 0.912},
    "california_housing": {"xgboost": 46_000, "mlp": 50_000, "ft_transformer": 49_000},
    "bike_sharing": {"xgboost": 38.5, "mlp": 44, "ft_transformer": 44},
}
SPEC = """\
name: quality
task: {task}
features: {{labels: {{path: {path}, label: label, key: row_id}}}}
split: {{by: column, column: part}}
model: {model}
search: {{trials: {trials}, time: {minutes}m, metric: {metric}, seed: {seed}}}
evaluate: {{metrics: [{metric}], calibrate: none}}
register: false
checks: {{fail_on: never}}
seed: {seed}
"""


def trained(table: Path, model: str, seed: int, trials: int, minutes: float) -> dict:
    """One run: the test metric of the model, its family, and the seconds of the whole run."""
    task, metric = TASKS[table.stem]
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "quality.yaml"
        spec.write_text(
            SPEC.format(
                task=task, metric=metric, path=table.resolve(), model=model, seed=seed, trials=trials, minutes=minutes
            )
        )
        begun = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "ray_pipeline", "run", str(spec), "--json", "--quiet"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        seconds = time.time() - begun
    if done.returncode:
        raise SystemExit(f"{table.stem}, {model}, seed {seed}: {done.stdout.splitlines()[-1:]} {done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return {
        "value": answer["metrics"][metric]["value"],
        "family": answer["family"],
        "trials": answer["trials"],
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--families", nargs="+", default=["xgboost", "mlp", "ft_transformer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=8, help="of the search; the whole run takes a little longer")
    asked = parser.parse_args()
    results: dict[str, dict] = {}
    for name in asked.sets:
        for family in asked.families:
            runs = [
                trained(asked.folder / f"{name}.parquet", family, seed, asked.trials, asked.minutes)
                for seed in asked.seeds
            ]
            values = [run["value"] for run in runs]
            row = {
                "mean": statistics.mean(values),
                "values": values,
                "target": TARGETS[name].get(family),
                "trials": [run["trials"] for run in runs],
                "seconds": [run["seconds"] for run in runs],
            }
            results.setdefault(name, {})[family] = row
            print(name, family, row, file=sys.stderr, flush=True)
    print(
        json.dumps(
            {
                "benchmark": "quality",
                "trials": asked.trials,
                "minutes": asked.minutes,
                "seeds": asked.seeds,
                "sets": results,
            }
        )
    )


if __name__ == "__main__":
    main()
