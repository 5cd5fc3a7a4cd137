"""Random SIGKILLs of the driver or of a worker, at any stage: every run must end with the model of the run that nobody
killed, and with one version.

usage: bench_kill.py [--kills 200] [--seed 0] [--rows 3000] [--trials 8]   -> one JSON line; `ok` of `kills` is the
result

A kill waits for a journal entry chosen at random (so that short stages are hit as often as long ones) and some random
seconds. A killed driver is resumed;
a run whose worker was killed must end by itself. No finished trial may be run again: its journal entry keeps its bytes
and its time.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SPEC = """\
name: kill
task: binary
features: {{labels: {{path: rows.parquet, label: late, key: id}}}}
split: {{by: random, validation: 0.2, test: 0.2}}
model: {{xgboost: {{num_boost_round: 60, max_depth: {{int: [2, 6]}}, learning_rate: {{log: [0.05, 0.3]}}}}}}
search: {{trials: {trials}, metric: auc, seed: 1}}
evaluate: {{metrics: [auc, log_loss], draws: 100}}
gates: [auc >= 0.5]
register: {{alias: champion}}
"""
WAIT_S = 300
LINGER_S = {"data": 2.0, "fit": 2.0, "manifest": 8.0}  # the stage that follows is that long; elsewhere half a second


def write_rows(folder: Path, rows: int) -> None:
    """A table whose label two columns decide."""
    draw = np.random.default_rng(0)
    x, y, kind = draw.normal(size=rows), draw.normal(size=rows), draw.choice(list("abc"), rows)
    late = draw.random(rows) < 1 / (1 + np.exp(-(x + y * (kind == "a"))))
    pq.write_table(
        pa.table({"id": np.arange(rows), "x": x, "y": y, "kind": kind, "late": late}), folder / "rows.parquet"
    )


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The verb as a process in a session of its own, its chatter in a file."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    with (folder / "stderr.txt").open("a") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "ray_pipeline", *words, "--json", "--quiet"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def answer(process: subprocess.Popen[str]) -> dict:
    """The verb's JSON, once it has ended."""
    out, _ = process.communicate(timeout=WAIT_S)
    return json.loads(out.splitlines()[-1]) if out.strip() else {"exit": process.returncode, "run": None}


def below(pid: int) -> dict[int, str]:
    """The workers of Ray below that process, with their command lines."""
    parents, found, grown = {}, {pid}, True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        grown, found = bool(more), found | more
    lines = {}
    for child in found - {pid}:
        with suppress(OSError):
            lines[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return {
        child: line for child, line in lines.items() if line.startswith("ray::") and "Agent" not in line
    }  # an agent's end is its node's end


def until(step: str, folder: Path, process: subprocess.Popen[str]) -> bool:
    """Whether the run has written that journal entry while it lived."""
    end = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < end:
        if list(folder.glob(f"runs/*/journal/{step}.json")):
            return True
        time.sleep(0.01)
    return False


def outcome(folder: Path, run: str) -> dict:
    """What a complete run has left: its model's bytes, its versions in the registry, who is champion."""
    with closing(sqlite3.connect(folder / "runs" / "mlflow.db")) as database:
        versions = database.execute("select count(*) from model_versions").fetchone()[0]
        named = database.execute("select alias, version from registered_model_aliases").fetchall()
    at = folder / "runs" / run
    model = {
        name: (at / "model" / name).read_bytes()
        for name in ("model.ubj", "encoder.json", "calibration.json", "model.json")
    }
    return {"model": model, "metrics": (at / "evaluation.json").read_bytes(), "versions": versions, "named": named}


def trials_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("runs/*/journal/trial-*.json")
    }


def killed(folder: Path, draw: random.Random, trials: int) -> dict:
    """One run with one kill, gone on with to its end."""
    steps = [
        "begin",
        "layout",
        "data",
        "profile",
        "digest-encoder",
        *(f"trial-{n:04d}" for n in range(trials)),
        "digest-trials",
        "fit",
        "digest-model",
        "test_part",
        "manifest",
        "manifest",
    ]
    whom, step = draw.choice(["driver", "driver", "worker"]), draw.choice(steps)
    process = start(folder, "run", "kill.yaml")
    told = {"whom": whom, "after": step, "hit": until(step, folder, process)}
    time.sleep(draw.random() * LINGER_S.get(step, 0.5))
    victims = [process.pid] if whom == "driver" else sorted(below(process.pid))
    if victims and process.poll() is None:
        victim = draw.choice(victims)
        told["victim"] = below(process.pid).get(victim, "driver")[:60]
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    begun = time.monotonic()
    found, before = answer(process), trials_of(folder)
    while found["exit"] != 0 and told.setdefault("resumed", 0) < 3:
        told["resumed"] += 1
        first, *_ = [path.parent.parent.name for path in folder.glob("runs/*/journal/begin.json")] or [None]
        found = answer(start(folder, "resume", first) if first else start(folder, "run", "kill.yaml"))
    told["seconds"] = round(time.monotonic() - begun, 1)
    told |= {
        "exit": found["exit"],
        "run": found.get("run"),
        "again": sum(trials_of(folder).get(name) != kept for name, kept in before.items()),
    }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("kills", 200), ("seed", 0), ("rows", 3000), ("trials", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    draw, failed, kinds = random.Random(args.seed), [], {"driver": 0, "worker": 0}
    with tempfile.TemporaryDirectory(prefix="rpk") as root:
        seconds = []
        for number in range(args.kills + 1):
            folder = Path(root, str(number))
            folder.mkdir()
            write_rows(folder, args.rows)
            (folder / "kill.yaml").write_text(SPEC.format(trials=args.trials))
            if number == 0:
                found = answer(start(folder, "run", "kill.yaml"))
                alone = outcome(folder, found["run"])
                continue
            told = killed(folder, draw, args.trials)
            print(json.dumps(told), file=sys.stderr, flush=True)
            kinds[told["whom"]] += 1
            seconds.append(told["seconds"])
            same = told["exit"] == 0 and outcome(folder, told["run"]) == alone
            if not same or told["again"]:
                failed.append({**told, "stderr": (folder / "stderr.txt").read_text()[-1500:]})
    print(
        json.dumps(
            {
                "kills": args.kills,
                "ok": args.kills - len(failed),
                **kinds,
                "median_s_to_the_end": sorted(seconds)[len(seconds) // 2],
                "cores": os.cpu_count(),
                "failed": failed,
            }
        )
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
