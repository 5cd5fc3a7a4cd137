"""A connection to Ray for the length of a block. What a run changes in this process is restored when the block ends."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.components.choice import TRUST, trust
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.background import THREAD_NAME
from ray_pipeline.runtime.cluster_address import silence
from ray_pipeline.runtime.cluster_login import refused_login
from ray_pipeline.runtime.exhausted import explaining_exhaustion
from ray_pipeline.runtime.local_ray import WORKER_IMPORTS, private_folder, starting
from ray_pipeline.runtime.lost_ray import RayGuard
from ray_pipeline.runtime.overrides import Overrides, environment, ignored_warnings, log_levels
from ray_pipeline.runtime.process_state import process_state, signal_handlers
from ray_pipeline.runtime.ray_token import token_of_session
from ray_pipeline.runtime.ray_version import check_ray_version, version_mismatch
from ray_pipeline.runtime.this_machine import available_cpus
from ray_pipeline.runtime.watchdog import watchdog
from ray_pipeline.spec.where import Where

if TYPE_CHECKING:
    import ray.data

QUIET = {
    "ray": logging.ERROR,
    "ray.air": logging.ERROR,
    "ray.data": logging.CRITICAL,  # failed tasks and trials become errors of this package
    "ray.train": logging.ERROR,
    "ray.tune": logging.CRITICAL,
    "optuna": logging.ERROR,
}
IMPORTING_WORKERS = 8
"""A small run uses no more at once. In a large one, the time of an import does not count."""
LEFT_ALONE = (THREAD_NAME, private_ray.SCAN_THREAD_NAME)
"""Names of threads that may outlive a block that fails, and call Ray."""

_data_contexts: Overrides[str, "ray.data.DataContext"] = Overrides(
    lambda _: private_ray.data_context(), lambda _, context: private_ray.set_data_context(context)
)


@contextmanager
def session(where: Where, debug: bool = False, store_bytes: int | None = None) -> Iterator[Callable[[], None]]:
    """A connection to Ray for the length of the block: to a new local cluster, or to the one at `where.address`.

    If this process is connected already, the session uses that connection and leaves it open.

    Parameters
    ----------
    where
        The cluster file.
    debug
        Lets Ray, Tune and their libraries log.
    store_bytes
        Size of a new cluster's object store; by default Ray's own choice, a third of the memory. Ray fills the store
        before it reuses a page, so a stream through it takes as much memory as the store has.

    Yields
    ------
    Callable
        Ends the connection before the block ends, for a block whose last part does not need Ray: its processes take
        1.2 s to end. Any thread may call it, and more than once.

    Raises
    ------
    ResourceError
        If no cluster answers at the address, if it refuses the token, if it runs a release of Ray that is not
        supported, or if Ray has ended workers for lack of memory.
    StorageError
        If Ray's object store and the disk below it are full.
    """
    connection, one_at_a_time = ExitStack(), threading.Lock()

    def end() -> None:
        with one_at_a_time:
            connection.close()

    with ExitStack() as restored:
        restored.enter_context(process_state())
        trust(where.trust)
        try:
            folder = None
            if not _is_connected():
                folder = connection.enter_context(_folder(where, debug))
                connection.callback(_shutdown)
                _connect(where, debug, store_bytes, folder)
            restored.enter_context(_no_automatic_start())
            restored.enter_context(_data_context())
            if _is_one_node(where):
                restored.enter_context(private_ray.without_data_actors())
            if not debug:
                restored.enter_context(log_levels.use(QUIET))
                restored.enter_context(ignored_warnings.use({r"ray\.": True}))
            connection.enter_context(watchdog(where.stall_after.total_seconds()))
            guard = RayGuard()
            restored.callback(guard.close)
            connection.callback(guard.stop)
            with guard.explaining(), explaining_exhaustion():
                yield end
        finally:
            end()


@contextmanager
def _no_automatic_start() -> Iterator[None]:
    """Keeps Ray from starting by itself, until the last thread has ended that a failed block left alone."""
    held = ExitStack()
    held.enter_context(private_ray.no_automatic_start())
    try:
        yield
    finally:
        if left := _left_alone():
            threading.Thread(target=_close_after, args=(held, left), daemon=True).start()
        else:
            held.close()


def _close_after(held: ExitStack, threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    held.close()


@contextmanager
def _data_context() -> Iterator[None]:
    """Gives new datasets a copy of the user's context, with the settings that a run needs."""
    context = private_ray.data_context().copy()
    context.execution_options.preserve_order = True  # bytes must repeat from run to run
    context.enable_progress_bars = False
    context.target_max_block_size = None  # a block is what a task gives, not a piece or a sum of such
    context.print_on_execution_start = False
    # Ray's wrapper around the exception would lose what it wraps on the way from the worker.
    context.raise_original_map_exception = True
    with _data_contexts.use({"context": context}):
        yield


