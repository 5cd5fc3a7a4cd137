"""Each private interface of Ray that this package uses is still there; the name of a failing test says which is not."""

import ast
import inspect
import logging
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

import ray_pipeline
from ray_pipeline.runtime import job_server, local_ray_agent, private_forks, private_login, private_ray, private_tune
from ray_pipeline.runtime.overrides import attributes
from ray_pipeline.runtime.process_state import SET_BY_RAY, SETTINGS
from ray_pipeline.runtime.ray_version import NEWEST, OLDEST

PACKAGE = Path(ray_pipeline.__file__).parent
READ_IN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "ray.train.v2._internal.constants",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "ray.train.v2._internal.constants",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "ray.tune.utils.callback",
    "TUNE_DISABLE_SIGINT_HANDLER": "ray.tune.tune",
    "TUNE_GLOBAL_CHECKPOINT_S": "ray.tune.execution.tune_controller",
    "RAY_AIR_NEW_OUTPUT": "ray.tune.experimental.output",
    "RAY_CHDIR_TO_TRIAL_DIR": "ray.train.constants",
    "RAY_task_oom_retries": "ray._raylet",
    private_ray.IDLE_MS: "ray._raylet",
    "RAY_RAYLET_PID": "ray._raylet",
    "RAY_JOB_ID": "ray._raylet",
    "RAY_USAGE_STATS_ENABLED": "ray._common.usage.usage_constants",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "ray._private.accelerators.accelerator",
    "PYTHONBREAKPOINT": "ray._private.worker",
    "RAY_AUTH_MODE": "ray._private.authentication.authentication_token_setup",
    "RAY_CLIENT_MODE": "ray._private.client_mode_hook",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": "ray._private.runtime_env.constants",
    "RAY_JOB_STOP_WAIT_TIME_S": "ray.dashboard.modules.job.job_supervisor",
}
"""The module of Ray that reads or sets each environment variable."""
NEW = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": (2, 59), "RAY_AUTH_MODE": (2, 59)}
"""Those that the oldest supported release does not know, with one that does."""
PRESTARTED = "--num_prestart_python_workers="
INSTALLED = tuple(int(number) for number in version("ray").split(".")[:2])


class Ended(NamedTuple):
    """A trial of Tune."""

    trial_id: str
    ended: bool

    def is_finished(self) -> bool:
        return self.ended


@pytest.mark.parametrize("name", [name for name in READ_IN if NEW.get(name, OLDEST) <= INSTALLED])
def test_ray_still_knows_the_environment_variable(name: str) -> None:
    module = import_module(READ_IN[name])
    file = Path(str(module.__file__))
    known = name.encode() in file.read_bytes() if file.suffix == ".so" else f'"{name}"' in inspect.getsource(module)
    assert known


def test_every_environment_variable_of_ray_is_tested() -> None:
    assert {*SETTINGS, *SET_BY_RAY} - {"GOMP_SPINCOUNT"} <= READ_IN.keys()


def test_automatic_start_can_be_turned_off_and_is_on_again() -> None:
    import ray
    from ray._private import auto_init_hook

    assert not ray.is_initialized() or auto_init_hook.enable_auto_connect
    with private_ray.no_automatic_start():
        assert auto_init_hook.enable_auto_connect is False
    assert auto_init_hook.enable_auto_connect is True


@pytest.mark.parametrize("call", ["get", "put", "wait", "kill", "cancel"])
def test_ray_checks_its_connection_at_the_begin_of_each_call(call: str) -> None:
    from ray._private import worker

    assert callable(worker.global_worker.check_connected)
    assert "worker.check_connected()" in inspect.getsource(getattr(worker, call))


@pytest.mark.parametrize("module", ["ray.remote_function", "ray.actor", "ray._private.object_ref_generator"])
def test_ray_checks_its_connection_before_it_submits_a_task(module: str) -> None:
    assert "worker.check_connected()" in inspect.getsource(import_module(module))


def test_the_data_context_can_be_replaced() -> None:
    before = private_ray.data_context()
    try:
        private_ray.set_data_context(copy := before.copy())
        assert private_ray.data_context() is copy is not before
    finally:
        private_ray.set_data_context(before)


