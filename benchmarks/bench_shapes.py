"""Tables of extreme shape: 10,000 files are planned and read, 5,000 columns profiled and encoded, 2,000 columns run.

usage: bench_shapes.py files [--files 10000] | wide [--columns 5000] [--rows 20000] | run [--columns 2000] [--rows 3000]
-> one JSON line: seconds, and GiB of the driver (files) or of all processes (wide); of a whole run (run) the seconds of
each stage, and of all but search and fit
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_profile import ours

SPEC = """\
name: shapes
task: binary
features: {labels: {path: rows, label: y, key: id}}
split: {by: random}
model: xgboost
"""


def files(folder: Path, count: int) -> dict:
    """Seconds of `plan` and of all checks before the first pass, for a table of many files."""
    from ray_pipeline.data.check_tables import check_tables
    from ray_pipeline.data.read import read
    from ray_pipeline.runtime.layout import layout_on_this_machine
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where
    from ray_pipeline.tuning.estimate import estimate

    rng = np.random.default_rng(0)
    for number in range(count):
        ids = np.arange(1_000) + number * 1_000
        table = {
            "id": ids,
            **{f"x{i}": rng.normal(size=1_000) for i in range(10)},
            "text": rng.choice(["a", "b", "c"], 1_000),
            "y": rng.integers(0, 2, 1_000),
        }
        pq.write_table(pa.table(table), folder / f"{number:05}.parquet")
    spec, where = Spec.from_text(SPEC, folder=folder.parent), Where()
    begun = time.time()
    assert not check_tables(spec, where).problems
    needs = estimate(spec, where, layout_on_this_machine(where, 8, uses_gpu=spec.uses_gpu))
    planned = time.time()
    import ray

    ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    up = time.time()
    table = read(spec, where)
    assert (table.num_rows, needs.tables["labels"].rows) == (count * 1_000, count * 1_000)
    table.dataset(lambda block: block)
    done = time.time()
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "files": count,
        "seconds": {"check_and_plan": round(planned - begun, 1), "read_footers_and_pieces": round(done - up, 1)},
        "driver_gib": round(gib, 2),
    }


def wide(folder: Path, columns: int, rows: int) -> dict:
    """Seconds of both passes over a table of many numeric columns."""
    from ray_pipeline.runtime.session import session
    from ray_pipeline.spec.where import Where

    rng = np.random.default_rng(0)
    table = {
        "id": np.arange(rows),
        "y": rng.integers(0, 2, rows),
        **{f"x{i}": rng.normal(size=rows) for i in range(columns)},
    }
    pq.write_table(pa.table(table), folder / "0.parquet", row_group_size=5_000)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with session(Where()):
        return {"columns": columns, "rows": rows, **ours(SPEC, folder.parent)}


def run(folder: Path, columns: int, rows: int) -> dict:
    """Seconds of a whole run on many columns, of which ten say something of the label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns))
    late = rng.random(rows) < 1 / (1 + np.exp(-x[:, :10].sum(axis=1)))
    table = {"id": np.arange(rows), "y": late, **{f"x{i}": x[:, i] for i in range(columns)}}
    pq.write_table(pa.table(table), folder / "0.parquet")
    spec = folder.parent / "shapes.yaml"
    spec.write_text(SPEC.replace("model: xgboost", "model: {xgboost: {num_boost_round: 30}}\nsearch: {trials: 2}"))
    command = [sys.executable, "-m", "ray_pipeline", "run", str(spec), "--json", "--quiet"]
    begun = time.time()
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    seconds = time.time() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    stages = json.loads(done.stdout.splitlines()[-1])["seconds"]
    beside = round(seconds - stages["search"] - stages["fit"], 1)
    return {"columns": columns, "rows": rows, "seconds": round(seconds, 1), "beside": beside, "stages": stages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("files", "wide", "run"))
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--columns", type=int)
    parser.add_argument("--rows", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "rows"
        folder.mkdir()
        result = {
            "files": lambda: files(folder, asked.files),
            "wide": lambda: wide(folder, asked.columns or 5_000, asked.rows or 20_000),
            "run": lambda: run(folder, asked.columns or 2_000, asked.rows or 3_000),
        }[asked.case]()
    print(json.dumps({"bench": f"shapes {asked.case}", **result}))


if __name__ == "__main__":
    main()
