"""A Ray of this process alone: it listens on loopback only, its files are private, and it ends with its process."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.overrides import environment
from ray_pipeline.runtime.process_state import private_files
from ray_pipeline.runtime.ray_token import keep_token_private

AGENT, CLEANER = (Path(__file__).with_name(f"local_ray_{name}.py") for name in ("agent", "cleaner"))
CLEANED_S = 20.0
WORKER_IMPORTS = "ray_pipeline.runs.worker_imports"
KEPT_MS = 600_000
"""How long an idle worker is kept. Ray would end those that have read the rows during the search, after a second, and
the final fits would begin with the imports of new ones, 1.5 s each."""


@contextmanager
def private_folder(*, keep: bool) -> Iterator[Path]:
    """Gives a new folder for Ray's logs, sockets and spilled objects that only this user can open.

    After the block, the processes of a Ray that was started with `starting(folder)` are ended if they still run, and
    the folder is removed. A process of its own does that, so it is also done if this process is killed. (Two agents of
    Ray's live on for a minute then, because they wait for an answer of the cluster that has gone.)

    Parameters
    ----------
    keep
        Leaves the folder, for those who want to read Ray's logs.
    """
    parent = Path(private_ray.temporary_folder())
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
    command = [sys.executable, "-I", "-S", str(CLEANER), str(folder), *["keep"] * keep]
    # A session of its own, so that Ctrl-C does not reach it.
    cleaner = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        assert cleaner.stdin is not None
        cleaner.stdin.close()
        cleaner.wait(CLEANED_S)


@contextmanager
def starting(folder: Path, *, log_to_driver: bool) -> Iterator[None]:
    """In the block, `ray.init(address="local", _node_ip_address=LOOPBACK)` starts a Ray in the folder, on loopback.

    It has no servers but those that a run uses; `log_to_driver` keeps the one that forwards the logs of workers. Its
    workers import what a run needs while the driver does the same.
    """
    keep_token_private()
    servers = nullcontext() if log_to_driver else private_ray.without_unused_servers(AGENT)
    settings = {private_ray.TEMPORARY_FOLDER: str(folder), private_ray.PRELOADED: WORKER_IMPORTS}
    settings[private_ray.IDLE_MS] = str(KEPT_MS)
    with servers, environment.use(settings), private_files(), private_ray.on_loopback():
        yield
