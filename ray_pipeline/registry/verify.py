"""The proof of a version: its files are those that were stored, and a fresh process without Ray gives its stored rows
their stored scores."""

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
    """What was proved: `files` hashed, `rows` scored, and the version's `sha256`.

    Args:
        model: the version's folder, on this machine.
        fingerprint: what its `SHA256SUMS` must hash to; None while it is being registered.
        shipped: score by the code stored in the version (as a server will), not by this installation. Only for a
            version that this process has just made: code from a registry is not run to judge the registry.

    Raises:
        RegistryError: a file or a score is not what was stored.
    """
    found = package.check(model)
    if fingerprint not in (None, found):
        raise RegistryError(
            Problem(
                file=str(model / "SHA256SUMS"),
                found="was changed: its SHA-256 is not the one in the registry",
                fix="restore the files, or register the run again",
            )
        )
    files = sum(path.is_file() for path in model.rglob("*"))
    answer = _rescored(model, model / "code" if shipped else package.PACKAGE.parent)
    if "found" in answer:
        raise RegistryError(
            Problem(
                stage="verify",
                file=str(model),
                found=str(answer["found"]),
                fix="the version gets no alias; register the run again, with the library versions it was trained with",
            )
        )
    return {"files": files, "rows": answer["rows"], "sha256": found, "bundle": answer["fingerprint"]}


def _rescored(model: Path, code: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("rescore.py")
    command = [
        sys.executable,
        "-I",
        "-B",
        str(script),
        str(code),
        str(model),
        json.dumps([path for path in sys.path if path]),
    ]
    try:
        # One thread: rows scored one by one would spend their time waking the others.
        done = subprocess.run(
            command,
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
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        return {"found": f"the process that scores the stored rows ended with code {done.returncode}: {last[0]}"}
