"""Prove a version: its files are as stored, and a fresh process without Ray gives its stored rows the same scores."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import package

TIMEOUT_S = 120


def verify(model: Path, *, fingerprint: str | None, shipped: bool) -> dict[str, Any]:
    """Hash the files of a version, score its stored rows again, and return what was proved.

    Parameters
    ----------
    model
        The version's folder on this machine.
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
    scoring = _score_again(model, model / "code" if shipped else package.PACKAGE.parent)
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


def _score_again(model: Path, code: Path) -> dict[str, Any]:
    """What `rescore.py` prints in a process of its own."""
    libraries = json.dumps([path for path in sys.path if path])
    script = Path(__file__).with_name("rescore.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-B", script, code, model, libraries],
            # With more threads, scoring one row at a time would spend its time on waking them.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    except subprocess.TimeoutExpired:
        return {"found": f"scoring the stored rows took more than {TIMEOUT_S} s"}
    except (IndexError, ValueError):
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return {"found": f"the process that scores the stored rows ended with code {done.returncode}: {last[0]}"}
