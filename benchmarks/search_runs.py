"""Runs for `bench_search.py`: of the pipeline, of its peers, and of the plain script trial by trial."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bench_run import HERE, SPEC
from peak import Peak

STOPWATCH = """
import json, runpy, sys, time
begun = time.time()
import optuna
optimize = optuna.study.Study.optimize
def timed(study, objective, trials):
    def show(_, trial):
        print(json.dumps([time.time() - begun, trial.value]), file=sys.stderr)

    optimize(study, objective, trials, callbacks=[show])
optuna.study.Study.optimize = timed
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script; after each of its trials, prints the seconds since its start and the trial's value."""


class Ran(dict):
    """The figures of a run, with its trials (`ended`: seconds since the start of the command), encoder and rows."""

    def __init__(self, figures: dict, trials: list[dict], encoder: dict, rows: dict) -> None:
        super().__init__(figures)
        self.trials, self.encoder, self.rows = trials, encoder, rows


def ours(table: Path, trials: int, rounds: int, *sets: str) -> Ran:
    """A whole run of ours, from the command line to the registered model; `sets` are `--set` overrides of the spec."""
    # The copies of a row are in all parts.
    spec = SPEC.format(trials=trials, rounds=rounds) + "checks: {ignore: [shared_rows]}\n"
    (table.parent / "bench.yaml").write_text(spec.replace("joined.parquet", table.name))
    with tempfile.TemporaryDirectory(dir=table.parent) as cold, Peak() as peak:
        begun = time.time()
        command = [
            sys.executable,
            "-m",
            "ray_pipeline",
            "run",
            str(table.parent / "bench.yaml"),
            "--json",
            "--quiet",
            *(word for one in sets for word in ("--set", one)),
        ]
        done = subprocess.run(command, cwd=cold, capture_output=True, text=True)
        seconds = time.time() - begun
        if done.returncode:
            raise SystemExit(done.stderr)
        answer = json.loads(done.stdout.splitlines()[-1])
        run = (Path(cold) / answer["report"]).parent
        lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
        ended = {
            int(path.stem.rpartition("-")[2]): path.stat().st_mtime - begun
            for path in (run / "journal").glob("trial-*.json")
        }
        encoder = json.loads((run / "model" / "encoder.json").read_text())
    best = max(line["metric"] for line in lines if line["status"] == "completed")
    figures = {
        "seconds": round(seconds, 1),
        "validation": round(best, 4),
        "stages": answer["seconds"],
        "training": round(sum(line["seconds"] for line in lines), 1),
    }
    for line in lines:
        line["ended"] = ended[line["trial"]]
    return Ran({**figures, "peak_gib": peak.gib}, lines, encoder, answer["rows"])


def peer(script: str, table: Path, trials: int, rounds: int, *more: str) -> dict:
    """What a peer prints of itself, its wall time and its peak memory."""
    fast = (
        {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
        if "expert" in more
        else {}
    )
    with Peak() as peak:
        begun = time.time()
        command = [sys.executable, str(HERE / "peers" / script), str(table), "late", str(trials), str(rounds), *more]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **fast})
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    answer = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))  # logs may follow it
    return {**json.loads(answer), "seconds": round(time.time() - begun, 1), "peak_gib": peak.gib}


def plain_trials(table: Path, trials: int, rounds: int) -> tuple[list[tuple[float, float]], float]:
    """Of the plain script: seconds and validation AUC of each trial, and the best validation AUC."""
    script = [str(HERE / "peers" / "plain_script.py"), str(table), "late", str(trials), str(rounds)]
    command = [sys.executable, "-c", STOPWATCH, *script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    return seen, json.loads(done.stdout.splitlines()[-1])["validation"]


def copied(table: Path, copies: int) -> Path:
    """Writes the rows several times, each copy with its own keys; the file."""
    rows = pq.read_table(table)
    at = rows.column_names.index("flight_id")
    file = table.with_name(f"times{copies}.parquet")
    with pq.ParquetWriter(file, rows.schema) as writer:
        for copy in range(copies):
            ids = rows["flight_id"].to_numpy() + copy * 10_000_000
            writer.write_table(
                rows.set_column(
                    at, rows.schema.field(at), pa.chunked_array([pa.array(ids, rows.schema.field(at).type)])
                )
            )
    return file
