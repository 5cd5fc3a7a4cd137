"""The run folder: plain files that appear by rename, a journal of completed steps, and a manifest written last.

Kept in an object store, the run is worked on in a folder of this machine, and every file is put there as soon as it is
whole; what is there is the truth.
"""

import atexit
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_pipeline.errors import Problem, ResourceError, StorageError, listed
from ray_pipeline.storage.blob_store import BlobStore


class RunFolder:
    """One run's folder under the storage folder."""

    def __init__(self, path: Path, store: BlobStore | None = None) -> None:
        self.path = path
        self.store = store
        """Where the run is kept, if not in `path`."""

    @property
    def run(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @property
    def storage(self) -> str:
        """The folder or URI that the run is kept in, beside others."""
        return self.store.root if self.store else str(self.path.parent)

    @property
    def address(self) -> str:
        """Where the run is kept: an absolute path, or a URI."""
        return f"{self.storage}/{self.run}"

    @classmethod
    def create(cls, storage: Path | str, name: str, fingerprint: str) -> "RunFolder":
        """A new folder `<name>-<first 8 of the fingerprint>-<n>` with the first free n. Raises `StorageError` if it
        cannot be made."""
        stem = f"{name}-{fingerprint[:8]}"
        if "://" in str(storage):
            return cls._created(BlobStore(str(storage)), stem)
        storage = Path(storage)
        try:
            storage.mkdir(parents=True, exist_ok=True)
            if asked := os.environ.get("RAY_PIPELINE_RUN_ID"):  # the id under which the run was submitted as a job
                (storage / asked).mkdir()
                return cls(storage / asked)
            taken = [
                int(match[1])
                for entry in storage.glob(f"{stem}-*")
                if (match := re.fullmatch(re.escape(stem) + r"-(\d+)", entry.name))
            ]
            for n in range(max(taken, default=0) + 1, max(taken, default=0) + 1000):
                try:
                    (storage / f"{stem}-{n}").mkdir()
                    return cls(storage / f"{stem}-{n}")
                except FileExistsError:
                    continue
        except OSError as error:
            raise StorageError(
                Problem(
                    file=str(storage),
                    key="storage",
                    found=f"cannot write here: {error.strerror}",
                    fix="name a folder that you may write to as `storage`",
                )
            ) from None
        raise StorageError(
            Problem(file=str(storage), key="storage", found=f"no free run number for {stem}", fix="remove old runs")
        )

    @classmethod
    def _created(cls, store: BlobStore, stem: str) -> "RunFolder":
        asked = os.environ.get("RAY_PIPELINE_RUN_ID")
        taken = [
            int(match[1]) for name in store.folders() if (match := re.fullmatch(re.escape(stem) + r"-(\d+)", name))
        ]
        for n in range(max(taken, default=0) + 1, max(taken, default=0) + 1000):
            run = asked or f"{stem}-{n}"
            if store.create(f"{run}/journal/claim", b"") or asked:
                return cls(_working_folder(run), store)
        raise StorageError(
            Problem(file=store.root, key="storage", found=f"no free run number for {stem}", fix="remove old runs")
        )

    @classmethod
    def open(cls, storage: Path | str, run: str) -> "RunFolder":
        """The folder of a run named by its path or URI, or by its id under `storage`.

        Raises:
            StorageError: there is none; the nearest ids are offered.
        """
        if "://" in run:
            storage, _, run = run.rstrip("/").rpartition("/")
        if "://" in str(storage):
            store = BlobStore(str(storage))
            if store.exists(f"{run}/spec.yaml"):
                folder = _working_folder(run)
                store.fetch(run, folder)
                return cls(folder, store)
            raise _unknown(run, store.root, store.folders())
        storage = Path(storage)
        for folder in (storage / run, Path(run)):
            if (folder / "spec.yaml").is_file():
                return cls(folder.absolute())
        if Path(run).is_dir():
            raise StorageError(
                Problem(
                    file=run,
                    found="is not a run folder: it has no spec.yaml",
                    fix="name the folder of one run, or its id",
                )
            )
        raise _unknown(run, str(storage), sorted(path.parent.name for path in storage.glob("*/spec.yaml")))

    def siblings(self, step: str) -> list[dict[str, Any]]:
        """What every run of this storage, this one included, has recorded under that step."""
        if self.store:
            entries = self.store.read_many([f"{run}/journal/{step}.json" for run in self.store.folders()])
            texts: Iterable[bytes] = [text for text in entries if text is not None]
        else:
            texts = (path.read_bytes() for path in self.path.parent.glob(f"*/journal/{step}.json"))
        return [found for text in texts if (found := _found(text)) is not None]

    def share(self, *names: str) -> None:
        """Puts files and folders, made in the working folder by others, to where the run is kept."""
        for path in (self.path / name for name in names) if self.store else ():
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and self.store:
                    self.store.write(f"{self.run}/{file.relative_to(self.path)}", file.read_bytes())

    def remove(self, name: str) -> None:
        """Takes away a file or a folder of the run."""
        (
            shutil.rmtree(self.path / name, ignore_errors=True)
            if (self.path / name).is_dir()
            else (self.path / name).unlink(missing_ok=True)
        )
        if self.store:
            self.store.remove(f"{self.run}/{name}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts, no other process goes on with this run; the system lets go of it when the process dies,
        however it dies.

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
                raise ResourceError(
                    Problem(
                        file=str(self.path), found=found, fix="wait for its end, or stop that process and resume then"
                    )
                ) from None
            file.truncate(0)
            file.write(
                f"process {os.getpid()} on {socket.gethostname()} since"
                f" {datetime.now(UTC).isoformat(timespec='seconds')}"
            )
            file.flush()
            yield

    def write(self, name: str, content: str | bytes | pa.Buffer) -> Path:
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
                Problem(
                    file=str(path),
                    found=f"cannot write: {error.strerror}",
                    fix="free some space, or name another `storage`; then `ray-pipeline resume`",
                )
            ) from None
        self.share(name)
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
        """What the journal says of a step; None where it is absent or its hash does not agree (then the step is done
        again)."""
        path = self.path / "journal" / f"{step}.json"
        return _found(path.read_bytes()) if path.is_file() else None

    def steps(self, prefix: str) -> list[str]:
        """Names of the recorded steps with that prefix, sorted."""
        return sorted(path.stem for path in (self.path / "journal").glob(f"{prefix}*.json"))


def _found(text: bytes) -> dict[str, Any] | None:
    """What a journal entry says; None where its hash does not agree."""
    try:
        entry = json.loads(text)
        found, sha256 = entry["found"], entry["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    said = json.dumps(found, sort_keys=True, ensure_ascii=False)
    return found if hashlib.sha256(said.encode()).hexdigest() == sha256 else None


def _working_folder(run: str) -> Path:
    """An empty folder of this machine for a run that is kept elsewhere; it goes with this process."""
    root = tempfile.mkdtemp(prefix="ray_pipeline-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (Path(root) / run).mkdir()
    return Path(root) / run


def _unknown(run: str, storage: str, known: list[str]) -> StorageError:
    near = get_close_matches(run, known, n=3, cutoff=0.4)
    if near:
        fix = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        fix = (
            f"name one of {listed(known)}"
            if known
            else "say with --storage or --on where runs are kept, or start one with `ray-pipeline run`"
        )
    return StorageError(Problem(file=storage, found=f"there is no run {run!r} among the {len(known)} here", fix=fix))


def plain(value: object) -> object:
    """The value with numbers that are not finite as None, for JSON."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
