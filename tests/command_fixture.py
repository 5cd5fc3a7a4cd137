"""A run with many trials as a process of its own: how it is begun, followed and ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tables import write_spec

TRIALS = 30
STARTED_S, WHOLE_S = 240, 500


def spec_at(folder: Path, loans: Path) -> Path:
    """A folder with the tables and a spec with many trials."""
    (folder / "data").symlink_to(loans / "data")
    return write_spec(
        folder,
        trials=f"trials: 6 => trials: {TRIALS}",
        rounds="num_boost_round: 40 => num_boost_round: 150",
        register="register: {alias: challenger} => register: false",
    )


def begin(folder: Path, *argv: str, python: Sequence[str] = ("-m", "ray_pipeline")) -> subprocess.Popen[str]:
    """The command line as a process in a session of its own, so that a signal reaches no other process."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    with (folder / "stderr.txt").open("a") as err:
        return subprocess.Popen(
            [sys.executable, *python, *argv, "--json"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
            preexec_fn=_takes_interrupts,
        )


def _takes_interrupts() -> None:
    """Undoes that a shell lets its background jobs, such as this test, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str], folder: Path, within: float = WHOLE_S) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer."""
    out, _ = process.communicate(timeout=within)
    assert "Traceback" not in out + (folder / "stderr.txt").read_text()
    return process.returncode, json.loads(out.splitlines()[-1])


def until_trials(folder: Path, process: subprocess.Popen[str], count: int = 3) -> Path:
    """The run's folder, when so many trials are finished."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "stderr.txt").read_text()[-2000:]
        if len(found := list(folder.glob("runs/*/journal/trial-*.json"))) >= count:
            return found[0].parent.parent
        time.sleep(0.05)
    raise AssertionError(f"no {count} trials within {STARTED_S} s: {(folder / 'stderr.txt').read_text()[-2000:]}")


def until_file(folder: Path, process: subprocess.Popen[str], name: str) -> Path:
    """The run's folder, when it has that file."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        if found := list(folder.glob(f"runs/*/{name}")):
            return next(path for path in found[0].parents if path.parent.name == "runs")
        assert process.poll() is None, (folder / "stderr.txt").read_text()[-2000:]
        time.sleep(0.01)
    raise AssertionError(f"no {name} within {STARTED_S} s: {(folder / 'stderr.txt').read_text()[-2000:]}")


def finished_trials(run: Path) -> dict[str, tuple[bytes, int]]:
    """The records of finished trials: their bytes and the times at which they were written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (run / "journal").glob("trial-*.json")}
