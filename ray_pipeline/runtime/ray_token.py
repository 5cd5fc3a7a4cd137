"""Ray's token of this machine: which clusters get it, and who may read it."""

import os
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ray_pipeline.runtime import private_login

TOKEN_FILE = ".ray/auth_token"
FIX = (
    "set RAY_AUTH_MODE=token, and the cluster's own token in RAY_AUTH_TOKEN or the path of its file in"
    " RAY_AUTH_TOKEN_PATH"
)
"""What to do where a cluster refuses the token, or got none."""


def token_for(address: str) -> dict[str, str]:
    """The HTTP header with the token for the job server at an address; empty if it gets none.

    A local Ray leaves its token in `~/.ray/auth_token`. From then on `ray start` demands it, unless RAY_AUTH_MODE says
    otherwise. Ray's job client sends it only where RAY_AUTH_MODE is set.
    """
    keep_token_private()
    if private_login.AUTHENTICATION in os.environ or not is_this_machine(address):
        return {}
    return private_login.token_header()


def token_of_session(address: str, host_and_port: str) -> dict[str, str]:
    """The HTTP header that `ray.init` sends from now on to a cluster; empty if it sends none.

    Parameters
    ----------
    address
        As in the cluster file; `auto` is always of this machine.
    host_and_port
        What it leads to.
    """
    keep_token_private()
    of_this_machine = address == "auto" or is_this_machine(f"//{host_and_port}")
    return private_login.header_of_next_session(of_this_machine=of_this_machine)


def is_this_machine(address: str) -> bool:
    """Whether a URL leads to this machine: by its host's name, or by an address of one of its interfaces."""
    host = urlsplit(address).hostname or ""
    if host in ("localhost", socket.gethostname().lower()):
        return True
    with suppress(ValueError, OSError):
        numbers = ip_address(host)
        return numbers.is_loopback or _own_end(str(numbers), numbers.version) == str(numbers)
    return False


def _own_end(host: str, version: int) -> str:
    """The address of this machine's end of a connection to a host. To itself, both ends are the same.

    A connection of UDP sends nothing.
    """
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as end:
        end.connect((host, 9))
        return str(end.getsockname()[0])


def keep_token_private() -> None:
    """Lets only this user read Ray's token of this machine. Ray leaves that to the umask."""
    file = Path.home() / TOKEN_FILE
    with suppress(OSError):
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
