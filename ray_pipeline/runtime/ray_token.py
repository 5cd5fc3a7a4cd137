"""Ray's token of this machine: which clusters get it, and who may read it."""

import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ray_pipeline.runtime import private_jobs

AUTHENTICATION, TOKEN_FILE = "RAY_AUTH_MODE", ".ray/auth_token"


def token_for(address: str) -> dict[str, str]:
    """The HTTP header with the token for the job server at an address; empty if it gets none.

    A local Ray leaves its token in `~/.ray/auth_token`. From then on `ray start` demands it, unless RAY_AUTH_MODE says
    otherwise. `ray.init` sends it by itself; Ray's job client does so only where RAY_AUTH_MODE is set.
    """
    keep_token_private()
    if AUTHENTICATION in os.environ or not is_this_machine(address):
        return {}
    return private_jobs.token_header()


def is_this_machine(address: str) -> bool:
    """Whether a URL leads to this machine, by the name of its host."""
    host = urlsplit(address).hostname or ""
    named = host in ("localhost", "::1", socket.gethostname().lower())
    return named or re.fullmatch(r"127(\.\d+){3}", host) is not None


def keep_token_private() -> None:
    """Lets only this user read Ray's token of this machine. Ray leaves that to the umask."""
    file = Path.home() / TOKEN_FILE
    with suppress(OSError):
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
