"""Whether a cluster answers at an address, in seconds. Ray itself waits for minutes, and says nothing meanwhile."""

import os
import socket

CONNECT_S, ANSWER_S = 5.0, 5.0
# A server of gRPC answers this begin of HTTP/2 with its settings, before anybody has logged in.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS = 4


def silence(address: str) -> str | None:
    """Why no cluster answers at `host:port`; None if one does.

    >>> silence("127.0.0.1:1")
    'Connection refused'
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return None
            connection.settimeout(ANSWER_S)
            connection.sendall(_PREFACE)
            answer = connection.recv(9)
    except TimeoutError:
        return f"nothing answers within {CONNECT_S:g} s"
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None if answer[3:4] == bytes([_SETTINGS]) else "what listens there is no Ray"
