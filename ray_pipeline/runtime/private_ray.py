"""Private interfaces of Ray Core and Data that this package uses, one function each.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.runtime.overrides import attributes, read_attribute

if TYPE_CHECKING:
    from ray.data import DataContext

CHECKED_WITH = "2.60.0"
"""The release of Ray with which these interfaces were last read in its source."""


# --- Ray Core

CALL_S = 0.2
"""Longer than a call of Ray's API that does not wait for a result."""


@contextmanager
def no_automatic_start() -> Iterator[None]:
    """In the block, a call of Ray's API raises if Ray is not running.

    By default Ray starts a new cluster instead. A thread that outlives its session would start one that nobody ends.
    """
    with attributes.use({"ray._private.auto_init_hook:enable_auto_connect": False}):
        yield


def shut_down(others_call: bool) -> None:
    """Ends Ray, in any thread.

    Ray crashes the process, with exit code 1 and no message, where another thread drops a reference to an object or an
    actor meanwhile (Ray 2.60). So nothing is told to Ray of such references any more: it forgets all of them anyway.

    Parameters
    ----------
    others_call
        Whether other threads may call Ray meanwhile. Ray would crash the process (with SIGSEGV), so their calls are
        refused, and those that have begun get `CALL_S` seconds. A thread that waits for a result is woken by Ray.
    """
    import ray
    from ray._private.worker import global_worker

    if hasattr(global_worker, "core_worker"):
        global_worker.core_worker = _Ending(global_worker.core_worker)
    if not others_call:
        ray.shutdown()
        return
    global_worker.check_connected = _refuse_call
    try:
        time.sleep(CALL_S)
        ray.shutdown()
    finally:
        del global_worker.check_connected


class _Ending:
    """Ray's core worker while it is shut down: what the end of a reference calls does nothing."""

    UNTOLD = ("remove_object_ref_reference", "remove_actor_handle_reference", "async_delete_object_ref_stream")

    def __init__(self, core_worker: Any) -> None:
        self._core_worker = core_worker

    def __getattr__(self, name: str) -> Any:
        return _nothing if name in self.UNTOLD else getattr(self._core_worker, name)


def _nothing(*_: Any) -> None:
    """Do nothing."""


def _refuse_call() -> None:
    from ray.exceptions import RaySystemError

    raise RaySystemError("the session with Ray has ended")


def is_raylet(command: bytes) -> bool:
    """Whether the first word of a process's command line is that of a raylet, the parent of a node's workers."""
    return command.endswith(b"/raylet")


RAYLET = "raylet"


def server_name(command: bytes) -> str | None:
    """The server of Ray that a process is, by the first word of its command line; None for any other process."""
    return {"gcs_server": "GCS", RAYLET: RAYLET}.get(command.rpartition(b"/")[2].decode(errors="replace"))


def is_worker(command: bytes) -> bool:
    """Whether the first word of a process's command line is that of a worker that runs a task or an actor."""
    return command.startswith(b"ray::")


def is_worker_of(job: str, environment: bytes) -> bool:
    """Whether a worker process was started for the job, by the content of its `/proc/PID/environ`."""
    return f"RAY_JOB_ID={job}".encode() in environment.split(b"\0")


def cluster_address(address: str) -> str | None:
    """The `host:port` that `ray.init` connects to for an address, which may be `auto`; None if it finds no cluster."""
    from ray._private import services

    services.find_gcs_addresses.cache_clear()
    found = services.canonicalize_bootstrap_address(address)
    return str(found) if found and found != "auto" else None


TEMPORARY_FOLDER = "RAY_TMPDIR"
"""The environment variable with the folder below which Ray makes the folder of a session."""


def temporary_folder() -> str:
    """The folder below which Ray makes the folder of a session by default; asking Ray would import it, for 0.5 s."""
    return next((os.environ[name] for name in (TEMPORARY_FOLDER, "TMPDIR") if name in os.environ), "/tmp")


def task_attempt() -> int:
    """How often the task that runs here was begun before, because its worker had died."""
    import ray

    return int(ray._private.worker.global_worker.core_worker.get_current_task_attempt_number())


def session_folder() -> Path:
    """The folder of the Ray that this process is connected to, which the processes of a node share."""
    from ray._private import worker

    return Path(worker._global_node.get_session_dir_path())


