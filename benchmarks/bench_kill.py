"""Random SIGKILLs of the driver, a worker or the raylet, in any stage: each run must end with the same model.

usage: bench_kill.py [--kills 200] [--minutes 600] [--seed 0] [--rows 2000] [--trials 8] [--mlp 0.15]   -> one JSON
line; `ok` of `kills` is the result. A kill whose victim had ended by itself counts as `too_late`, and not as a kill.

A kill waits for a journal entry chosen at random, so that short stages are hit as often as long ones, and then for some
random seconds. A run whose driver or raylet was killed is resumed; a run whose worker was killed must end by itself. A
run is `ok` if it ends with the bytes of a run that nobody killed, with one version, and with nothing left of its Ray.
No finished trial may run again: its journal entry keeps its bytes and its time. `training_again_s` is the time from the
death of a worker that has trained, or from the start of `resume`, to the first heartbeat of a new worker.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SPEC = """\
name: kill
task: binary
features: {{labels: {{path: rows.parquet, label: late, key: id}}}}
split: {{by: random, validation: 0.2, test: 0.2}}
model: {{{model}}}
search: {{trials: {trials}, metric: auc, seed: 1}}
evaluate: {{metrics: [auc, log_loss], draws: 100}}
gates: [auc >= 0.5]
register: {{alias: champion}}
"""
MODELS = {
    "xgboost": "xgboost: {num_boost_round: 60, max_depth: {int: [2, 6]}, learning_rate: {log: [0.05, 0.3]}}",
    "mlp": "mlp: {n_epochs: 4, n_blocks: 1, d_block: {log: [16, 64]}, k: 1}",
}
VICTIMS = ("driver", "driver", "worker", "worker", "raylet")
STEPS = ("begin", "layout", "data", "profile", "digest-encoder", "digest-trials", "fit", "digest-model", "test_part")
JOURNAL = "journal/{}.json"
NAMES_THE_FOLDER = ("schema.json", "SHA256SUMS")
"""Files of a model that hold the folder of its spec, or depend on that."""
WAIT_S, GONE_S = 300, 20.0
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
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder)}
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
    """The command lines of the descendants of a process."""
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
    return lines


def victims(whom: str, driver: int) -> dict[int, str]:
    """The processes that may be killed, with their command lines."""
    if whom == "driver":
        return {driver: "driver"}
    if whom == "raylet":
        return {pid: line for pid, line in below(driver).items() if line.split(" ")[0].endswith("/raylet")}
    # Without Ray's agents: when an agent ends, its node ends.
    return {pid: line for pid, line in below(driver).items() if line.startswith("ray::") and "Agent" not in line}


@contextmanager
def heartbeats(folder: Path) -> Iterator[dict[str, float]]:
    """In the block, the processes that train and when each was first seen, by its file."""
    seen, ended = dict[str, float](), threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for file in folder.glob("ray-*/ray/session_*/ray-pipeline-heartbeats/[0-9]*"):
                seen.setdefault(str(file), time.monotonic())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def until(file: str, folder: Path, process: subprocess.Popen[str]) -> bool:
    """Waits for a file of the run; whether the run wrote it before it ended. No file is waited for if it is empty."""
    end = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < end:
        if not file or list(folder.glob(f"runs/*/{file}")):
            return True
        time.sleep(0.01)
    return False


def outcome(folder: Path, run: str) -> dict:
    """What a complete run leaves: the bytes of its model, the number of versions, and the aliases."""
    with closing(sqlite3.connect(folder / "runs" / "mlflow.db")) as database:
        versions = database.execute("select count(*) from model_versions").fetchone()[0]
        named = database.execute("select alias, version from registered_model_aliases").fetchall()
    at = folder / "runs" / run
    model = {path.name: path.read_bytes() for path in (at / "model").iterdir() if path.name not in NAMES_THE_FOLDER}
    return {"model": model, "metrics": (at / "evaluation.json").read_bytes(), "versions": versions, "named": named}


def trials_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The journal entries of finished trials: their bytes and the times at which they were written."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("runs/*/journal/trial-*.json")
    }


def resumed(folder: Path, seen: dict[str, float], result: dict) -> dict:
    """The answer of `resume`, or of the run begun anew where it had not begun; adds when it trains again."""
    first, *_ = [path.parent.parent.name for path in folder.glob("runs/*/journal/begin.json")] or [None]
    begun = time.monotonic()
    ended = answer(start(folder, "resume", first) if first else start(folder, "run", "kill.yaml"))
    if again := [at - begun for at in seen.values() if at > begun]:
        result["training_again_s"] = round(min(again), 2)
    return ended


@dataclass(frozen=True)
class Kill:
    """What is killed and when.

    Attributes
    ----------
    whom
        One of `VICTIMS`.
    after
        The file of the run folder that is waited for; the start of the process if it is empty.
    linger_s
        Seconds from then to the kill.
    chosen
        Which of the possible processes is killed, as a share of them.
    """

    whom: str
    after: str
    linger_s: float
    chosen: float = 0.0


def drawn(draw: random.Random, trials: int) -> Kill:
    """A kill at any stage."""
    steps = [*STEPS, *(f"trial-{number:04d}" for number in range(trials)), "manifest", "manifest"]
    whom, step = draw.choice(VICTIMS), draw.choice(steps)
    return Kill(whom, JOURNAL.format(step), draw.random() * LINGER_S.get(step, 0.5), draw.random())


def killed(folder: Path, kill: Kill) -> dict:
    """One run with one kill, resumed until it is complete."""
    whom = kill.whom
    with heartbeats(folder) as seen:
        process = start(folder, "run", "kill.yaml")
        result = {"whom": whom, "after": kill.after, "reached": until(kill.after, folder, process)}
        time.sleep(kill.linger_s)
        possible = sorted(victims(whom, process.pid).items()) if process.poll() is None else []
        victim = possible[int(kill.chosen * len(possible))] if possible else (0, "none")
        result |= {"victim": victim[1][:60], "hit": bool(victim[0])}
        if victim[0]:
            with suppress(ProcessLookupError):
                os.kill(victim[0], signal.SIGKILL)
        begun, before = time.monotonic(), trials_of(folder)
        ended = answer(process)
        new = [at - begun for at in seen.values() if at > begun]
        if whom == "worker" and new and any(file.endswith(f"/{victim[0]}") for file in seen):
            result["training_again_s"] = round(min(new), 2)
        while ended["exit"] != 0 and result.setdefault("resumed", 0) < 3:
            result["resumed"] += 1
            result.setdefault("exit_of_killed", ended["exit"])
            result.setdefault("told", [problem["found"][:300] for problem in ended.get("problems", [])])
            ended = resumed(folder, seen, result)
    result["seconds"] = round(time.monotonic() - begun, 1)
    again = sum(trials_of(folder).get(name) != kept for name, kept in before.items())
    return {**result, "exit": ended["exit"], "run": ended.get("run"), "again": again, "left": left(folder)}


def left(folder: Path) -> list[str]:
    """Folders of Ray's that are still there after a while; the cleaner of a killed run removes its own."""
    end = time.monotonic() + GONE_S
    while (found := [path.name for path in folder.glob("ray-*")]) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def made(root: str, name: str, model: str, *, rows: int, trials: int) -> Path:
    """A folder with the table and the spec."""
    folder = Path(root, name)
    folder.mkdir()
    write_rows(folder, rows)
    (folder / "kill.yaml").write_text(SPEC.format(trials=trials, model=MODELS[model]))
    return folder


