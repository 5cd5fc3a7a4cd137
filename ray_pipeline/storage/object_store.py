"""A folder of an object store, such as `s3://bucket/runs`: whole objects go in and out; nothing is appended, nothing
renamed.

Credentials come from the environment or the node's role (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …) and are never kept.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ray_pipeline.errors import Problem, StorageError

THREADS = 16


class ObjectStore:
    """The objects under one URI, by their names relative to it.

    Every method raises `StorageError` where the store does not answer or does not let us in.
    """

    def __init__(self, uri: str) -> None:
        from pyarrow import fs

        self.uri = uri.rstrip("/")
        with self._explained():
            self._system, self._root = fs.FileSystem.from_uri(self.uri)

    def folders(self) -> list[str]:
        """The names of what stands directly below, sorted."""
        with self._explained():
            return sorted(entry.base_name for entry in self._listed("", recursive=False))

    def files(self, under: str = "") -> list[str]:
        """Every object below that name, sorted."""
        from pyarrow.fs import FileType

        with self._explained():
            found = (entry.path for entry in self._listed(under, recursive=True) if entry.type == FileType.File)
            return sorted(str(PurePosixPath(path).relative_to(self._root)) for path in found)

    def put(self, name: str, content: bytes) -> None:
        """Writes one object; it is there whole, or not at all."""
        # An S3 multipart upload is seen only once it is closed; a process that dies before leaves nothing.
        with self._explained(), self._system.open_output_stream(f"{self._root}/{name}") as stream:
            stream.write(content)

    def read(self, name: str) -> bytes:
        """One object."""
        with self._explained(), self._system.open_input_stream(f"{self._root}/{name}") as stream:
            return bytes(stream.read())

    def fetch(self, under: str, folder: Path) -> None:
        """Copies every object below that name into a folder, by their names relative to it."""
        names = self.files(under)

        def copy(name: str) -> None:
            path = folder / PurePosixPath(name).relative_to(under)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(copy, names))

    def read_all(self, names: list[str]) -> list[bytes]:
        """Those objects, in that order."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self.read, names))

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        from pyarrow.fs import FileType

        with self._explained():
            return bool(self._system.get_file_info(f"{self._root}/{name}").type == FileType.File)

    def remove(self, name: str) -> None:
        """Takes away an object, or all below that name; nothing if there is none."""
        with self._explained():
            for entry in self.files(name) or [name]:
                try:
                    self._system.delete_file(f"{self._root}/{entry}")
                except FileNotFoundError:
                    continue

    def _listed(self, under: str, *, recursive: bool) -> list[Any]:
        from pyarrow import fs

        where = f"{self._root}/{under}" if under else self._root
        return list(self._system.get_file_info(fs.FileSelector(where, recursive=recursive, allow_not_found=True)))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from pyarrow import ArrowException

        try:
            yield
        except (OSError, ArrowException) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            fix = (
                "check the address and the credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,"
                " AWS_REGION, AWS_ENDPOINT_URL)"
            )
            raise StorageError(
                Problem(key="storage", file=self.uri, found=f"the object store answers: {reason}", fix=fix)
            ) from None