LOOPBACK = "127.0.0.1"
PRELOADED = "RAY_preload_python_modules"
"""The environment variable with the modules that a worker process imports before it takes any work."""
IDLE_MS = "RAY_idle_worker_killing_time_threshold_ms"
"""The environment variable with the time after which Ray ends an idle worker, where there are more than CPUs."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """In the block, `ray.init(_node_ip_address=LOOPBACK)` starts a Ray whose processes listen on loopback alone.

    Otherwise Ray replaces the address by the one that other machines reach, and its processes listen on all addresses.
    """
    with attributes.use({"ray._private.ray_constants:ENABLE_RAY_CLUSTER": False}):
        yield


_UNUSED_SERVERS = ("start_monitor", "start_api_server", "start_log_monitor")
_COMMAND = "ray._private.services:_build_python_executable_command_memory_profileable"
_DASHBOARD = "ray._private.utils:get_dashboard_dependency_error"
_NODE = "ray._private.services:get_node"
_LOOK_AGAIN_S, _STARTED_S = 0.02, 10.0


@contextmanager
def without_unused_servers(agent: Path) -> Iterator[None]:
    """In the block, `ray.init` starts neither autoscaler, nor dashboard server, nor the one that forwards logs.

    A script stands for each agent of the node. A Ray of one process alone uses none of them, and `ray.init` would wait
    for them: it takes 0.9 s instead of 4.5 on two idle cores.

    Parameters
    ----------
    agent
        The script; it is started with the command line of Ray's own agent.
    """
    from ray._private.ray_constants import PROCESS_TYPE_DASHBOARD_AGENT, PROCESS_TYPE_RUNTIME_ENV_AGENT

    python, node_in_steps = read_attribute(_COMMAND), read_attribute(_NODE)

    def command(process: str, *arguments: Any, **options: Any) -> Any:
        """The command line of one of Ray's Python processes, before the file that it runs."""
        if process in (PROCESS_TYPE_DASHBOARD_AGENT, PROCESS_TYPE_RUNTIME_ENV_AGENT):
            return [sys.executable, "-I", "-S", str(agent)]
        return python(process, *arguments, **options)

    def node(gcs_address: str, node_id: str) -> Any:
        """What Ray's function returns, which looks once a second whether the node has started."""
        _wait_for_node(gcs_address, node_id)
        return node_in_steps(gcs_address, node_id)

    names = [f"ray._private.node:Node.{name}" for name in _UNUSED_SERVERS]
    servers = dict.fromkeys(names, lambda _, **options: None)
    # Ray would import the packages of its dashboard for 0.4 s, to see whether they are installed.
    absent = {_DASHBOARD: lambda: ImportError("the dashboard is not used")}
    with attributes.use(servers | absent | {_COMMAND: command, _NODE: node}):
        yield


def _wait_for_node(gcs_address: str, node_id: str) -> None:
    """Return as soon as the node has started; Ray itself says so if it does not."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    end = time.monotonic() + _STARTED_S
    cluster = GcsClient(address=gcs_address)
    while time.monotonic() < end and node_id not in {node.hex() for node in cluster.get_all_node_info()}:
        time.sleep(_LOOK_AGAIN_S)


def runs_as_job() -> bool:
    """Whether the cluster's job server has started this process."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


# --- Ray Data

SCAN_THREAD_NAME = "StreamingExecutor"
"""How the name begins of the thread that runs a dataset; it outlives an iteration that an exception has ended."""


def data_context() -> "DataContext":
    """The context that new datasets of this process copy. (Public; its counterpart is not.)"""
    from ray.data import DataContext

    return DataContext.get_current()


def set_data_context(context: "DataContext") -> None:
    """Makes it the context that new datasets of this process copy."""
    from ray.data import DataContext

    DataContext._set_current(context)


_STATISTICS = ("register_dataset_to_stats_actor", "update_execution_metrics", "update_iteration_metrics")


@contextmanager
def without_data_actors() -> Iterator[None]:
    """In the block, Ray Data starts no actors for its statistics on the dashboard, and for an autoscaler.

    They are two processes, which take 1.3 s of CPU time each. Only for a Ray that has neither dashboard nor autoscaler.
    """
    from ray.data._internal.cluster_autoscaler import ClusterAutoscaler
    from ray.data._internal.execution.interfaces import ExecutionResources

    class FixedSize(ClusterAutoscaler):  # type: ignore[misc]
        """The autoscaler of a cluster that stays as it is."""

        def try_trigger_scaling(self) -> None:
            """Do nothing."""

        def on_executor_shutdown(self) -> None:
            """Do nothing."""

        def get_total_resources(self) -> Any:
            """Return what the cluster has."""
            import ray

            return ExecutionResources.from_resource_dict(ray.cluster_resources())

    statistics = [f"ray.data._internal.stats:_StatsManager.{name}" for name in _STATISTICS]
    nothing = staticmethod(lambda *_, **options: None)
    autoscaler = "ray.data._internal.execution.streaming_executor:create_cluster_autoscaler"
    with attributes.use({autoscaler: lambda *_, **options: FixedSize(), **dict.fromkeys(statistics, nothing)}):
        yield
