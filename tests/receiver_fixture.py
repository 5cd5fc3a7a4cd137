"""A web server on loopback that keeps what it is sent, and answers as a test wants."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """The requests so far, and where they came."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def events(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]


@contextmanager
def receiver(answers: Sequence[int] = (), silent: threading.Event | None = None) -> Iterator[Received]:
    """Answers with these codes in turn, then with 200; with `silent` it says nothing until the event is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            received.headers.append(dict(self.headers))
            if silent is not None:
                silent.wait(60)
                return
            code = answers[len(received.bodies) - 1] if len(received.bodies) <= len(answers) else 200
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{received.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Received(url=f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield received
        finally:
            if silent is not None:
                silent.set()
            server.shutdown()
            thread.join()