def judged(folder: Path, result: dict, undisturbed: dict) -> list[str]:
    """What is wrong with the outcome of a run that was killed."""
    wrong = ["trials ran again"] * bool(result["again"]) + ["Ray's folder is left"] * bool(result["left"])
    if result["whom"] != "driver" and result.get("exit_of_killed", 0) not in (0, 4):
        wrong.append(f"exit {result['exit_of_killed']} when it was killed")
    if result["exit"] != 0:
        return [*wrong, f"exit {result['exit']}"]
    found = outcome(folder, result["run"])
    wrong += [f"another {name}" for name in undisturbed if found[name] != undisturbed[name]]
    return wrong + [name for name, kept in undisturbed["model"].items() if found["model"].get(name) != kept]


def summary(results: list[dict]) -> dict:
    """Counts, and how long it takes until the work goes on."""
    hits = [result for result in results if result["hit"]]
    told: dict = {"kills": len(hits), "ok": sum(not result["wrong"] for result in hits)}
    told["too_late"] = len(results) - len(hits)
    for key in ("whom", "model"):
        told |= Counter(result[key] for result in hits)
    told["resumed"] = sum("resumed" in result for result in results)
    told["exits_of_killed"] = Counter(str(result.get("exit_of_killed", 0)) for result in results)
    for name, whom in (("worker_killed", ("worker",)), ("resume", ("driver", "raylet"))):
        times = sorted(r["training_again_s"] for r in results if r["whom"] in whom and "training_again_s" in r)
        if times:
            told[f"training_again_s_{name}"] = {
                "of": len(times),
                "median": times[len(times) // 2],
                "largest": times[-1],
            }
    ends = sorted(result["seconds"] for result in results)
    return {**told, "median_s_to_the_end": ends[len(ends) // 2], "failed": [r for r in results if r["wrong"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 200), ("seed", 0), ("rows", 2000), ("trials", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=600.0, help="no further kill after this time")
    parser.add_argument("--mlp", type=float, default=0.15, help="the share of runs that train `mlp`")
    asked = parser.parse_args()
    draw, results, end = random.Random(asked.seed), list[dict](), time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as root:  # sockets lie below, and their paths are short
        whole: dict[str, dict] = {}
        while sum(result["hit"] for result in results) < asked.kills and time.monotonic() < end:
            model = "mlp" if draw.random() < asked.mlp else "xgboost"
            if model not in whole:
                folder = made(root, model, model, rows=asked.rows, trials=asked.trials)
                whole[model] = outcome(folder, answer(start(folder, "run", "kill.yaml"))["run"])
            folder = made(root, str(len(results)), model, rows=asked.rows, trials=asked.trials)
            kill = drawn(random.Random(draw.random()), asked.trials)
            result = {"model": model, **killed(folder, kill)}
            if wrong := judged(folder, result, whole[model]):
                result["stderr"] = (folder / "stderr.txt").read_text()[-1500:]
            results.append({**result, "wrong": wrong})
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    told = summary(results)
    print(json.dumps({**told, "cores": os.cpu_count()}))
    sys.exit(bool(told["failed"]))


if __name__ == "__main__":
    main()