def _is_connected() -> bool:
    # Importing Ray takes half a second, in which the fork server can begin.
    return "ray" in sys.modules and bool(_supported_ray().is_initialized())


def _supported_ray() -> Any:
    import ray

    check_ray_version(ray.__version__)
    return ray


def _is_one_node(where: Where) -> bool:
    """Whether Ray has this machine alone. A run plans for the nodes that there are, and never asks for more."""
    import ray

    return where.address == "local" or (
        where.address == "auto" and not private_ray.runs_as_job() and len(ray.nodes()) == 1
    )


def _shutdown() -> None:
    private_ray.shut_down(others_call=bool(_left_alone()))


def _left_alone() -> list[threading.Thread]:
    """Other threads that may call Ray although the session ends."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    return [thread for thread in others if thread.name.startswith(LEFT_ALONE)]


def _folder(where: Where, debug: bool) -> AbstractContextManager[Path | None]:
    """The folder of a cluster that this session starts; none for a cluster that runs already."""
    return private_folder(keep=debug) if where.address == "local" else nullcontext()


def _connect(where: Where, debug: bool, store_bytes: int | None, folder: Path | None) -> None:
    """Starts a local cluster in the folder, or connects to the one at the address."""
    ray = _supported_ray()
    options: dict[str, Any] = {"address": where.address}
    if folder:
        options |= {"num_cpus": available_cpus(), "object_store_memory": store_bytes, "include_dashboard": False}
        options |= {"_node_ip_address": private_ray.LOOPBACK}
    elif where.trust:
        options |= {"runtime_env": {"env_vars": {TRUST: os.environ[TRUST]}}}
    # `auto` is the Ray of this machine, or of the job that this process is. A RAY_ADDRESS that was left in the shell
    # would silently name another one.
    hidden = {} if private_ray.runs_as_job() else {"RAY_ADDRESS": None}
    level = logging.INFO if debug else logging.ERROR
    handlers = list(logging.getLogger("ray").handlers)
    try:
        # `ray.init` also replaces the handler of SIGTERM.
        with (
            environment.use(hidden),
            log_levels.use({"ray": level}),
            signal_handlers(),
            starting(folder, log_to_driver=debug) if folder else nullcontext(),
        ):
            if not folder:
                _knock(where.address)
            ray.init(**options, log_to_driver=debug, logging_level=level, configure_logging=debug)
    except SystemExit:  # Ray's answer to a SIGTERM
        raise KeyboardInterrupt from None
    except Exception as error:  # a node that does not start in time is a bare `Exception`
        if folder:
            raise ResourceError(_not_started(_first_line(error))) from error
        if not isinstance(error, ConnectionError | RuntimeError | TimeoutError | OSError):
            raise
        problem = version_mismatch(where.address, error) or _no_answer(where.address, _first_line(error))
        raise ResourceError(problem) from None
    finally:
        logging.getLogger("ray").handlers[:] = handlers  # `ray.init` removes them


def import_in_advance(where: Where) -> None:
    """Let free workers of a cluster import what a run needs while the driver does the same.

    A worker belongs to one job, so each run starts its own. In a Ray of this process alone they do so by themselves.

    Parameters
    ----------
    where
        The cluster file.
    """
    import ray

    if where.address == "local":
        return
    free = int(ray.available_resources().get("CPU", 0))
    work = ray.remote(num_cpus=1, max_retries=0)(_import)
    for _ in range(min(free, IMPORTING_WORKERS)):
        work.remote(WORKER_IMPORTS)


def _import(module: str) -> None:
    import_module(module)


def _knock(address: str) -> None:
    """Raises `ResourceError` if nothing answers where `ray.init` would wait for minutes, or if the login is refused."""
    connects_to = private_ray.cluster_address(address)
    if not connects_to:
        return
    if reason := silence(connects_to):
        at = "" if connects_to == address else f" ({connects_to})"
        raise ResourceError(_no_answer(f"{address}{at}", reason))
    if problem := refused_login(connects_to, token_of_session(address, connects_to)):
        raise ResourceError(problem)


def _not_started(reason: str) -> Problem:
    return Problem(
        key="address",
        found=f"Ray did not start on this machine: {reason}",
        fix="end other programs, since Ray has 30 s to start; or use a Ray that runs (`ray start --head`, `--on auto`)",
    )


def _no_answer(address: str, reason: str) -> Problem:
    return Problem(
        key="address",
        found=f"no Ray cluster answers at {address!r}: {reason}",
        fix="start one (`ray start --head`), correct `address`, or run with `--on local`",
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