def test_ray_has_its_token_and_its_first_call() -> None:
    from ray import _raylet
    from ray._private.authentication import authentication_token_setup

    assert private_login.ANY_CALL.encode() in Path(_raylet.__file__).read_bytes()
    assert callable(authentication_token_setup.maybe_enable_token_auth_if_token_available)
    assert isinstance(_raylet.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True), bool)
    assert callable(_raylet.Config.initialize)


@pytest.mark.ray
def test_a_task_knows_how_often_it_was_begun_before(ray_local: None, tmp_path: Path) -> None:
    import os
    import signal

    import ray

    def attempt() -> int:
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return private_ray.task_attempt()

    assert ray.get(ray.remote(max_retries=1)(attempt).remote()) == 1
    assert ray.get(ray.remote(attempt).remote()) == 0


def test_a_scan_runs_in_a_thread_of_the_known_name() -> None:
    from ray.data._internal.execution.streaming_executor import StreamingExecutor

    assert f'thread_name = f"{private_ray.SCAN_THREAD_NAME}-' in inspect.getsource(StreamingExecutor)


def test_train_v2_has_its_data_parallel_trainer() -> None:
    assert {"train_loop_config", "backend_config", "scaling_config", "run_config"} <= set(
        inspect.signature(private_tune.data_parallel_trainer()).parameters
    )


def test_train_v2_has_its_xgboost_backend() -> None:
    from ray.train.backend import BackendConfig

    assert isinstance(private_tune.xgboost_backend(), BackendConfig)


def test_tune_keeps_idle_actors_in_the_known_cache() -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager  # noqa: F401  the cache is beside it
    from ray.tune.execution.tune_controller import TuneController, _ObjectCache

    assert "self._actor_cache = _ObjectCache(" in inspect.getsource(TuneController)
    cache = _ObjectCache(may_keep_one=True)

    class Controller:
        _actor_cache = cache
        pending = 1

        def update_max_pending_trials(self, count: int) -> None:
            self.pending = count

    class Trial:
        placement_group_factory = "1 CPU"

    controller = Controller()
    private_tune.keep_actors(controller, Trial(), 2)
    cache.cache_object("1 CPU", "first")
    assert cache.cache_object("1 CPU", "second") and controller.pending == 2
    assert "self._max_pending_trials = max_pending_trials or" in inspect.getsource(
        TuneController.update_max_pending_trials
    )


def test_tune_leaves_an_actor_that_starts_to_its_trial_for_some_time() -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    assert isinstance(RayActorManager.live_actors, property)
    asked = list[str]()
    manager = SimpleNamespace(live_actors=["starting"])
    controller = SimpleNamespace(_trial_to_actor={"waits": "starting", "queued": "without CPU"}, _actor_manager=manager)
    original = inspect.getattr_static(TuneController, "_maybe_reuse_cached_actor")
    with attributes.use({private_tune._REUSE: lambda _, trial: asked.append(trial) or True}):
        with private_tune.actors_may_start(patience_s=60):
            results = [
                TuneController._maybe_reuse_cached_actor(controller, trial) for trial in ("waits", "queued", "new")
            ]
        assert results == [False, True, True] and asked == ["queued", "new"]
        with private_tune.actors_may_start(patience_s=0):
            assert TuneController._maybe_reuse_cached_actor(controller, "waits")
    assert inspect.getattr_static(TuneController, "_maybe_reuse_cached_actor") is original


def test_tune_forgets_trials_that_have_ended_and_no_other() -> None:
    from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController

    source = inspect.getsource(TuneController)
    sets = ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")
    assert all(f"self.{name}: Set[Trial] = set()" in source for name in sets)
    assert "self._trials: List[Trial] = []" in source and "self._trial_metadata: Dict[str, str] = {}" in source
    assert "self._trial_to_actor: Dict[Trial, TrackedActor] = {}" in source
    trials = [Ended(str(number), number not in (3, 200)) for number in range(300)]
    live, actors, kept = {trials[3]}, {trials[7]: "actor"}, [trials[3], trials[7], trials[200]]
    controller = SimpleNamespace(
        _trials=list(trials),
        _live_trials=live,
        _stopped_trials=set(trials[:100]),
        _failed_trials=set(trials[100:]),
        _trials_to_cache=set(trials),
        _trial_to_actor=actors,
        _trial_metadata={trial.trial_id: "{}" for trial in trials},
    )
    private_tune.forget_ended_trials(private_tune.unwrapped(TrialRunnerWrapper(controller, None)))
    assert controller._trials == kept and controller._trial_metadata.keys() == {"3", "7", "200"}
    assert controller._trials_to_cache == set(kept) and controller._stopped_trials == {trials[3], trials[7]}
    few = SimpleNamespace(_trials=trials[:50], _live_trials=set(), _trial_to_actor={})
    private_tune.forget_ended_trials(few)
    assert len(few._trials) == 50


