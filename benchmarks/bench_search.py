"""The search beside what a user would run instead, on the joined flights table; cold, everything included, peers in the same run.

usage: bench_search.py CASE [FLIGHTS_DIR] [--trials N] [--rounds N]   -> one JSON line; the ratio is the result, not the seconds
cases: wall     16 trials x 100 rounds against the plain script
       recipe   8 trials x 50 rounds against Ray's documented recipe, and as tuned by an expert
       times10  the rows ten times, 16 trials, against the plain script: wall time and peak memory of all processes together
       small    100 trials on 5,000 rows: seconds per trial beyond training itself
       fit      one worker's fit through the family's seam against bare `xgboost.train` on the same arrays
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_run import HERE, SPEC
from peak import Peak


def ours(table: Path, trials: int, rounds: int) -> dict:
    """A whole run, from the command line to the registered model."""
    (table.parent / "bench.yaml").write_text(SPEC.format(trials=trials, rounds=rounds).replace("joined.parquet", table.name))
    with tempfile.TemporaryDirectory(dir=table.parent) as cold, Peak() as peak:
        begun = time.time()
        command = [sys.executable, "-m", "ray_pipeline", "run", str(table.parent / "bench.yaml"), "--json", "--quiet"]
        done = subprocess.run(command, cwd=cold, capture_output=True, text=True)
        seconds = time.time() - begun
        if done.returncode:
            raise SystemExit(done.stderr)
        answer = json.loads(done.stdout.splitlines()[-1])
        lines = [json.loads(line) for line in (Path(cold) / answer["report"]).with_name("trials.jsonl").read_text().splitlines()]
    best = max(line["metric"] for line in lines if line["status"] == "completed")
    told = {"seconds": round(seconds, 1), "validation": round(best, 4), "stages": answer["seconds"], "training": round(sum(line["seconds"] for line in lines), 1)}
    return {**told, "peak_gib": peak.gib}


def peer(script: str, table: Path, trials: int, rounds: int, *more: str) -> dict:
    """What a peer says of itself, its wall time and its peak memory."""
    fast = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"} if "expert" in more else {}
    with Peak() as peak:
        begun = time.time()
        command = [sys.executable, str(HERE / "peers" / script), str(table), "late", str(trials), str(rounds), *more]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **fast})
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": round(time.time() - begun, 1), "peak_gib": peak.gib}


def wall(table: Path, trials: int, rounds: int) -> dict:
    mine, plain = ours(table, trials, rounds), peer("plain_script.py", table, trials, rounds)
    ratios = {"ratio_seconds": round(mine["seconds"] / plain["seconds"], 3), "ratio_peak": round(mine["peak_gib"] / plain["peak_gib"], 3)}
    return {**ratios, "ours": mine, "plain": plain}


def recipe(table: Path, trials: int, rounds: int) -> dict:
    mine = ours(table, trials, rounds)
    expert, documented = peer("ray_recipe.py", table, trials, rounds, "expert"), peer("ray_recipe.py", table, trials, rounds)
    faster = {f"times_faster_than_{name}": round(told["seconds"] / mine["seconds"], 2) for name, told in (("expert", expert), ("documented", documented))}
    return {**faster, "ours": mine, "expert": expert, "documented": documented}


def times10(table: Path, trials: int, rounds: int) -> dict:
    rows = pq.read_table(table)
    at = rows.column_names.index("flight_id")
    tenfold = table.with_name("tenfold.parquet")
    with pq.ParquetWriter(tenfold, rows.schema) as writer:
        for copy in range(10):
            ids = rows["flight_id"].to_numpy() + copy * 10_000_000
            writer.write_table(rows.set_column(at, rows.schema.field(at), pa.chunked_array([pa.array(ids, rows.schema.field(at).type)])))
    return wall(tenfold, trials, rounds)


def small(table: Path, trials: int, rounds: int) -> dict:
    few = table.with_name("few.parquet")
    rows = pq.read_table(table)
    pq.write_table(rows.take(np.random.default_rng(0).choice(rows.num_rows, 5_000, replace=False)), few)
    mine = ours(few, trials, rounds)
    slots = os.cpu_count() or 1
    return {"seconds_per_trial_beyond_training": round((mine["stages"]["search"] - mine["training"] / slots) / trials, 3), "ours": mine}


def fit(table: Path, trials: int, rounds: int) -> dict:
    import xgboost

    from ray_pipeline import blocks
    from ray_pipeline.models._base import Job
    from ray_pipeline.models.xgboost import XGBoost

    rows = pq.read_table(table)
    label = rows["late"].to_numpy().astype(float)
    names = [field.name for field in rows.schema if field.name not in ("late", "flight_id") and not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))]
    matrix = np.column_stack([rows[name].to_numpy().astype(np.float32) for name in names])
    held = blocks.pack({"trees": matrix}, {blocks.LABEL: pa.array(label), blocks.WEIGHT: pa.array(np.ones(len(label))), blocks.PART: pa.array(np.zeros(len(label), np.int8))})
    job = Job("binary", 2, {"trees": (0,) * len(names)}, os.cpu_count() or 1, rows=len(label))
    searched = {name: value for name, value in XGBoost.start.items() if name != "objective"}
    params = {**XGBoost().space(job), **searched, "num_boost_round": rounds}
    bare = {name: value for name, value in params.items() if name not in ("num_boost_round", "early_stopping_rounds")}
    bare |= {"tree_method": "hist", "nthread": job.threads, "seed": 0}
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(3):
        begun = time.perf_counter()
        fitting = XGBoost.begin(params, job, XGBoost.hold(params, job, list(blocks.views([held], "trees", "train")), []), 0)
        fitting.advance(rounds)
        times["ours"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        xgboost.train(bare, xgboost.QuantileDMatrix(matrix, label, max_bin=params["max_bin"], nthread=job.threads), rounds)
        times["bare"].append(time.perf_counter() - begun)
    mine, theirs = (sorted(times[name])[1] for name in ("ours", "bare"))
    return {"ratio_seconds": round(mine / theirs, 3), "seconds": {name: [round(t, 2) for t in found] for name, found in times.items()}}


CASES: dict[str, tuple[Callable[[Path, int, int], dict], int, int]] = {
    "wall": (wall, 16, 100), "recipe": (recipe, 8, 50), "times10": (times10, 16, 100), "small": (small, 100, 50), "fit": (fit, 1, 100),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("flights", nargs="?", type=Path, default=HERE.parent / "ray_pipeline" / "examples" / "flights" / "data")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--rounds", type=int)
    asked = parser.parse_args()
    measure, trials, rounds = CASES[asked.case]
    trials, rounds = asked.trials or trials, asked.rounds or rounds
    with tempfile.TemporaryDirectory() as made:
        table = Path(made) / "joined.parquet"
        subprocess.run([sys.executable, str(HERE / "peers" / "flights_joined.py"), str(asked.flights), str(table)], check=True)
        result = measure(table, trials, rounds)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), **{name: version(name) for name in ("ray", "xgboost", "optuna")}}
    print(json.dumps({"benchmark": f"search {asked.case}", "trials": trials, "rounds": rounds, **result, "machine": machine}))


if __name__ == "__main__":
    main()
