"""One holder at a time: a lock of the system for local files, a conditional write and an expiry for buckets.

**Local.** The holder has an exclusive `flock` on the file. The system frees it when the holder dies, however it dies.

**Bucket.** The lease is one small object. Every change of it is a conditional write: create if absent, or replace if
the e-tag is still the one that was read. So two changes of the same state never both succeed. The holder renews it
every 5 s. Another process takes it over at once if the owner is dead on this host, else only after it saw the same
e-tag for 15 s on its own monotonic clock. The clocks of different machines are never compared.

Why two processes never both believe that they hold it: the holder counts its time from the moment at which it *sent*
its last successful renewal, others count theirs from the moment at which they *saw* it, which is later; and the holder
gives up 2 s earlier. From then on `Lease.check` fails. A renewal that arrives late carries an old e-tag and is refused.
Call `check` before each step that others can see. A process that stops between `check` and the write may still publish
one object late; that object is whole, and the next `check` fails.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ray_pipeline.errors import Problem, ResourceError, StorageError
from ray_pipeline.storage.local_backend import flocked
from ray_pipeline.suggestion import RESUME

if TYPE_CHECKING:
    from obstore import Bytes, UpdateVersion

    from ray_pipeline.storage.bucket_backend import BucketBackend

TTL_S = 15.0
RENEW_S = 5.0
MARGIN_S = 2.0
"""The holder gives up so much earlier than others take over."""
POLL_S, RETRY_S, REQUEST_S = 0.5, 1.0, 2.0
"""Between two looks at another owner's lease; between a failed renewal and the next; for one request of a renewal."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who holds a lease; the JSON content of its file or object."""

    host: str
    pid: int
    since: str
    process_start: int | None
    """In ticks since the boot of the kernel: with the pid, it names a process."""
    kernel: str | None
    """Boot and namespace in which the pid counts; None where the system does not say."""
    token: str
    renewals: int = 0
    released: bool = False

    @classmethod
    def this_process(cls) -> "Owner":
        """This process, which takes the lease now."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            process_start=_process_start(os.getpid()),
            kernel=_kernel(),
            token=uuid4().hex,
        )

    @classmethod
    def parsed(cls, content: "bytes | Bytes") -> "Owner | None":
        """The owner that the content names; None where it names none."""
        with suppress(ValueError, TypeError, RecursionError):
            return cls(**json.loads(bytes(content)))
        return None

    def content(self) -> bytes:
        """The owner as JSON."""
        return json.dumps(asdict(self)).encode()

    def is_alive(self) -> bool | None:
        """Whether the process lives; None where only another machine knows."""
        if self.kernel is None or self.kernel != _kernel():
            return None
        with suppress(PermissionError):
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
        return _process_start(self.pid) in (None, self.process_start)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def _process_start(pid: int) -> int | None:
    """Start of a process in ticks since boot, 0 for a zombie, None where the system does not say."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if state in "ZX" else int(fields[18])


def _kernel() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