def test_the_job_client_sends_every_request_through_one_method_that_takes_a_timeout() -> None:
    from ray.job_submission import JobSubmissionClient

    assert "_do_request" in dir(JobSubmissionClient)
    parameters = inspect.signature(JobSubmissionClient._do_request).parameters
    assert list(parameters)[:3] == ["self", "method", "endpoint"]
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    sources = inspect.getsource(JobSubmissionClient) + inspect.getsource(JobSubmissionClient.__mro__[1])
    assert sources.count("= requests.") == 1


def test_the_dashboard_still_answers_at_the_two_private_addresses() -> None:
    from ray.dashboard.modules.node.node_head import NodeHead
    from ray.dashboard.modules.version import VersionResponse

    assert "session_name" in inspect.signature(VersionResponse).parameters
    assert "hostNameList" in inspect.getsource(NodeHead)


@pytest.mark.parametrize("name", job_server.QUIET)
def test_the_loggers_that_are_silenced_are_modules_of_ray(name: str) -> None:
    import_module(name)
    assert name in logging.root.manager.loggerDict


def test_rays_processes_are_recognised_by_their_command_and_environment() -> None:
    from ray._private.services import RAYLET_EXECUTABLE

    assert private_ray.is_raylet(str(RAYLET_EXECUTABLE).encode())
    assert private_ray.is_worker(b"ray::SlotTrainable.train") and not private_ray.is_worker(b"/usr/bin/python")
    assert private_ray.is_worker_of("01000000", b"A=1\0RAY_JOB_ID=01000000\0B=2")
    assert not private_ray.is_worker_of("01000000", b"A=1\0RAY_JOB_ID=02000000\0B=2")


def test_the_interfaces_were_checked_with_the_newest_release_that_is_supported() -> None:
    assert private_ray.CHECKED_WITH.startswith(f"{NEWEST[0]}.{NEWEST[1]}.")


def test_no_other_module_reaches_into_ray_mlflow_or_xgboost() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.name.lstrip("_").startswith("private_"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                library, *below = module.split(".")
                if library in ("ray", "mlflow", "xgboost", "optuna") and (
                    "v2" in below or any(b[0] == "_" for b in below)
                ):
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {module}")
            if isinstance(node, ast.Attribute) and node.attr in ("_do_request", "_actor_cache", "_private"):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


def test_ray_takes_the_loopback_address_only_where_it_spans_no_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import ray_constants, services, worker

    monkeypatch.setattr(worker, "_global_node", None)
    monkeypatch.setattr(services, "node_ip_address_from_perspective", lambda _: "10.0.0.1")
    with private_ray.on_loopback():
        assert services.resolve_ip_for_localhost(private_ray.LOOPBACK) == private_ray.LOOPBACK
    assert services.resolve_ip_for_localhost(private_ray.LOOPBACK) == "10.0.0.1"
    assert ray_constants.ENABLE_RAY_CLUSTER


def test_tune_gives_trials_no_environment_and_so_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.execution import class_cache

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    assert "AWS_SECRET_ACCESS_KEY" in class_cache.ENV_VARS_TO_PROPAGATE and class_cache.DEFAULT_ENV_VARS
    with private_tune.no_environment_for_trials():
        actor = class_cache._ActorClassCache().get(type("Trainable", (), {}))
        assert not actor._default_options["runtime_env"]  # so it takes a worker that is idle
    assert "AWS_SECRET_ACCESS_KEY" in class_cache.ENV_VARS_TO_PROPAGATE and class_cache.DEFAULT_ENV_VARS


def test_an_actor_that_was_ended_for_memory_has_died_for_tune() -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError, RayActorError

    told = list[Exception]()
    actor = SimpleNamespace(actor_id=1, _on_error=lambda _, error: told.append(error))
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    task, error = SimpleNamespace(_tracked_actor=actor, _on_error=None), OutOfMemoryError("little memory is left")
    with private_tune.memory_kills_as_deaths():
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=error)  # as Ray calls it
    (death,) = told
    assert isinstance(death, RayActorError)
    assert "little memory is left" in str(death)
    with pytest.raises(RuntimeError, match="unexpected"):  # Tune by itself; if this fails, the patch can go
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=error)


