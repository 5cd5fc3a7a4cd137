"""Whether a cluster accepts a token, in milliseconds. Ray itself asks for 10 s, and writes to standard error meanwhile.

One call of gRPC over HTTP/2 (RFC 9113) is made by hand, because Ray's core comes without a client of it for Python.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO

from ray_pipeline.errors import Problem
from ray_pipeline.runtime.private_login import ANY_CALL
from ray_pipeline.runtime.ray_token import FIX

ANSWER_S = 5.0
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_LAST, _END_OF_HEADERS = 1, 4
_UNAUTHENTICATED = b"grpc-status\x0216"


def refused_login(address: str, token: Mapping[str, str]) -> Problem | None:
    """What is wrong where the cluster at `host:port` refuses a call with this header of a token; None if it does not.

    None also where it gives no answer, and where it uses TLS: then Ray itself says what is wrong.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true") or not _refuses(address, token):
        return None
    what = "refuses the token that was sent" if token else "asks for a token, and none was sent"
    return Problem(key="address", found=f"the Ray cluster at {address} {what}", fix=FIX)


def _refuses(address: str, token: Mapping[str, str]) -> bool:
    host, _, port = address.rpartition(":")
    fields = {":method": "POST", ":scheme": "http", ":path": ANY_CALL, ":authority": address, "te": "trailers"}
    fields |= {"content-type": "application/grpc", **token}
    headers = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    call = _frame(_HEADERS, _END_OF_HEADERS, 1, headers) + _frame(_DATA, _LAST, 1, bytes(5))
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"") + call)
        with connection.makefile("rb") as answer:
            return any(_UNAUTHENTICATED in headers for headers in _answered_headers(answer))
    return False


def _answered_headers(answer: BinaryIO) -> Iterator[bytes]:
    """The headers of the answer to the first call, up to its last ones."""
    while len(head := answer.read(9)) == 9:
        body = answer.read(int.from_bytes(head[:3], "big"))
        if head[3] == _HEADERS:
            yield body
            if head[4] & _LAST:
                return


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def _text(value: str) -> bytes:
    """A text of HPACK (RFC 7541) as it is; a length from 127 on takes more than one byte."""
    octets, length = value.encode(), bytearray()
    left = len(octets) - 127
    if left < 0:
        return bytes([len(octets)]) + octets
    while left >= 128:
        length.append(left % 128 + 128)
        left //= 128
    return bytes([127, *length, left]) + octets
