"""The run folder: plain files, a journal of completed steps, and a manifest written last.

A run that is kept in a bucket is worked on in a folder of this machine. Every file is uploaded as soon as it is whole;
what is in the bucket is the truth.
"""

import atexit
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_pipeline.errors import Problem, StorageError, listed
from ray_pipeline.plain_json import plain
from ray_pipeline.runs.journal import JOURNAL, Journal, content_of
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.storage.lease import Lease

RUN_ID = "RAY_PIPELINE_RUN_ID"
"""The environment variable with the id under which the run was submitted as a job."""
CLAIM = f"{JOURNAL}/claim"
KEPT, KEPT_STEPS = ".kept", ("test_part",)
"""The folder of a storage with the steps of removed runs that later runs still count."""
MAX_TRIES = 1000


class RunFolder:
    """One run's folder in a storage."""

    def __init__(self, store: BlobStore, run: str) -> None:
        """`store` holds this run and others."""
        self.store, self.run = store, run
        self.is_remote = "://" in store.root
        self.path = _working_folder(run) if self.is_remote else Path(store.root, run)
        """Where the files are read; a copy, where the storage is a bucket."""
        self.journal = Journal(self)
        self._lease: Lease | None = None

    @property
    def storage(self) -> str:
        """The folder or URI that holds the run, beside others."""
        return self.store.root

    @property
    def address(self) -> str:
        """An absolute path, or a URI."""
        return f"{self.storage}/{self.run}"

    @classmethod
    def create(cls, storage: Path | str, name: str, fingerprint: str) -> "RunFolder":
        """Create the folder `<name>-<first 8 of the fingerprint>-<n>` with the first free n.

        Raises
        ------
        StorageError
            It cannot be made.
        """
        store, stem = BlobStore(str(storage)), f"{name}-{fingerprint[:8]}"
        if asked := os.environ.get(RUN_ID):
            store.write(f"{asked}/{CLAIM}", b"")
            return cls(store, asked)
        pattern = re.compile(re.escape(stem) + r"-(\d+)")
        taken = [int(match[1]) for folder in store.folders() if (match := pattern.fullmatch(folder))]
        for number in range(max(taken, default=0) + 1, max(taken, default=0) + MAX_TRIES):
            try:
                is_ours = store.create(f"{stem}-{number}/{CLAIM}", b"")
            except StorageError as error:
                raise StorageError(replace(problem, file=store.root) for problem in error.problems) from None
            if is_ours:
                return cls(store, f"{stem}-{number}")
        raise StorageError(
            Problem(file=store.root, key="storage", found=f"no free run number for {stem}", fix="remove old runs")
        )

    @classmethod
    def open(cls, storage: Path | str, run: str) -> "RunFolder":
        """Open the folder of a run named by its path or URI, or by its id under `storage`.

        Raises
        ------
        StorageError
            There is none; the nearest ids are offered.
        """
        path, is_elsewhere = Path(run), Path(run).is_absolute() or not Path(storage, run).is_dir()
        if "://" in run:
            storage, _, run = run.rstrip("/").rpartition("/")
        elif is_elsewhere and (path / "spec.yaml").is_file():
            storage, run = path.absolute().parent, path.absolute().name
        elif is_elsewhere and path.is_dir():
            raise StorageError(
                Problem(
                    file=run,
                    found="is not a run folder: it has no spec.yaml",
                    fix="name the folder of one run, or its id",
                )
            )
        store = BlobStore(str(storage) if "://" in str(storage) else str(Path(storage).absolute()))
        if not store.exists(f"{run}/spec.yaml"):
            known = [folder for folder in store.folders() if store.exists(f"{folder}/spec.yaml")]
            raise _unknown(run, store.root, known)
        folder = cls(store, run)
        if folder.is_remote:
            store.fetch(run, folder.path)
        return folder

    def siblings(self, step: str) -> list[dict[str, Any]]:
        """What every run of this storage, this one and removed ones included, has recorded under that step."""
        removed = [key for key in self.store.keys(KEPT) if key.endswith(f"/{step}.json")]
        entries = self.store.read_many([*removed, *(f"{run}/{JOURNAL}/{step}.json" for run in self.store.folders())])
        return [content for entry in entries if entry and (content := content_of(entry)) is not None]

    @contextmanager
    def lease(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """While it lasts, no other process goes on with this run.

        Raises
        ------
        ResourceError
            Another process works on it right now; its host, pid and start time are named.
        """
        with self.store.lease(f"{self.run}/{JOURNAL}/lease", on_wait=on_wait) as self._lease:
            if self.is_remote:  # the copy was made before; its last holder may have gone on since
                self.store.fetch(self.run, self.path)
                self._check_lease()
            yield
        self._lease = None

    def upload(self, *names: str) -> None:
        """Upload files and folders that others made in the working folder, where the run is kept elsewhere."""
        self._check_lease()
        for path in (self.path / name for name in names) if self.is_remote else ():
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    self.store.write(f"{self.run}/{file.relative_to(self.path)}", file.read_bytes())

    def remove(self, name: str) -> None:
        """Remove a file or a folder of the run."""
        self._check_lease()
        self.store.remove(f"{self.run}/{name}")
        if self.is_remote:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def write(self, name: str, content: str | bytes | pa.Buffer) -> Path:
        """Write one file whole. Raises `StorageError` where that fails."""
        content = content.encode() if isinstance(content, str) else content
        self._check_lease()
        if self.is_remote:
            BlobStore(str(self.path)).write(name, content)
        self.store.write(f"{self.run}/{name}", content)
        return self.path / name

    def _check_lease(self) -> None:
        """Raise `ResourceError` if this process had the lease of the run and lost it."""
        if self._lease is not None:
            self._lease.check()

    def write_json(self, name: str, value: object) -> Path:
        """Write one JSON file whole, numbers that are not finite as null."""
        return self.write(name, json.dumps(plain(value), indent=1, ensure_ascii=False, default=str) + "\n")


def _working_folder(run: str) -> Path:
    """An empty folder of this machine for a run that is kept elsewhere; it goes with this process."""
    root = tempfile.mkdtemp(prefix="ray_pipeline-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (Path(root) / run).mkdir()
    return Path(root) / run


def _unknown(run: str, storage: str, known: list[str]) -> StorageError:
    near = get_close_matches(run, known, n=3, cutoff=0.4)
    fix = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"name one of {listed(known)}"
        if known
        else "say with --storage or --on where runs are kept, or start one with `ray-pipeline run`"
    )
    return StorageError(Problem(file=storage, found=f"there is no run {run!r} among the {len(known)} here", fix=fix))
