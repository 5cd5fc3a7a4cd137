"""A small run, everything included: one trial of 20 rounds, against another commit and a bare session of Ray.

The table has the columns `row_id`, `label` (0 or 1) and `part`, as Adult of the UCI repository has it here. Each pair
runs both commits, each cold: no Ray, a storage of its own whose registry and encoded rows an earlier run has made.
`--standing` also runs on a Ray that stands. A bare session imports Ray, starts it, starts two actors that import
XGBoost, and ends.

usage: bench_small.py TABLE [--base CHECKOUT] [--pairs 5] [--standing]   -> one JSON line: medians, and ratios of pairs
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peak import Peak

HERE = Path(__file__).parents[1]
SPEC = """\
name: small
task: binary
features: {{labels: {{path: {table}, key: row_id, label: label}}}}
split: {{by: column, column: part}}
model: {{xgboost: {{num_boost_round: 20}}}}
search: {{trials: 1}}
"""
BARE = """
import ray
ray.init(num_cpus=2, include_dashboard=False)
@ray.remote(num_cpus=1)
class Worker:
    def ready(self):
        import xgboost
        return xgboost.__version__
workers = [Worker.remote() for _ in range(2)]
ray.get([worker.ready.remote() for worker in workers])
ray.shutdown()
"""
STANDING = """
import sys, ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
print("standing", flush=True)
sys.stdin.read()
"""


def timed(checkout: Path, folder: Path, *options: str) -> dict:
    """Seconds and peak memory of a run, and the seconds of its stages."""
    command = [sys.executable, "-m", "ray_pipeline", "run", str(folder.parent / "small.yaml"), "--json", "--quiet"]
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    with Peak() as peak:
        begun = time.time()
        done = subprocess.run([*command, *options], cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.time() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    stages = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return {"seconds": seconds, "gib": peak.gib, "stages": stages}


def bare() -> float:
    begun = time.time()
    subprocess.run([sys.executable, "-c", BARE], check=True, capture_output=True)
    return time.time() - begun


def medians(runs: list[dict]) -> dict:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in ("seconds", "gib")} | {
        "stages": {name: round(statistics.median(run["stages"][name] for run in runs), 2) for name in runs[0]["stages"]}
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--base", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--standing", action="store_true")
    asked = parser.parse_args()
    checkouts = {"now": HERE} | ({"base": asked.base} if asked.base else {})
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "small.yaml").write_text(SPEC.format(table=asked.table.resolve()))
        (folder / "standing.yaml").write_text("address: auto\n")
        for name, checkout in checkouts.items():
            timed(checkout, folder / name)  # makes registry and encoded rows, and warms the file cache
        runs: dict[str, list[dict]] = {name: [] for name in checkouts}
        sessions = []
        for _ in range(asked.pairs):
            for name, checkout in checkouts.items():
                runs[name].append(timed(checkout, folder / name))
            sessions.append(bare())
        result = {name: medians(some) for name, some in runs.items()} | {"bare": round(statistics.median(sessions), 2)}
        now = runs["now"]
        result["of_bare"] = round(statistics.median(run["seconds"] for run in now) / statistics.median(sessions), 2)
        if asked.base:
            for key in ("seconds", "gib"):
                ratios = [run[key] / other[key] for run, other in zip(now, runs["base"], strict=True)]
                result[f"{key}_of_base"] = round(statistics.median(ratios), 3)
        if asked.standing:
            with subprocess.Popen([sys.executable, "-c", STANDING], stdin=-1, stdout=-1, text=True) as standing:
                assert standing.stdout and standing.stdout.readline()
                on = [timed(HERE, folder / "now", "--on", str(folder / "standing.yaml")) for _ in range(asked.pairs)]
                standing.communicate()
            result["standing"] = medians(on)
            result["standing_of_cold"] = round(result["standing"]["seconds"] / result["now"]["seconds"], 3)
    print(json.dumps({"bench": "small", "machine": f"{os.cpu_count()} cores, {platform.machine()}", **result}))


if __name__ == "__main__":
    main()
