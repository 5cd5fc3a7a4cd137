"""How time and memory grow: one JSON line for each point.

usage: bench_scale.py rows [--copies 1 2 4 8 16] | narrow [--rows 100000000] | trials [--trials 1000]
       | slices [--rows 2000000 5000000]

rows     the joined flights, copied with keys of their own, whole runs of 4 trials x 50 rounds: microseconds per row of
         each stage, and the memory of the driver and of all processes
narrow   rows of six columns made by a generator, from Parquet files to a registered model: the same figures
trials   one run of tiny trials (1,000 rows, 2 rounds): seconds per trial beyond training, and the driver's memory, of
         the first and the last hundred
slices   evaluation of 300 slices and 10 metrics alone: seconds and peak memory by test rows
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_run import HERE, SPEC
from peak import Peak
from search_runs import copied

FLIGHTS = HERE.parent / "ray_pipeline" / "examples" / "flights" / "data"
STAGES = ("read", "profile", "encode", "search", "fit", "predict", "evaluate")
TINY = """\
name: tiny
task: binary
features: {{labels: {{path: tiny.parquet, label: late, key: id}}}}
split: {{by: random, validation: 0.2, test: 0.2}}
model: {{xgboost: {{num_boost_round: 2, max_depth: {{int: [1, 3]}}, learning_rate: {{log: [0.05, 0.5]}}}}}}
search: {{trials: {trials}, metric: auc, seed: 0}}
evaluate: {{metrics: [auc], draws: 100}}
register: false
"""
NARROW = """\
name: narrow
task: binary
features: {labels: {path: narrow, label: late, key: id}}
split: {by: random, validation: 0.05, test: 0.05}
model: {xgboost: {num_boost_round: 20, max_depth: {int: [4, 8]}}}
search: {trials: 2, metric: auc}
evaluate: {metrics: [auc, log_loss]}
gates: ["auc >= 0.6"]
"""
ROWS_A_FILE = 5_000_000
IGNORED = "checks: {ignore: [shared_rows]}\n"
"""The copies of a row are in all parts."""
PART = 100
"""Trials at the start and at the end that are compared."""


@dataclass
class Driver:
    """The memory of a driver in MB, with the time of each sample."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    own: float = 0.0
    """The peak of what the kernel cannot give back, without the object store and files that it sees."""

    @property
    def peak(self) -> float:
        return max(memory for _, memory in self.samples)

    def at(self, moment: float) -> float:
        """Its memory at a moment of `time.time`."""
        return next((memory for sampled, memory in self.samples if sampled >= moment), self.samples[-1][1])


@contextmanager
def watched(pid: int) -> Iterator[Driver]:
    """Samples the resident memory of a process while the block runs."""
    driver, ended = Driver(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                resident, own = (
                    next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))
                    for name in ("VmRSS", "RssAnon")
                )
                driver.samples.append((time.time(), resident))
                driver.own = max(driver.own, own)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield driver
    finally:
        ended.set()
        thread.join()


