"""The run folder: plain files that appear by rename, a journal of completed steps, and a manifest written last."""

import fcntl
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, ResourceError, StorageError, listed


class RunFolder:
    """One run's folder under the storage folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @classmethod
    def create(cls, storage: Path, name: str, fingerprint: str) -> "RunFolder":
        """A new folder `<name>-<first 8 of the fingerprint>-<n>` with the first free n. Raises `StorageError` if it cannot be made."""
        stem = f"{name}-{fingerprint[:8]}"
        try:
            storage.mkdir(parents=True, exist_ok=True)
            if asked := os.environ.get("RAY_PIPELINE_RUN_ID"):  # the id under which the run was submitted as a job
                (storage / asked).mkdir()
                return cls(storage / asked)
            taken = [int(match[1]) for entry in storage.glob(f"{stem}-*") if (match := re.fullmatch(re.escape(stem) + r"-(\d+)", entry.name))]
            for n in range(max(taken, default=0) + 1, max(taken, default=0) + 1000):
                try:
                    (storage / f"{stem}-{n}").mkdir()
                    return cls(storage / f"{stem}-{n}")
                except FileExistsError:
                    continue
        except OSError as error:
            raise StorageError(
                Problem(file=str(storage), key="storage", found=f"cannot write here: {error.strerror}", fix="name a folder that you may write to as `storage`")
            ) from None
        raise StorageError(Problem(file=str(storage), key="storage", found=f"no free run number for {stem}", fix="remove old runs"))

    @classmethod
    def open(cls, storage: Path, run: str) -> "RunFolder":
        """The folder of a run named by its path or by its id under `storage`.

        Raises:
            StorageError: there is none; the nearest ids are offered.
        """
        for folder in (storage / run, Path(run)):
            if (folder / "spec.yaml").is_file():
                return cls(folder.absolute())
        if Path(run).is_dir():
            raise StorageError(Problem(file=run, found="is not a run folder: it has no spec.yaml", fix="name the folder of one run, or its id"))
        known = sorted(path.parent.name for path in storage.glob("*/spec.yaml"))
        near = get_close_matches(run, known, n=3, cutoff=0.4)
        if near:
            fix = f"did you mean {' or '.join(map(repr, near))}?"
        else:
            fix = f"name one of {listed(known)}" if known else "say with --storage or --on where runs are kept, or start one with `ray-pipeline run`"
        raise StorageError(Problem(file=str(storage), found=f"there is no run {run!r} among the {len(known)} here", fix=fix))

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts, no other process goes on with this run; the system lets go of it when the process dies, however it dies.

        Raises:
            ResourceError: another process works on it right now.
        """
        path = self.path / "journal" / ".held"
        path.parent.mkdir(exist_ok=True)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                found = f"the run {self.run} is under way: {file.read().strip() or 'it has just begun'}"
                raise ResourceError(Problem(file=str(self.path), found=found, fix="wait for its end, or stop that process and resume then")) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC).isoformat(timespec='seconds')}")
            file.flush()
            yield

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes one file whole: to a temporary name, synced, then renamed. Raises `StorageError` where that fails."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise StorageError(
                Problem(file=str(path), found=f"cannot write: {error.strerror}", fix="free some space, or name another `storage`; then `ray-pipeline resume`")
            ) from None
        return path

    def write_json(self, name: str, value: object) -> Path:
        """Writes one JSON file whole, numbers that are not finite as null."""
        return self.write(name, json.dumps(plain(value), indent=1, ensure_ascii=False, default=str) + "\n")

    def read_json(self, name: str) -> Any:
        """What a JSON file of the run says; None where it is not there."""
        path = self.path / name
        return json.loads(path.read_text()) if path.is_file() else None

    def record(self, step: str, found: Mapping[str, Any]) -> None:
        """Writes a completed step to the journal, with the hash of what it says."""
        text = json.dumps(plain(found), sort_keys=True, ensure_ascii=False)
        entry = {
            "step": step,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "found": json.loads(text),
        }
        self.write(f"journal/{step}.json", json.dumps(entry, ensure_ascii=False) + "\n")

    def recorded(self, step: str) -> dict[str, Any] | None:
        """What the journal says of a step; None where it is absent or its hash does not agree (then the step is done again)."""
        path = self.path / "journal" / f"{step}.json"
        try:
            entry = json.loads(path.read_text())
            found, sha256 = entry["found"], entry["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        text = json.dumps(found, sort_keys=True, ensure_ascii=False)
        return found if hashlib.sha256(text.encode()).hexdigest() == sha256 else None

    def steps(self, prefix: str) -> list[str]:
        """Names of the recorded steps with that prefix, sorted."""
        return sorted(path.stem for path in (self.path / "journal").glob(f"{prefix}*.json"))


def plain(value: object) -> object:
    """The value with numbers that are not finite as None, for JSON."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
