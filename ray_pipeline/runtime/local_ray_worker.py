"""A script that a local Ray starts for each worker: it asks the fork server for one, and ends.

Where there is no fork server any more, or a worker has a runtime environment, Ray's own command takes its place.

Arguments: the socket of the fork server, and Ray's own command. It uses the standard library alone.
"""

import json
import os
import socket
import sys
from pathlib import Path

LANGUAGE, ENVIRONMENT = "--language=PYTHON", "--serialized-runtime-env-context="
WAIT_S = 30.0
"""How long the fork server may import; a worker must have started 60 s after the raylet wanted it."""


def has_forked(address: str, arguments: list[str]) -> bool:
    """Whether the fork server has made a worker with these arguments; the first one is Ray's file for workers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(WAIT_S)
        try:
            request = {"arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
            server.connect(address)
            server.sendall(json.dumps(request).encode())
            server.shutdown(socket.SHUT_WR)
            return bool(server.recv(1))
        except OSError:
            return False


def main(address: str, command: list[str]) -> None:
    """Start a worker: by the fork server, or else by the command.

    The command is: Python, Ray's file that sets up a worker, flags of Python, Ray's file for workers, and options.
    """
    flags = next(place for place, word in enumerate(command[2:]) if not word.startswith("-"))
    arguments = [word for word in command[2 + flags :] if word != LANGUAGE]
    as_it_is = not any(word.startswith(ENVIRONMENT) for word in arguments)
    if not (as_it_is and has_forked(address, arguments)):
        os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