def run(spec: Path) -> tuple[dict, Driver, float, float]:
    """A whole run: its answer, its driver, its wall time in seconds, and the peak of all processes in GiB."""
    with Peak() as peak:
        begun = time.time()
        process = subprocess.Popen(
            [sys.executable, "-m", "ray_pipeline", "run", spec.name, "--json", "--quiet"],
            cwd=spec.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with watched(process.pid) as driver:
            out, errors = process.communicate()
        seconds = time.time() - begun
    if process.returncode:
        raise SystemExit(out + errors)
    return json.loads(out.splitlines()[-1]), driver, seconds, peak.gib


def rows(copies: list[int], folder: Path) -> Iterator[dict]:
    """Whole runs on one, two, four ... times the rows."""
    joined = folder / "joined.parquet"
    script = str(HERE / "peers" / "flights_joined.py")
    subprocess.run([sys.executable, script, str(FLIGHTS), str(joined)], check=True)
    for number in copies:
        own = folder / str(number)
        own.mkdir()
        copied(joined, number).rename(own / "joined.parquet")
        (own / "rows.yaml").write_text(SPEC.format(trials=4, rounds=50) + IGNORED)
        answer, driver, seconds, peak = run(own / "rows.yaml")
        yield {"copies": number, **by_row(answer, driver, seconds, peak)}


def narrow(counts: list[int], folder: Path) -> Iterator[dict]:
    """Whole runs on rows of six columns."""
    for count in counts:
        own = folder / str(count)
        (own / "narrow").mkdir(parents=True)
        draw = np.random.default_rng(0)
        for low in range(0, count, ROWS_A_FILE):
            size = min(ROWS_A_FILE, count - low)
            a, b, c = (draw.normal(size=size).astype(np.float32) for _ in range(3))
            kind = draw.integers(20, size=size)
            late = draw.random(size) < 1 / (1 + np.exp(1 - a - b * c - kind / 20))
            names = pa.DictionaryArray.from_arrays(kind.astype(np.int32), [f"kind {i}" for i in range(20)])
            table = pa.table(
                {
                    "id": np.arange(low, low + size),
                    "a": a,
                    "b": b,
                    "c": c,
                    "kind": names,
                    "day": draw.integers(365, size=size).astype(np.int16),
                    "late": late,
                }
            )
            pq.write_table(table, own / "narrow" / f"{low:012}.parquet")
        (own / "narrow.yaml").write_text(NARROW)
        yield {**by_row(*run(own / "narrow.yaml")), "file_gb": round(size_gb(own / "narrow"), 2)}


def size_gb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e9


def by_row(answer: dict, driver: Driver, seconds: float, peak: float) -> dict:
    """Time by rows, and memory."""
    parts = answer["rows"]
    count = sum(parts[part] for part in ("train", "validation", "test"))
    stages = answer["seconds"]
    return {
        "rows": count,
        "seconds": round(seconds, 1),
        "microseconds_a_row": round(1e6 * seconds / count, 1),
        "stages_microseconds_a_row": {s: round(1e6 * stages[s] / count, 2) for s in STAGES if s in stages},
        "driver_mb": round(driver.peak),
        "driver_own_mb": round(driver.own),
        "peak_gib": peak,
    }


def trials(count: int, folder: Path) -> Iterator[dict]:
    """One run of many trials that hardly train."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=1_000)
    late = draw.random(1_000) < 1 / (1 + np.exp(-x))
    pq.write_table(
        pa.table({"id": np.arange(1_000), "x": x, "y": draw.normal(size=1_000), "late": late}), folder / "tiny.parquet"
    )
    (folder / "tiny.yaml").write_text(TINY.format(trials=count))
    answer, driver, seconds, peak = run(folder / "tiny.yaml")
    at = folder / "runs" / answer["run"]
    trained = {
        (t := json.loads(line))["trial"]: t["seconds"] for line in (at / "trials.jsonl").read_text().splitlines()
    }
    files = (at / "journal").glob("trial-*.json")
    ended = sorted((path.stat().st_mtime, int(path.stem.rpartition("-")[2])) for path in files)
    slots = json.loads((at / "manifest.json").read_text())["plan"]["slots"]

    def beyond(few: list[tuple[float, int]]) -> float:
        training = sum(trained[trial] for _, trial in few[1:])
        return round((few[-1][0] - few[0][0] - training / slots) / (len(few) - 1), 4)

    yield {
        "trials": len(ended),
        "seconds": round(seconds, 1),
        "search_seconds": round(answer["seconds"]["search"], 1),
        "seconds_a_trial_beyond_training": {"first": beyond(ended[:PART]), "last": beyond(ended[-PART:])},
        "driver_mb": {"first": round(driver.at(ended[PART - 1][0])), "last": round(driver.at(ended[-1][0]))},
        "peak_gib": peak,
    }


def slices(counts: list[int], folder: Path) -> Iterator[dict]:
    """Evaluation alone, in a process of its own for each number of rows."""
    for count in counts:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            yield alone.apply(evaluated, (count,))


def evaluated(count: int) -> dict:
    """What `bench_evaluate.py` measures, with the bytes a row beyond the test rows themselves."""
    from bench_evaluate import measure

    found = dict(measure("large", count, 300, 200))
    beyond = float(str(found["peak_gib"])) - float(str(found["rows_gib"]))
    return {**found, "peak_bytes_a_row": round(beyond * 2**30 / count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("rows", "narrow", "trials", "slices"))
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--rows", type=int, nargs="+")
    asked = parser.parse_args()
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("ray", "xgboost")},
    }
    with tempfile.TemporaryDirectory() as made:
        points = {
            "rows": lambda: rows(asked.copies, Path(made)),
            "narrow": lambda: narrow(asked.rows or [100_000_000], Path(made)),
            "trials": lambda: trials(asked.trials, Path(made)),
            "slices": lambda: slices(asked.rows or [2_000_000, 5_000_000], Path(made)),
        }[asked.case]()
        for point in points:
            print(json.dumps({"benchmark": f"scale {asked.case}", **point, "machine": machine}), flush=True)


if __name__ == "__main__":
    main()
