"""A whole run against the plain script, on the joined flights: the same rows, trials and rounds, from a cold start.

usage: bench_run.py [FLIGHTS_DIR] [--trials 32] [--rounds 100] [--repeat 1]   -> one JSON line; the ratio is the result,
not the seconds
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SPEC = """\
name: bench
task: binary
features:
  labels:
    path: joined.parquet
    label: late
    key: flight_id
split: {{by: random, test: 0.2, validation: 0.16}}
model:
  xgboost:
    max_depth: {{int: [3, 9]}}
    learning_rate: {{log: [0.03, 0.3]}}
    subsample: {{float: [0.5, 1]}}
    min_child_weight: {{log: [1, 20]}}
    num_boost_round: {rounds}
search: {{trials: {trials}, metric: auc, seed: 0}}
evaluate: {{metrics: [auc, log_loss]}}
"""


def ours(folder: Path, trials: int, rounds: int) -> dict:
    (folder / "bench.yaml").write_text(SPEC.format(trials=trials, rounds=rounds))
    with tempfile.TemporaryDirectory(dir=folder) as cold:
        begun = time.time()
        command = [sys.executable, "-m", "ray_pipeline", "run", str(folder / "bench.yaml"), "--json", "--quiet"]
        done = subprocess.run(command, cwd=cold, capture_output=True, text=True)
        seconds = time.time() - begun
    answer = json.loads(done.stdout.splitlines()[-1])
    if done.returncode:
        raise SystemExit(done.stderr)
    return {
        "seconds": round(seconds, 1),
        "test": answer["metrics"]["auc"]["value"],
        "stages": answer["seconds"],
        "status": answer["status"],
    }


def plain(folder: Path, trials: int, rounds: int) -> dict:
    begun = time.time()
    command = [
        sys.executable,
        str(HERE / "peers" / "plain_script.py"),
        str(folder / "joined.parquet"),
        "late",
        str(trials),
        str(rounds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": round(time.time() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "flights", nargs="?", type=Path, default=HERE.parent / "ray_pipeline" / "examples" / "flights" / "data"
    )
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=1)
    asked = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run(
            [
                sys.executable,
                str(HERE / "peers" / "flights_joined.py"),
                str(asked.flights),
                str(folder / "joined.parquet"),
            ],
            check=True,
        )
        for turn in range(asked.repeat):
            pair = (ours, plain) if turn % 2 == 0 else (plain, ours)
            runs.append({contender.__name__: contender(folder, asked.trials, asked.rounds) for contender in pair})
    ratios = sorted(run["ours"]["seconds"] / run["plain"]["seconds"] for run in runs)
    result = {
        "benchmark": "run",
        "trials": asked.trials,
        "rounds": asked.rounds,
        "ratio_seconds": round(ratios[len(ratios) // 2], 3),
        "difference_test_auc": round(runs[0]["ours"]["test"] - runs[0]["plain"]["test"], 4),
        "runs": runs,
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("ray", "xgboost", "optuna")},
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
