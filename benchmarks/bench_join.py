"""The as-of join, Parquet to Parquet with Ray running, against polars `join_asof` in one process on the same cores.

usage: bench_join.py [--rows 10000000] [--features 1000000] [--keys 10000] [--partitioned] [--growth]   -> one JSON
line; the ratios are the result. `growth` is the time by the time for half of the rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from peak import Peak

SPEC = """\
name: join
task: regression
features:
  labels: {path: labels, label: x, key: id, time: at, columns: [id_too]}
  f: {path: features.parquet, on: [key], time: time, columns: [v, w]}
split: {by: random}
model: xgboost
"""
POLARS = """\
import json, sys, time
begun = time.time()
import polars as pl
labels = pl.read_parquet(sys.argv[1] + "/labels/*.parquet").sort("at")
features = pl.read_parquet(sys.argv[1] + "/features.parquet").sort("time")
joined = labels.join_asof(features, left_on="at", right_on="time", by="key", check_sortedness=False)
joined.select("id", "v", "w").write_parquet(sys.argv[2])
import resource
peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": time.time() - begun, "threads": pl.thread_pool_size(), "peak_gib": peak_gib}))
"""


def write(folder: Path, rows: int, features: int, keys: int) -> None:
    rng, year = np.random.default_rng(0), 365 * 86_400 * 10**6
    (folder / "labels").mkdir(parents=True)
    files = max(1, rows // 1_000_000)
    for part in range(files):
        n = rows // files
        ids = np.arange(part * n, (part + 1) * n)
        at = pa.array(rng.integers(0, year, n), pa.timestamp("us", "UTC"))
        table = {
            "id": ids,
            "id_too": ids,
            "key": pa.array(rng.integers(0, keys, n), pa.int32()),
            "at": at,
            "x": rng.normal(size=n),
        }
        pq.write_table(pa.table(table), folder / "labels" / f"{part:03}.parquet")
    time_ = pa.array(rng.integers(0, year, features), pa.timestamp("us", "UTC"))
    table = {
        "key": pa.array(rng.integers(0, keys, features), pa.int32()),
        "time": time_,
        "v": rng.normal(size=features),
        "w": rng.normal(size=features),
    }
    pq.write_table(pa.table(table), folder / "features.parquet")


def ours(folder: Path) -> dict:
    from ray_pipeline.data.read import read
    from ray_pipeline.data.rows import KEY
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    with Peak() as peak:
        begun = time.time()
        spec = Spec.from_text(SPEC, folder=folder)
        table = read(spec, Where(), labelled=False)
        maker = table.row_builder

        def join(block: pa.Table) -> pa.Table:
            rows, _ = maker.prepare(block)
            return rows.select([KEY, "f.v", "f.w"]).rename_columns(["id", "v", "w"])

        table.dataset(join).write_parquet(str(folder / "ours"))
        seconds = time.time() - begun
    size = sum(path.stat().st_size for path in (folder / "ours").glob("*.parquet"))
    return {
        "seconds": seconds,
        "peak_gib": peak.gib,
        "output_gib": round(size / 2**30, 3),
        "plan": table.plans["f"].how,
    }


def polars(folder: Path) -> dict:
    env = {**os.environ, "POLARS_MAX_THREADS": str(len(os.sched_getaffinity(0)))}
    done = subprocess.run(
        [sys.executable, "-c", POLARS, str(folder), str(folder / "polars.parquet")],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    return json.loads(done.stdout.splitlines()[-1])


def same(folder: Path) -> bool:
    """Whether both gave the same values for every row.

    Polars may take either of two feature rows with the same key and time; the generated rows have none.
    """
    mine, theirs = (pads.dataset(folder / name).to_table().sort_by("id") for name in ("ours", "polars.parquet"))
    return mine.select(["id", "v", "w"]).equals(theirs.select(["id", "v", "w"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument(
        "--partitioned", action="store_true", help="join as if the feature table were too large for a broadcast"
    )
    parser.add_argument("--growth", action="store_true", help="also join half of the rows, for the growth of the time")
    asked = parser.parse_args()
    from ray_pipeline.data import partitioned_join as partitions
    from ray_pipeline.runtime.session import session
    from ray_pipeline.spec.where import Where

    os.environ["RAY_AUTH_MODE"] = "disabled"
    if asked.partitioned:
        partitions.BROADCAST_BYTES, partitions.PART_BYTES = 0, 8 << 20
    with tempfile.TemporaryDirectory() as temporary, session(Where()):
        folders = [Path(temporary) / str(rows) for rows in ([asked.rows // 2] if asked.growth else []) + [asked.rows]]
        for folder in folders:
            write(folder, int(folder.name), asked.features, asked.keys)
        warm = Path(temporary) / "warm"
        write(warm, 20_000, 1_000, 100)
        ours(warm)
        measured = [ours(folder) for folder in folders]
        peer = polars(folders[-1])
        print(
            json.dumps(
                {
                    "bench": "join",
                    "rows": asked.rows,
                    "features": asked.features,
                    "keys": asked.keys,
                    "ours": measured[-1],
                    "polars": peer,
                    "ratio": round(measured[-1]["seconds"] / peer["seconds"], 3),
                    "peak_to_output": round(measured[-1]["peak_gib"] / max(measured[-1]["output_gib"], 1e-9), 2),
                    "growth": round(measured[-1]["seconds"] / measured[0]["seconds"], 2) if asked.growth else None,
                    "same": same(folders[-1]),
                }
            )
        )


if __name__ == "__main__":
    main()
