"""Objects in a bucket of S3, GCS or Azure: one put each; every wait ends by a deadline, or at once by Ctrl-C.

Credentials come from the environment or from the node's role (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...); none is kept.
"""

import asyncio
import functools
import os
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from ray_pipeline.errors import Problem, StorageError

if TYPE_CHECKING:
    from obstore import UpdateVersion

Answer = TypeVar("Answer")

CHUNK_BYTES = 8 << 20
REQUESTS = 16
"""Reads that run at the same time."""
DEADLINE_S = 900.0
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
    "abfss": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
ENDPOINTS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT",
    "GOOGLE_BASE_URL",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
)
"""Variables that name another server than the cloud's. One with http:// is used without encryption."""


class BucketBackend:
    """The objects below one URI."""

    failures: tuple[type[Exception], ...] = (OSError, BaseError)

    def __init__(self, root: str) -> None:
        self._scheme = root.partition("://")[0]
        if self._scheme not in CREDENTIALS:
            raise StorageError(
                Problem(
                    key="storage",
                    file=root,
                    found=f"there is no storage for {self._scheme}://",
                    fix=f"use one of {', '.join(CREDENTIALS)}, or a folder",
                )
            )
        try:
            self._store = from_url(
                root,
                client_options={
                    "allow_http": _is_plain(os.environ),
                    "connect_timeout": "5s",
                    "read_timeout": "30s",
                    "timeout": "300s",
                },
                retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=60)},  # with backoff and jitter
            )
        except (ValueError, BaseError) as error:
            found, fix = self.explain(error)
            raise StorageError(Problem(key="storage", file=root, found=found, fix=fix)) from None

    def explain(self, error: Exception) -> tuple[str, str]:
        """What the object store answers, and what would help."""
        message = re.search(r"<Message>(.*?)</Message>", str(error))
        reason = message[1] if message else str(error).partition("\n")[0]
        reason = re.sub(r"\?\S*", "", reason)[:300]  # the query of a URI may hold a token
        fix = f"check the address and the credentials in the environment ({CREDENTIALS[self._scheme]})"
        return f"the object store answers: {reason or 'nothing, until the deadline'}", fix

    def put(self, key: str, *parts: bytes | pa.Buffer) -> None:
        """Publishes the parts as one object, in place of what was there."""
        views = [memoryview(part).cast("B") for part in parts]
        content = b"".join(views) if sum(map(len, views)) <= CHUNK_BYTES else iter(views)
        _wait(lambda: obstore.put_async(self._store, key, content, chunk_size=CHUNK_BYTES))

    def create(self, key: str, content: bytes) -> bool:
        """Publishes the content if there is no such object, and returns whether it did."""
        return self.swap(key, content, None) is not None

    def swap(
        self, key: str, content: bytes, version: "UpdateVersion | None", timeout_s: float = DEADLINE_S
    ) -> "UpdateVersion | None":
        """Publishes the content if the object still has that version, where None means that it is absent.

        Returns
        -------
        UpdateVersion | None
            The new version; None if the object has another one. That may be our own content: a request whose answer is
            lost is sent again.
        """
        try:
            put = _wait(lambda: obstore.put_async(self._store, key, content, mode=version or "create"), timeout_s)
            return _version(put)
        except (AlreadyExistsError, PreconditionError):
            return None

    def get_with_version(self, key: str, timeout_s: float = DEADLINE_S) -> "tuple[obstore.Bytes, UpdateVersion] | None":
        """The content and its version; None where there is no such object."""
        return _wait(lambda: self._get(key), timeout_s)

    def get_many(self, keys: list[str]) -> list[pa.Buffer | None]:
        """The contents in that order; None where there is no such object."""

        async def get_all() -> list[pa.Buffer | None]:
            batches = [keys[start : start + REQUESTS] for start in range(0, len(keys), REQUESTS)]
            found = [await asyncio.gather(*map(self._get, batch)) for batch in batches]
            return [one and pa.py_buffer(one[0]) for batch in found for one in batch]

        return _wait(get_all)

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        with suppress(FileNotFoundError):
            return bool(_wait(lambda: obstore.head_async(self._store, key)))
        return False

    def keys(self, prefix: str) -> list[str]:
        """The objects below that folder, sorted; the empty objects by which consoles mark a folder are left out."""
        found = _wait(lambda: obstore.list(self._store, prefix=prefix or None).collect_async())
        keys = {str(entry["path"]) for entry in found}
        return sorted(keys - {str(parent) for key in keys for parent in PurePosixPath(key).parents})

    def folders(self) -> list[str]:
        """The folders directly below the root, sorted."""
        return sorted(_wait(lambda: obstore.list_with_delimiter_async(self._store))["common_prefixes"])

    def remove(self, key: str) -> None:
        """Removes an object, and all below that key."""
        keys = self.keys(key) + [key] * self.exists(key)
        with suppress(FileNotFoundError):
            _wait(lambda: obstore.delete_async(self._store, keys))

    def use(self, folder: str) -> AbstractContextManager[object]:
        """Does nothing, as `evict`."""
        return nullcontext()

    def evict(self, max_bytes: int) -> list[str]:
        """Removes nothing: that is for the lifecycle rules of the bucket."""
        return []

    def sizes(self) -> dict[str, int]:
        """The bytes of the objects in each folder directly below the root."""
        sizes = Counter[str]()
        for entry in _wait(lambda: obstore.list(self._store).collect_async()):
            folder, _, rest = str(entry["path"]).partition("/")
            if rest:
                sizes[folder] += int(entry["size"])
        return dict(sizes)

    async def _get(self, key: str) -> "tuple[obstore.Bytes, UpdateVersion] | None":
        with suppress(FileNotFoundError):
            answer = await obstore.get_async(self._store, key)
            return await answer.bytes_async(), _version(answer.meta)
        return None


def _is_plain(environment: Mapping[str, str]) -> bool:
    """Whether the user has named a server without encryption. Otherwise no answer may lead away from HTTPS."""
    return any(environment.get(name, "").lower().startswith("http://") for name in ENDPOINTS)


def _version(answer: Mapping[str, object]) -> "UpdateVersion":
    """What names this version of an object: an e-tag, a generation, or both."""
    return {name: answer[name] for name in ("e_tag", "version") if answer[name] is not None}  # type: ignore


def _wait(request: Callable[[], Awaitable[Answer]], timeout_s: float = DEADLINE_S) -> Answer:
    """The answer of a request that runs in the background; obstore's own blocking calls do not see Ctrl-C."""

    async def run() -> Answer:
        return await request()

    future = asyncio.run_coroutine_threadsafe(run(), _loop())
    try:
        return future.result(timeout_s)
    finally:
        future.cancel()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ray-pipeline-bucket", daemon=True).start()
    return loop
