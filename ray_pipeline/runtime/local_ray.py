"""A Ray of this process alone: it listens on loopback only, its files are private, and it ends with its process."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from ray_pipeline.runtime import private_forks, private_ray
from ray_pipeline.runtime.overrides import environment
from ray_pipeline.runtime.process_state import private_files
from ray_pipeline.runtime.ray_token import keep_token_private
from ray_pipeline.runtime.this_machine import available_gpus

AGENT, CLEANER, WORKER = (Path(__file__).with_name(f"local_ray_{name}.py") for name in ("agent", "cleaner", "worker"))
CLEANED_S = 20.0
WORKER_IMPORTS = "ray_pipeline.runs.worker_imports"
SOCKET = "forks"
KEPT_MS = 600_000
"""How long an idle worker is kept. Ray would end those that have read the rows during the search, after a second, and
the final fits would begin with the imports of new ones, 1.5 s each."""


@contextmanager
def private_folder(*, keep: bool) -> Iterator[Path]:
    """Gives a new folder for Ray's logs, sockets and spilled objects that only this user can open, with a fork server.

    After the block, the processes of a Ray that was started with `starting(folder)` are ended if they still run, and
    the folder is removed. A process of its own does that, so it is also done if this process is killed. (Two agents of
    Ray's live on for a minute then, because they wait for an answer of the cluster that has gone.)

    Parameters
    ----------
    keep
        Leaves the folder, for those who want to read Ray's logs; its Ray starts workers as it does by default.
    """
    parent = Path(private_ray.temporary_folder())
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
    command = [sys.executable, "-I", "-S", str(CLEANER), str(folder), *["keep"] * keep]
    # A session of its own, so that Ctrl-C does not reach it.
    cleaner = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        # CUDA does not survive a fork, and what a library does with it at its import is not known.
        with nullcontext() if keep or available_gpus() else _fork_server(folder):
            yield folder
    finally:
        assert cleaner.stdin is not None
        cleaner.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # it goes on by itself, with gigabytes of spilled objects perhaps
            cleaner.wait(CLEANED_S)


@contextmanager
def _fork_server(folder: Path) -> Iterator[None]:
    """In the block, a process imports what workers need, and those of the Ray in the folder become forks of it."""
    paths = [path or str(Path.cwd()) for path in sys.path]
    variables = os.environ | private_forks.variables_before_forks() | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", "ray_pipeline.runtime.fork_server"]
    with private_files(), socket.socket(socket.AF_UNIX) as listener, (folder / "fork_server.log").open("wb") as log:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        server = subprocess.Popen(
            [*command, str(listener.fileno()), WORKER_IMPORTS],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=variables,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    with server:
        try:
            yield
        finally:
            server.kill()


@contextmanager
def starting(folder: Path, *, log_to_driver: bool) -> Iterator[None]:
    """In the block, `ray.init(address="local", _node_ip_address=LOOPBACK)` starts a Ray in the folder, on loopback.

    It has no servers but those that a run uses; `log_to_driver` keeps the one that forwards the logs of workers. Its
    workers are forks, or import what a run needs while the driver does the same.
    """
    keep_token_private()
    servers = nullcontext() if log_to_driver else private_ray.without_unused_servers(AGENT)
    forks: AbstractContextManager[None] = nullcontext()
    if (address := folder / SOCKET).exists():
        forks = private_forks.workers_started_by([sys.executable, "-I", "-S", str(WORKER), str(address)])
    settings = {private_ray.TEMPORARY_FOLDER: str(folder), private_ray.PRELOADED: WORKER_IMPORTS}
    settings[private_ray.IDLE_MS] = str(KEPT_MS)
    with servers, forks, environment.use(settings), private_files(), private_ray.on_loopback():
        yield
