"""The connection to a bucket is cut after some bytes of an upload: the object is whole or absent, and then whole."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from s3_fixture import s3

from ray_pipeline.storage.blob_store import BlobStore

CUTS = 40
BYTES = 12 << 20
"""An upload of two parts."""


class Proxy:
    """Passes connections on to a server; `cut` says after how many bytes from the client the next ones break off."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server, self.cut, self.broken = server, list[int](), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
                left = [self.cut.pop(0)] if self.cut else []
                threading.Thread(target=self._pass, args=(client, server, left), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, []), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, left: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if left and len(data) >= left[0]:
                    target.sendall(data[: left[0]])
                    self.broken += 1
                    break
                target.sendall(data)
                left[:] = [left[0] - len(data)] if left else []
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def behind_a_proxy(folder: Path) -> Iterator[tuple[Proxy, BlobStore]]:
    """The proxy of an S3 server, by which new stores of this process find it; and a store without the proxy."""
    with s3(folder / "log") as environment, pytest.MonkeyPatch.context() as patch:
        parts = urlsplit(environment["AWS_ENDPOINT_URL"])
        proxy = Proxy((str(parts.hostname), int(parts.port or 0)))
        for name, value in environment.items():
            patch.setenv(name, value)
        direct = BlobStore("s3://runs/cut")
        assert direct.keys() == []
        patch.setenv("AWS_ENDPOINT_URL", proxy.address)
        try:
            yield proxy, direct
        finally:
            proxy.listener.close()


@pytest.mark.slow
def test_an_upload_that_is_cut_anywhere_never_shows_a_part_of_an_object(tmp_path: Path, fault_seed: int) -> None:
    draw = random.Random(fault_seed)
    with behind_a_proxy(tmp_path) as (proxy, direct):
        for number in range(CUTS):
            content, key = draw.randbytes(1000 if number % 4 else BYTES), f"object-{number}"
            proxy.cut[:] = [draw.randrange(len(content) + 500)]
            seen, ended = set[bytes](), threading.Event()
            reader = threading.Thread(target=watch, args=(direct, key, seen, ended), daemon=True)
            reader.start()
            BlobStore("s3://runs/cut").write(key, content)  # by a connection of its own, which is cut
            assert direct.read(key) == content
            ended.set()
            reader.join()
            assert seen <= {content}
        assert proxy.broken >= CUTS // 2


def watch(store: BlobStore, key: str, seen: set[bytes], ended: threading.Event) -> None:
    """Keep each content that the object has until the event."""
    while not ended.wait(0.01):
        seen.update(found for found in store.read_many([key]) if found is not None)