class LocalLease:
    """A lease on a local file."""

    def __init__(self, path: Path, place: str) -> None:
        self._path, self._place = path, place
        try:
            self._file = flocked(path, fcntl.LOCK_EX)
        except BlockingIOError:
            raise _refused(place, _owner_of(path)) from None
        self._file.truncate(0)
        self._file.write(Owner.this_process().content())

    def check(self) -> None:
        """Raises `ResourceError` if the file was removed: another process may have locked a new one."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                return
        raise _lost(self._place)

    def close(self) -> None:
        """Frees the lock."""
        self._file.truncate(0)
        self._file.close()


class BucketLease:
    """A lease on an object; a thread renews it until its release."""

    def __init__(self, backend: "BucketBackend", key: str, place: str, on_wait: Callable[[str], None] | None) -> None:
        self._backend, self._key, self._place, self._owner = backend, key, place, Owner.this_process()
        self._lost, self._over = False, threading.Event()
        self._version = self._acquired(on_wait)
        self._thread = threading.Thread(target=self._renew, name="ray-pipeline-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises `ResourceError` if another process has the lease, or may have it soon."""
        if self._lost or _now() - self._renewed > TTL_S - MARGIN_S:
            raise _lost(self._place)

    def close(self) -> None:
        """Writes that the lease is free; where the store does not answer, others wait for the expiry."""
        self._over.set()
        self._thread.join(REQUEST_S)
        with suppress(*self._backend.failures):
            for _ in range(2):  # the first may find that an earlier renewal of ours had reached the store
                if self._thread.is_alive() or self._lost or self._change(released=True):
                    break

    def _acquired(self, on_wait: Callable[[str], None] | None) -> "UpdateVersion":
        """Takes the lease, after a wait where the owner is on another machine; returns the version that names us."""
        seen, since = None, 0.0
        while True:
            content, version = self._backend.get_with_version(self._key) or (b"", None)
            owner, now = Owner.parsed(content), _now()
            if owner and owner.token == self._owner.token and version:
                return version  # written by a request whose answer was lost
            alive = owner.is_alive() if owner else None
            free = version is None or alive is False or (owner is not None and owner.released)
            if free or (version == seen and now - since >= TTL_S):
                self._renewed = now
                if written := self._backend.swap(self._key, self._owner.content(), version):
                    if version is None:
                        self._check_conditions()
                    return written
            elif alive or (seen is not None and version != seen):
                raise _refused(self._place, owner)
            elif seen is None:
                seen, since = version, now
                if on_wait:
                    on_wait(f"{_held(owner)}; wait up to {TTL_S:g} s to see whether it is alive: {self._place}")
            else:
                time.sleep(POLL_S)

    def _check_conditions(self) -> None:
        """Raises `StorageError` if the object store ignores conditions: it would give the lease to every process."""
        if self._backend.swap(self._key, self._owner.content(), None):
            raise StorageError(
                Problem(
                    key="storage",
                    file=self._place,
                    found="the object store ignores If-None-Match, so it cannot hold a lease",
                    fix="use an object store with conditional writes as `storage`, or a folder",
                )
            )

    def _renew(self) -> None:
        """Renews the lease until its release; tries again a second after a failure."""
        renewed = True
        while not self._over.wait(RENEW_S if renewed else RETRY_S) and not self._lost:
            renewed = False
            with suppress(*self._backend.failures):
                renewed = self._change()

    def _change(self, *, released: bool = False) -> bool:
        """Writes a new version of the object and returns True; else the lease is lost, or this is to be tried again."""
        owner, sent = replace(self._owner, renewals=self._owner.renewals + 1, released=released), _now()
        if version := self._backend.swap(self._key, owner.content(), self._version, REQUEST_S):
            self._owner, self._version, self._renewed = owner, version, sent
            return True
        content, found = self._backend.get_with_version(self._key, REQUEST_S) or (b"", None)
        ours = Owner.parsed(content)
        if found and ours and ours.token == self._owner.token:  # written by a request whose answer was lost
            self._owner, self._version = ours, found
        else:
            self._lost = True
        return False


Lease = LocalLease | BucketLease


def _now() -> float:
    """Seconds on a monotonic clock that also runs while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _owner_of(path: Path) -> Owner | None:
    """The owner that a locked file names; waits a moment for one that has the lock and has not yet written its name."""
    deadline = time.monotonic() + 1.0
    while True:
        owner = Owner.parsed(path.read_bytes())
        if (owner and owner.is_alive() is not False) or time.monotonic() > deadline:
            return owner
        time.sleep(0.02)


def _held(owner: Owner | None) -> str:
    return f"is held by {owner or 'a process that has not written its name'}"


def _refused(place: str, owner: Owner | None) -> ResourceError:
    return ResourceError(
        Problem(
            file=place,
            found=_held(owner),
            fix=f"wait until it ends, or stop that process; then {RESUME}",
        )
    )


def _lost(place: str) -> ResourceError:
    return ResourceError(
        Problem(
            file=place,
            found=f"this process has lost the lease: not renewed for {TTL_S - MARGIN_S:g} s, or removed, or taken over",
            fix=f"check the connection and that no other process goes on with this run; then {RESUME}",
        )
    )
