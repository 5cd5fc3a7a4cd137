"""Trains XGBoost, mlp and ft_transformer through the product on this machine's GPU and on its CPUs, in turns.

usage: bench_gpu.py [--runs short|long|workers] [--only xgboost mlp ...] [--cpus-only]
    -> a JSON line for each run, then one with the card, the ratios and the minutes

The table is that of the example `flights` (217,000 training rows); `large` is drawn: 2,000,000 rows x 30 columns.
Each line has the seconds of the search and of the fit, and the test AUC. `again` builds the transformer's run on the
GPU once more and says whether all bytes are the same. `--runs long` makes larger searches instead, and `--runs workers`
trials of two workers that share the card.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
FLIGHTS = ROOT / "ray_pipeline/examples/flights"
CPUS = {"gpus_per_worker": 0}
LARGE = """
name: large
task: binary
features: {{labels: {{path: large, label: label, key: key}}}}
split: {{by: random, validation: 0.1, test: 0.1}}
model: {model}
search: {{trials: {trials}, metric: auc, seed: 7, scheduler: none}}
fit: {{on: train}}
"""
SHARED = {"gpus_per_worker": 0.25}
RUNS = {  # table, family, hyperparameters, trials, cluster files
    "short": [
        ("flights", "mlp", {"n_epochs": 2}, 8, (CPUS, SHARED)),
        ("flights", "ft_transformer", {"n_epochs": 1, "n_blocks": 2}, 4, ({**CPUS, "cpus_per_worker": 4}, SHARED)),
        ("large", "xgboost", {"num_boost_round": 200}, 4, ({**CPUS, "cpus_per_worker": 4}, SHARED)),
    ],
    "long": [
        ("flights", "xgboost", {"num_boost_round": 300}, 16, (CPUS, SHARED, {"concurrent_trials": 8})),
        ("flights", "mlp", {"n_epochs": 4}, 16, (CPUS, SHARED, {"gpus_per_worker": 1})),
    ],
    "workers": [("flights", "mlp", {"n_epochs": 1}, 2, ({"workers_per_trial": 2, "gpus_per_worker": 0.5},))],
}


def spec_of(folder: Path, table: str, family: str, params: dict, trials: int) -> Path:
    """Write the spec of one run."""
    model = json.dumps({family: params})
    if table == "large":
        text = LARGE.format(model=model, trials=trials)
    else:
        before, _, rest = (FLIGHTS / "flights.yaml").read_text().partition("model:\n")
        search = f"search: {{trials: {trials}, metric: auc, seed: 7, scheduler: none}}\nfit: {{on: train}}\n"
        text = f"{before}model: {model}\n{search}evaluate: {rest.partition('evaluate:')[2]}"
        text = text.partition("gates:")[0]
    path = folder / f"{table}-{family}.yaml"
    path.write_text(text)
    return path


def draw_large(folder: Path, rows: int = 2_000_000, columns: int = 30) -> None:
    """Write the large table."""
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(rows, columns)).astype(np.float32)
    signal = matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + np.sin(3 * matrix[:, 3]) + drawn.normal(size=rows)
    names = {f"x{number}": matrix[:, number] for number in range(columns)}
    table = pa.table({"key": np.arange(rows), "label": (signal > 0).astype(np.int8), **names})
    (folder / "large").mkdir()
    for part in range(8):
        size = rows // 8
        pq.write_table(table.slice(part * size, size), folder / "large" / f"{part}.parquet")


def ray_pipeline(folder: Path, *words: str) -> dict:
    """Run a command; return its JSON line, or what went wrong."""
    command = [sys.executable, "-m", "ray_pipeline", *words, "--json"]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    lines = done.stdout.splitlines() or ["{}"]
    said = json.loads(lines[-1])
    said["wall_s"] = round(time.perf_counter() - begun, 1)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    return said


def figures(said: dict) -> dict:
    """What a line shows of a run."""
    seconds = said.get("seconds", {})
    metrics = said.get("metrics", {})
    return {
        "status": said.get("status"),
        "wall_s": said["wall_s"],
        "search_s": seconds.get("search"),
        "fit_s": seconds.get("fit"),
        "auc": {name: round(value, 4) for name, value in metrics.get("auc", {}).items()},
        **({"problems": said["problems"]} if said.get("problems") else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="families")
    parser.add_argument("--runs", choices=RUNS, default="short", help="which runs")
    parser.add_argument("--cpus-only", action="store_true", help="where there is no GPU")
    asked = parser.parse_args()
    card = "none"
    if not asked.cpus_only:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    ratios, begun = {}, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as made:
        folder = Path(made)
        shutil.copytree(FLIGHTS / "data", folder / "data")
        draw_large(folder)
        for table, family, params, trials, files in RUNS[asked.runs]:
            if asked.only and family not in asked.only:
                continue
            on_cpus = None
            for file in files:
                if asked.cpus_only and file.get("gpus_per_worker") != 0:
                    continue
                cluster = folder / "cluster.yaml"
                cluster.write_text(json.dumps({"storage": str(folder / "runs"), **file}))
                spec = spec_of(folder, table, family, params, trials)
                said = ray_pipeline(folder, "run", str(spec), "--on", str(cluster))
                about = {"table": table, "family": family, **params, "trials": trials, "on": file}
                line = {**about, **figures(said)}
                if file == CPUS or "cpus_per_worker" in file:
                    on_cpus = line["search_s"]
                elif on_cpus and line["search_s"]:
                    line["ratio"] = round(line["search_s"] / on_cpus, 2)
                    ratios[f"{table}, {family}, {json.dumps(file)}"] = line["ratio"]
                if file == SHARED and family == "ft_transformer" and said.get("run"):
                    again = ray_pipeline(folder, "rerun", said["run"], "--verify", "--on", str(cluster))
                    line["again"] = again.get("status"), again.get("problems")
                print(json.dumps(line), flush=True)
    minutes = round((time.perf_counter() - begun) / 60, 1)
    print(json.dumps({"benchmark": "gpu", "card": card, "ratios": ratios, "minutes": minutes}))


if __name__ == "__main__":
    main()
