"""Ray's private interfaces that this package uses, one function each.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.runtime.overrides import Overrides

if TYPE_CHECKING:
    from ray.data import DataContext
    from ray.job_submission import JobSubmissionClient

CHECKED_WITH = "2.60.0"
"""The release of Ray with which these interfaces were last read in its source."""


# --- Ray Core

CALL_S = 0.2
"""Longer than a call of Ray's API that does not wait for a result."""


def _starts_by_itself(_: str) -> bool:
    from ray._private import auto_init_hook

    return bool(auto_init_hook.enable_auto_connect)


def _let_start_by_itself(_: str, allowed: bool) -> None:
    from ray._private import auto_init_hook

    auto_init_hook.enable_auto_connect = allowed


_automatic_start = Overrides(_starts_by_itself, _let_start_by_itself)


@contextmanager
def no_automatic_start() -> Iterator[None]:
    """In the block, a call of Ray's API raises if Ray is not running.

    By default Ray starts a new cluster instead. A thread that outlives its session would start one that nobody ends.
    """
    with _automatic_start.use({"ray": False}):
        yield


def shut_down(others_call: bool) -> None:
    """Ends Ray.

    Parameters
    ----------
    others_call
        Whether other threads may call Ray meanwhile. Ray would crash the process (with SIGSEGV), so their calls are
        refused, and those that have begun get `CALL_S` seconds. A thread that waits for a result is woken by Ray.
    """
    import ray
    from ray._private.worker import global_worker

    if not others_call:
        ray.shutdown()
        return
    global_worker.check_connected = _refuse_call
    try:
        time.sleep(CALL_S)
        ray.shutdown()
    finally:
        del global_worker.check_connected


def _refuse_call() -> None:
    from ray.exceptions import RaySystemError

    raise RaySystemError("the session with Ray has ended")


def is_raylet(command: bytes) -> bool:
    """Whether the first word of a process's command line is that of a raylet, the parent of a node's workers."""
    return command.endswith(b"/raylet")


def server_name(command: bytes) -> str | None:
    """The server of Ray that a process is, by the first word of its command line; None for any other process."""
    return {"gcs_server": "GCS", "raylet": "raylet"}.get(command.rpartition(b"/")[2].decode(errors="replace"))


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
    """The folder below which Ray makes the folder of a session by default."""
    from ray._common import utils

    return str(utils.get_default_system_temp_dir())


def session_folder() -> Path:
    """The folder of the Ray that this process is connected to, which the processes of a node share."""
    from ray._private import worker

    return Path(worker._global_node.get_session_dir_path())


LOOPBACK = "127.0.0.1"


def _spans_machines(_: str) -> bool:
    from ray._private import ray_constants

    return bool(ray_constants.ENABLE_RAY_CLUSTER)


def _let_span_machines(_: str, allowed: bool) -> None:
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = allowed


_several_machines = Overrides(_spans_machines, _let_span_machines)


@contextmanager
def on_loopback() -> Iterator[None]:
    """In the block, `ray.init(_node_ip_address=LOOPBACK)` starts a Ray whose processes listen on loopback alone.

    Otherwise Ray replaces the address by the one that other machines reach, and its processes listen on all addresses.
    """
    with _several_machines.use({"ray": False}):
        yield


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


# --- Ray Train and Tune


def data_parallel_trainer() -> Any:
    """`DataParallelTrainer` of Train V2; the public module `ray.train.data_parallel_trainer` still has that of V1."""
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer


def xgboost_backend() -> Any:
    """The backend that joins workers to XGBoost's collective, without the trainers that its public module imports."""
    from ray.train.v2.xgboost.config import XGBoostConfig

    return XGBoostConfig()


def _copied_to_trials(_: str) -> set[str]:
    from ray.tune.execution import class_cache

    return set(class_cache.ENV_VARS_TO_PROPAGATE)


def _copy_to_trials(_: str, names: set[str]) -> None:
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE = names


_trial_environment = Overrides(_copied_to_trials, _copy_to_trials)


@contextmanager
def no_credentials_for_trials() -> Iterator[None]:
    """In the block, Tune does not copy AWS credentials of this process into the runtime environment of trials.

    Ray writes runtime environments to its logs, and shows them on its dashboard. A local Ray's workers have the
    credentials all the same, by inheritance; those of a cluster have the credentials of their node.
    """
    harmless = {name for name in _copied_to_trials("") if not name.startswith("AWS_")}
    with _trial_environment.use({"tune": harmless}):
        yield


def keep_idle_actors(tune_controller: Any, trial: Any, count: int) -> None:
    """Lets Tune keep so many actors that no trial needs at the moment, of the trial's kind.

    Tune ends a reusable actor at once if no trial waits for it.
    """
    tune_controller._actor_cache.increase_max(trial.placement_group_factory, by=count)


# --- Ray's job server


def job_client(address: str, timeouts: Mapping[str, tuple[float, float]]) -> "JobSubmissionClient":
    """A client whose requests end in time. Ray's own waits forever for a host that drops packets.

    Parameters
    ----------
    address
        `http://host:port`.
    timeouts
        Seconds to connect and seconds to wait for the answer, by HTTP method; `POST` is also that of other methods.
    """
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]  # ray is untyped
        """Ray's client, with a deadline for each request."""

        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            return super()._do_request(method, endpoint, timeout=timeouts.get(method, timeouts["POST"]), **options)

    return Client(address)


def session_name(client: "JobSubmissionClient") -> str:
    """The name that a cluster gets when it starts. No two clusters share it."""
    return str(client._do_request("GET", "/api/version").json()["session_name"])


def host_names(client: "JobSubmissionClient") -> list[str]:
    """The hosts of the cluster; none in its first seconds."""
    return list(client._do_request("GET", "/nodes?view=hostNameList").json()["data"]["hostNameList"])