def test_a_ray_of_its_own_starts_no_servers_that_a_run_does_not_use() -> None:
    from ray._private import services, utils
    from ray._private.node import Node

    command, agent = services._build_python_executable_command_memory_profileable, Path("agent.py")
    started = {name: getattr(Node, name) for name in ("start_monitor", "start_api_server", "start_log_monitor")}
    with private_ray.without_unused_servers(agent):
        for name in started:
            assert getattr(Node, name)(None) is None
        for process in ("dashboard_agent", "runtime_env_agent"):
            assert services._build_python_executable_command_memory_profileable(process, "")[-1] == str(agent)
        assert services._build_python_executable_command_memory_profileable("gcs_server", "") == command("", "")
        assert utils.get_dashboard_dependency_error() is not None
    assert {name: getattr(Node, name) for name in started} == started
    assert services._build_python_executable_command_memory_profileable is command
    assert "get_dashboard_dependency_error() is not None" in inspect.getsource(services.start_raylet)
    assert f'f"{local_ray_agent.PORT_OPTION}{{' in inspect.getsource(services.start_raylet)


@pytest.mark.parametrize("names", [(), ("TMPDIR",), ("RAY_TMPDIR",), ("TMPDIR", "RAY_TMPDIR")])
def test_the_temporary_folder_is_the_one_of_ray(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._common import utils

    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name in names:
        monkeypatch.setenv(name, f"/{name}")
    assert private_ray.temporary_folder() == utils.get_default_system_temp_dir()


def test_a_raylet_is_told_another_command_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    start = inspect.getsource(services.start_raylet)
    assert all(part in start for part in ('f"--python_worker_command={', "start_ray_process(", PRESTARTED))
    started: list[list[str]] = []
    monkeypatch.setattr(services, "start_ray_process", lambda words, *_, **named: started.append(words))
    with private_forks.workers_started_by(["python", "a b"]):
        words = ["raylet", "--python_worker_command=python setup.py", f"{PRESTARTED}2", "--head"]
        services.start_ray_process(words, "raylet", False)
    told = ["raylet", '--python_worker_command=python "a b" python setup.py', f"{PRESTARTED}0", "--head"]
    assert started == [told]


def test_the_ports_of_an_agent_have_the_names_that_a_raylet_waits_for() -> None:
    import ray._raylet

    names = [name for name in dir(ray._raylet) if name.endswith("_PORT_NAME")]
    assert {getattr(ray._raylet, name) for name in names} >= {*local_ray_agent.UNUSED_PORTS, local_ray_agent.PORT}


def test_ray_looks_for_its_node_by_a_function_that_can_be_replaced() -> None:
    from ray._private import node, services

    assert "ray._private.services.get_node(" in inspect.getsource(node.Node.__init__)
    assert list(inspect.signature(services.get_node).parameters) == ["gcs_address", "node_id"]


def test_ray_data_starts_no_actors_for_statistics_and_autoscaling() -> None:
    from ray.data._internal import stats
    from ray.data._internal.execution import streaming_executor

    before = streaming_executor.create_cluster_autoscaler, stats._StatsManager.register_dataset_to_stats_actor
    with private_ray.without_data_actors():
        autoscaler = streaming_executor.create_cluster_autoscaler(None, None, None, execution_id="1")
        assert autoscaler.try_trigger_scaling() is None
        assert stats._StatsManager.update_execution_metrics("dataset", [], [], {}) is None
        assert stats._StatsManager.register_dataset_to_stats_actor("dataset", [], None, None) is None
    assert before == (
        streaming_executor.create_cluster_autoscaler,
        stats._StatsManager.register_dataset_to_stats_actor,
    )
