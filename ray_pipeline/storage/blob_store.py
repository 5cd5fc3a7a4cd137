"""Bytes by key, in a local folder or a bucket: each object is whole or absent, and damage is detected by the reader."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.storage.lease import BucketLease, Lease, LocalLease
from ray_pipeline.storage.local_backend import RESERVED, LocalBackend

if TYPE_CHECKING:
    from ray_pipeline.storage.bucket_backend import BucketBackend

SEAL_BYTES = hashlib.sha256().digest_size
BATCH = 64
"""Objects that `fetch` holds in memory at the same time."""


class MissingBlob(StorageError):
    """There is no object of that key."""


class DamagedBlob(StorageError):
    """The object is not what was written."""


@dataclass(frozen=True)
class BlobStore:
    """The objects below an absolute local folder or a URI (`s3://`, `gs://`, `abfs://`, `abfss://`).

    An object appears whole and at once: a local file by the rename of a synced temporary file, an object of a bucket by
    one put. A key is a relative path of printable segments with `/` between them. Every method raises `StorageError` if
    the key is not valid, or the storage does not answer or refuses access. The store pickles as its root alone, without
    credentials and connections, so it travels to Ray workers.

    >>> import tempfile
    >>> store = BlobStore(tempfile.mkdtemp())
    >>> digest = store.write("run-1/spec.yaml", b"name: loans")
    >>> store.read("run-1/spec.yaml", digest), store.keys(), store.folders()
    (b'name: loans', ['run-1/spec.yaml'], ['run-1'])
    """

    root: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.rstrip("/"))

    def __reduce__(self) -> tuple[type["BlobStore"], tuple[str]]:
        return BlobStore, (self.root,)

    def address(self, key: str) -> str:
        """The path or URI of an object."""
        return f"{self.root}/{key}"

    def write(self, key: str, content: bytes | pa.Buffer) -> str:
        """Publishes the content as it is, in place of what was there; returns its SHA-256 in hex."""
        with self._explained("write", key):
            self._backend.put(key, content)
        return hashlib.sha256(content).hexdigest()

    def create(self, key: str, content: bytes) -> bool:
        """Publishes the content if there is no such object, and returns whether it did.

        Of several processes at most one gets True. On a bucket all may get False if the answer to a request is lost.
        """
        with self._explained("write", key):
            return self._backend.create(key, content)

    def read(self, key: str, sha256: str | None = None) -> bytes:
        """The content.

        Parameters
        ----------
        sha256
            What `write` returned, in hex; where given, the content is verified.

        Raises
        ------
        MissingBlob
            There is no such object.
        DamagedBlob
            The content has another SHA-256.
        """
        content: bytes = self._get(key).to_pybytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise self._damaged(key)
        return content

    def read_many(self, keys: list[str]) -> list[bytes | None]:
        """The contents in that order, read in parallel; None where there is no such object."""
        with self._explained("read", *keys):
            return [None if content is None else content.to_pybytes() for content in self._backend.get_many(keys)]

    def write_sealed(self, key: str, content: bytes | pa.Buffer) -> None:
        """Publishes the content followed by the SHA-256 of its key and itself, for `read_sealed`."""
        with self._explained("write", key):
            self._backend.put(key, content, _seal(key, content))

    def read_sealed(self, key: str) -> pa.Buffer:
        """The content that `write_sealed` published, verified; for a local file it is aligned for Arrow.

        Raises
        ------
        MissingBlob
            There is no such object.
        DamagedBlob
            The content does not fit the SHA-256 that follows it, or is that of another key.
        """
        sealed = self._get(key)
        content = sealed.slice(0, max(sealed.size - SEAL_BYTES, 0))
        if _seal(key, content) != sealed.slice(content.size).to_pybytes():
            raise self._damaged(key)
        return content

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        with self._explained("read", key):
            return self._backend.exists(key)

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all objects below a folder, sorted."""
        with self._explained("list", *filter(None, [prefix])):
            return self._backend.keys(prefix)

    def folders(self) -> list[str]:
        """The names of the folders directly below the root, sorted."""
        with self._explained("list"):
            return self._backend.folders()

    def remove(self, key: str) -> None:
        """Removes an object, or all below that key; nothing if there is none."""
        with self._explained("remove", key):
            self._backend.remove(key)

    def fetch(self, prefix: str, folder: Path) -> None:
        """Copies all objects below a folder of the store into a local folder, under their names relative to it."""
        keys = self.keys(prefix)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            for key, content in zip(batch, self.read_many(batch), strict=True):
                if content is not None:
                    path = folder / Path(key).relative_to(prefix)
                    with BlobStore(str(folder))._explained("write"):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(content)

    def use(self, folder: str) -> AbstractContextManager[object]:
        """Marks a folder directly below the root as used now, and keeps `evict` away from it until the `with` ends.

        The mark is a shared lock of the system on a local file, so the use ends when its process dies.
        """
        with self._explained("use", folder):
            return self._backend.use(folder)

    def sizes(self) -> dict[str, int]:
        """The bytes below each folder directly below the root."""
        with self._explained("list"):
            return self._backend.sizes()

    def evict(self, max_bytes: int) -> list[str]:
        """Removes the least recently used folders below the root until at most `max_bytes` are left; returns their
        names.

        Folders in use stay. On a bucket it removes nothing: its lifecycle rules do that without a listing.
        """
        with self._explained("remove"):
            return self._backend.evict(max_bytes)

    def lease(self, key: str, on_wait: Callable[[str], None] | None = None) -> AbstractContextManager[Lease]:
        """Takes a lease, which one process has at a time, and holds it until the `with` ends.

        Call `check` of the yielded lease before each step that others can see. `ray_pipeline.storage.lease` says why
        two processes never both hold it.

        Parameters
        ----------
        key
            The object of the lease; it stays after the release.
        on_wait
            Called with a message where the owner is on another machine, before a wait of up to 15 s for a sign of
            life.

        Raises
        ------
        ResourceError
            Another process holds it; the message names its host, its pid and its start.
        """
        with self._explained("hold", key):
            backend, place = self._backend, self.address(key)
            if isinstance(backend, LocalBackend):
                return closing(LocalLease(backend.path(key), place))
            return closing(BucketLease(backend, key, place, on_wait))

    @cached_property
    def _backend(self) -> "LocalBackend | BucketBackend":
        if "://" not in self.root:
            return LocalBackend(Path(self.root))
        from ray_pipeline.storage.bucket_backend import BucketBackend

        return BucketBackend(self.root)

    def _get(self, key: str) -> pa.Buffer:
        with self._explained("read", key):
            (content,) = self._backend.get_many([key])
        if content is None:
            raise MissingBlob(
                Problem(
                    file=self.address(key),
                    found="does not exist",
                    fix="check the name, and that nobody has removed it",
                )
            )
        return content

    @contextmanager
    def _explained(self, verb: str, *keys: str) -> Iterator[None]:
        """Refuses keys that lead out of the root or to files of our own; turns storage errors into `StorageError`."""
        for key in keys:
            segments = key.split("/")
            if {"", ".", ".."} & {*segments} or segments[0] in RESERVED or "\\" in key or not key.isprintable():
                raise StorageError(
                    Problem(
                        file=self.root,
                        found=f"{key!r} is not a key",
                        fix="use a relative path of printable names, without '..', empty segments and backslashes",
                    )
                )
        try:
            yield
        except self._backend.failures as error:
            found, fix = self._backend.explain(error)
            place = self.address(keys[0]) if len(keys) == 1 else self.root
            raise StorageError(Problem(key="storage", file=place, found=f"cannot {verb}: {found}", fix=fix)) from None

    def _damaged(self, key: str) -> DamagedBlob:
        return DamagedBlob(
            Problem(
                file=self.address(key),
                found="has changed since it was written: its SHA-256 is another one",
                fix="remove it, then run again",
            )
        )


def _seal(key: str, content: bytes | pa.Buffer) -> bytes:
    """The SHA-256 of the key, a zero byte and the content: an object in the place of another one does not fit."""
    digest = hashlib.sha256(key.encode() + b"\0")
    digest.update(content)
    return digest.digest()
