"""Objects as plain files below a local folder: synced and renamed into place, never written in place."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.suggestion import RESUME

RESERVED = TEMPORARY, USES = ".tmp", ".use"
"""Folders below the root that are ours: unfinished files, and one marker for each folder that was used."""
MAX_TEMPORARY_AGE_S = 3600.0
USE_TIMEOUT_S = 5.0
_FIXES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for a larger quota",
    errno.EROFS: "make the file system writable: it is read-only",
    errno.EACCES: "ask for the permission to write and read there",
    errno.EPERM: "ask for the permission to write and read there",
}


class LocalBackend:
    """The files below one absolute folder."""

    failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise StorageError(
                Problem(
                    key="storage",
                    file=str(root),
                    found="is a relative path",
                    fix="give an absolute path, or a URI such as s3://bucket/runs",
                )
            )
        self.root = root
        self._swept = False

    def explain(self, error: Exception) -> tuple[str, str]:
        """What happened, and what would help."""
        fix = _FIXES.get(getattr(error, "errno", None) or 0, "check the folder and its file system")
        found = getattr(error, "strerror", None) or str(error)
        return found, f"{fix}, or name another `storage`; then {RESUME}"

    def path(self, key: str) -> Path:
        """The path of a key; raises `StorageError` if a symbolic link leads out of the root."""
        path = self.root / key
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise StorageError(
                Problem(
                    key="storage",
                    file=str(path),
                    found="is reached by a symbolic link that leads out of the storage folder",
                    fix="remove the link",
                )
            )
        return path

    def put(self, key: str, *parts: bytes | pa.Buffer) -> None:
        """Publishes the parts as one file, in place of what was there."""
        self._publish(key, parts, Path.replace)

    def create(self, key: str, content: bytes) -> bool:
        """Publishes the content if there is no such file, and returns whether it did."""
        with suppress(FileExistsError):
            self._publish(key, [content], os.link)
            return True
        return False

    def get_many(self, keys: list[str]) -> list[pa.Buffer | None]:
        """The contents in that order; None where there is no such file. Buffers are aligned for Arrow."""
        return [_content(self.path(key)) for key in keys]

    def exists(self, key: str) -> bool:
        """Whether there is a file of that key."""
        return self.path(key).is_file()

    def keys(self, prefix: str) -> list[str]:
        """The files below that folder, sorted; symbolic links are left out."""
        found = (
            Path(folder, name)
            for folder, _, names in os.walk(self.path(prefix), onerror=_unless_absent)
            for name in names
        )
        keys = (path.relative_to(self.root) for path in found if not path.is_symlink())
        return sorted(key.as_posix() for key in keys if key.parts[0] not in RESERVED)

    def folders(self) -> list[str]:
        """The folders directly below the root, sorted."""
        with suppress(FileNotFoundError, NotADirectoryError):
            folders = {entry.name for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False)}
            return sorted(folders.difference(RESERVED))
        return []

    def remove(self, key: str) -> None:
        """Removes a file or a folder: first its name by a rename, then its content."""
        grave = self._temporary()
        with suppress(FileNotFoundError):
            self.path(key).rename(grave)
            _delete(grave)

    def use(self, folder: str) -> FileIO:
        """Marks a folder as used now, and keeps `evict` away from it until the marker is closed."""
        marker = flocked(self.root / USES / folder, fcntl.LOCK_SH, USE_TIMEOUT_S)
        os.utime(marker.fileno())
        return marker

    def evict(self, max_bytes: int) -> list[str]:
        """Removes the least recently used folders, except those in use, until at most `max_bytes` are left."""
        sizes, evicted = self.sizes(), list[str]()
        for folder in sorted(sizes, key=self._last_use):
            if sum(sizes.values()) <= max_bytes:
                break
            with suppress(BlockingIOError), flocked(self.root / USES / folder, fcntl.LOCK_EX):
                self.remove(folder)
                (self.root / USES / folder).unlink()
                evicted.append(folder)
                del sizes[folder]
        return evicted

    def sizes(self) -> dict[str, int]:
        """The bytes of the files in each folder directly below the root."""
        return {folder: sum(_size(self.root / key) for key in self.keys(folder)) for folder in self.folders()}

    def _last_use(self, folder: str) -> float:
        for path in (self.root / USES / folder, self.root / folder):
            with suppress(FileNotFoundError):
                return path.stat().st_mtime
        return 0.0  # another process has just removed it

    def _publish(self, key: str, parts: Iterable[bytes | pa.Buffer], move: Callable[[Path, Path], object]) -> None:
        """Writes and syncs a temporary file, and moves it to its place."""
        path, temporary = self.path(key), self._temporary()
        try:
            with temporary.open("xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            while temporary.exists():  # once more where another process has just removed the folder
                with suppress(FileNotFoundError):
                    _make(path.parent)
                    move(temporary, path)
                    _sync(path.parent)
                    return
            raise FileNotFoundError(errno.ENOENT, "another process has removed its temporary file")
        finally:
            temporary.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        """A path that no other process uses; removes what dead processes left there, once it is old."""
        folder = self.root / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        for old in () if self._swept else folder.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - old.lstat().st_mtime > MAX_TEMPORARY_AGE_S:
                    _delete(old)
        self._swept = True
        return folder / uuid4().hex


def flocked(path: Path, operation: int, timeout_s: float = 0.0) -> FileIO:
    """The open file with a lock on it; closing it frees the lock, and so does the death of the process.

    Raises
    ------
    BlockingIOError
        Another process still holds the lock after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+", buffering=0)
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass  # removed between open and lock: lock the new file instead
        except OSError as error:
            if not isinstance(error, BlockingIOError) or time.monotonic() >= deadline:
                file.close()
                raise
            time.sleep(0.02)
        file.close()


def _content(path: Path) -> pa.Buffer | None:
    # Not a memory map: verified bytes must not change under the reader, and an unlink on NFS would raise SIGBUS.
    with suppress(FileNotFoundError), pa.OSFile(str(path)) as file:
        return file.read_buffer()
    return None


def _make(folder: Path) -> None:
    """Makes a folder and its parents, so that they survive a loss of power."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):  # removed meanwhile, and what was published with it
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # removed meanwhile
        return 0


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
