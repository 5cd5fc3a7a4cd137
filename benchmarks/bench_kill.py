"""Random SIGKILLs of the driver or a worker, in any stage: each run must end with the same model and one version.

usage: bench_kill.py [--kills 200] [--seed 0] [--rows 3000] [--trials 8]   -> one JSON line; `ok` of `kills` is the
result

A kill waits for a journal entry chosen at random, so that short stages are hit as often as long ones, and then for some
random seconds. A killed driver is resumed; a run whose worker was killed must end by itself. No finished trial may run
again: its journal entry keeps its bytes and its time.
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
# The length of the stage that follows the entry; half a second for the others.
LINGER_S = {"data": 2.0, "fit": 2.0, "manifest": 8.0}


def write_rows(folder: Path, rows: int) -> None:
    """Writes a table whose label depends on two columns."""
    draw = np.random.default_rng(0)
    x, y, kind = draw.normal(size=rows), draw.normal(size=rows), draw.choice(list("abc"), rows)
    late = draw.random(rows) < 1 / (1 + np.exp(-(x + y * (kind == "a"))))
    pq.write_table(
        pa.table({"id": np.arange(rows), "x": x, "y": y, "kind": kind, "late": late}), folder / "rows.parquet"
    )


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Starts a command as a process in a session of its own, with its standard error in a file."""
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
    """The JSON answer of a command, after it has ended."""
    out, _ = process.communicate(timeout=WAIT_S)
    return json.loads(out.splitlines()[-1]) if out.strip() else {"exit": process.returncode, "run": None}


def below(pid: int) -> dict[int, str]:
    """Ray's workers among the descendants of a process, with their command lines."""
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
    # Without Ray's agents: when an agent ends, its node ends.
    return {child: line for child, line in lines.items() if line.startswith("ray::") and "Agent" not in line}


def until(step: str, folder: Path, process: subprocess.Popen[str]) -> bool:
    """Waits for a journal entry of the run; whether the run wrote it before it ended."""
    end = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < end:
        if list(folder.glob(f"runs/*/journal/{step}.json")):
            return True
        time.sleep(0.01)
    return False


def outcome(folder: Path, run: str) -> dict:
    """What a complete run leaves: the bytes of its model, the number of versions, and the aliases."""
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
    """One run with one kill, resumed until it is complete."""
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
    result = {"whom": whom, "after": step, "hit": until(step, folder, process)}
    time.sleep(draw.random() * LINGER_S.get(step, 0.5))
    victims = [process.pid] if whom == "driver" else sorted(below(process.pid))
    if victims and process.poll() is None:
        victim = draw.choice(victims)
        result["victim"] = below(process.pid).get(victim, "driver")[:60]
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    begun = time.monotonic()
    ended, before = answer(process), trials_of(folder)
    while ended["exit"] != 0 and result.setdefault("resumed", 0) < 3:
        result["resumed"] += 1
        first, *_ = [path.parent.parent.name for path in folder.glob("runs/*/journal/begin.json")] or [None]
        ended = answer(start(folder, "resume", first) if first else start(folder, "run", "kill.yaml"))
    result["seconds"] = round(time.monotonic() - begun, 1)
    result |= {
        "exit": ended["exit"],
        "run": ended.get("run"),
        "again": sum(trials_of(folder).get(name) != kept for name, kept in before.items()),
    }
    return result


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
                undisturbed = outcome(folder, answer(start(folder, "run", "kill.yaml"))["run"])
                continue
            result = killed(folder, draw, args.trials)
            print(json.dumps(result), file=sys.stderr, flush=True)
            kinds[result["whom"]] += 1
            seconds.append(result["seconds"])
            same = result["exit"] == 0 and outcome(folder, result["run"]) == undisturbed
            if not same or result["again"]:
                failed.append({**result, "stderr": (folder / "stderr.txt").read_text()[-1500:]})
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
