"""Prove a version: its files are as stored, and a fresh process without Ray gives its stored rows the same scores."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import package

TIMEOUT_S = 120
Scoring = subprocess.Popen[str]


@contextmanager
def scoring_process() -> Iterator[Scoring]:
    """Start the process that scores a version for `verify`; it imports its libraries while the version is stored."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-B",
            Path(__file__).with_name("rescore.py"),
            json.dumps([path for path in sys.path if path]),
        ],
        # With more threads, scoring one row at a time would spend its time on waking them.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def verify(model: Path, process: Scoring, *, fingerprint: str | None, shipped: bool) -> dict[str, Any]:
    """Hash the files of a version, score its stored rows again, and return what was proved.

    Parameters
    ----------
    model
        The version's folder on this machine.
    process
        The process that scores the stored rows; it can be used once.
    fingerprint
        SHA-256 that its `SHA256SUMS` must have; None while the version is being registered.
    shipped
        Score with the code that is stored in the version, as a server will, instead of this installation. Only for a
        version that this process has just created: code from a registry must not run to judge that registry.

    Returns
    -------
    dict
        `files` (how many were hashed), `rows` (how many were scored), `sha256` of the version and of its `bundle`.

    Raises
    ------
    RegistryError
        A file or a score is not what was stored.
    """
    sha256 = package.check(model)
    if fingerprint not in (None, sha256):
        raise RegistryError(
            Problem(
                file=str(model / "SHA256SUMS"),
                found="was changed: its SHA-256 is not the one in the registry",
                fix="restore the files, or register the run again",
            )
        )
    files = sum(path.is_file() for path in model.rglob("*"))
    scoring = _score_again(process, model, model / "code" if shipped else package.PACKAGE.parent)
    if "found" in scoring:
        raise RegistryError(
            Problem(
                stage="verify",
                file=str(model),
                found=str(scoring["found"]),
                fix="the version gets no alias; register the run again, with the library versions of the training",
            )
        )
    return {"files": files, "rows": scoring["rows"], "sha256": sha256, "bundle": scoring["fingerprint"]}


def _score_again(process: Scoring, model: Path, code: Path) -> dict[str, Any]:
    """What `rescore.py` prints."""
    try:
        out, errors = process.communicate(json.dumps([str(code), str(model)]) + "\n", timeout=TIMEOUT_S)
        return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]
    except subprocess.TimeoutExpired:
        return {"found": f"scoring the stored rows took more than {TIMEOUT_S} s"}
    except (IndexError, ValueError):
        last = errors.strip().splitlines()[-1:] or ["no message"]
        return {"found": f"the process that scores the stored rows ended with code {process.returncode}: {last[0]}"}
