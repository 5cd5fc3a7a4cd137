"""A real MLflow server is killed or stands still during a registration: one message in time, and one version."""

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_fixture import Trained, train
from registry_fixture import NAME, add
from registry_server_fixture import Server, started_server

from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import Registry, registry

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
STEPS = ("create_run", "log_artifacts", "log_batch", "create_model_version", "set_model_version_tag")
"""MLflow's calls during a registration, in their order."""
KILLED_S = 30.0
"""The longest time to the message of a server that is gone."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One binary bundle."""
    return train(tmp_path_factory.mktemp("trained"))


class Interrupted:
    """MLflow's client, which does something to its server before or after its first call of one name."""

    def __init__(self, client: Any, name: str, act: Callable[[], None], *, after: bool) -> None:
        self.client, self.name, self.act, self.after = client, name, act, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        if name != self.name:
            return call

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            if not self.after:
                self.act()
            result = call(*args, **kwargs)
            self.act()
            return result

        return interrupted


def refused(server: Server, step: str, sent: signal.Signals, trained: Trained, *, after: bool) -> tuple[str, float]:
    """The message of a registration whose server gets a signal at that step, and the seconds from signal to message."""
    acted = list[float]()

    def act() -> None:
        acted.append(time.monotonic())
        server.signal(sent)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RegistryError) as told:
        connect = registry.client
        patch.setattr(registry, "client", lambda uri: Interrupted(connect(uri), step, act, after=after))
        add(Registry(server.uri), trained, "run-1")
    (problem,) = told.value.problems
    assert told.value.exit_code == 5
    assert "ray-pipeline resume" in problem.fix
    return problem.found, time.monotonic() - acted[0]


def test_a_server_that_is_killed_at_any_step_costs_seconds_and_the_run_gets_one_version(
    trained: Trained, tmp_path: Path
) -> None:
    store, port = f"sqlite:///{tmp_path}/server.db", None
    for step in STEPS:
        with started_server(tmp_path, store, port) as server:
            port = int(server.uri.rpartition(":")[2])
            found, seconds = refused(server, step, signal.SIGKILL, trained, after=step == "create_model_version")
        assert found == f"{server.uri} does not answer: Connection refused", step
        assert seconds < KILLED_S, step
    with started_server(tmp_path, store, port) as server:
        assert add(Registry(server.uri), trained, "run-1") == 1
        (model,) = Registry(server.uri).list()
    assert [version["status"] for version in model["versions"]] == ["registered"]
    assert model["aliases"] == {"challenger": 1}
    assert model["name"] == NAME


def test_a_server_that_is_killed_at_any_moment_leaves_one_version_after_the_same_call(
    trained: Trained, tmp_path: Path, fault_seed: int
) -> None:
    draw, store, port = random.Random(f"registry {fault_seed}"), f"sqlite:///{tmp_path}/server.db", None
    with started_server(tmp_path, store, port) as server:
        port = int(server.uri.rpartition(":")[2])
        began = time.monotonic()
        add(Registry(server.uri), trained, "run-0")
        killer = threading.Timer(draw.random() * (time.monotonic() - began), server.signal, [signal.SIGKILL])
        killer.start()
        try:
            add(Registry(server.uri), trained, "run-1")
        except RegistryError as told:
            assert told.exit_code == 5
            assert "does not answer" in told.problems[0].found
        killer.join()
    with started_server(tmp_path, store, port) as server:
        assert add(Registry(server.uri), trained, "run-1") == 2
        (model,) = Registry(server.uri).list()
    assert [(version["version"], version["status"]) for version in model["versions"]] == [
        (2, "registered"),
        (1, "registered"),
    ]
    assert model["aliases"] == {"challenger": 2}


def test_a_server_that_stands_still_is_given_up_in_time(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, answer_s, retries = f"sqlite:///{tmp_path}/server.db", 3, 1
    patient = registry.mlflow_session
    monkeypatch.setattr(
        registry,
        "mlflow_session",
        lambda uri, **asked: patient(uri, **asked | {"timeout_s": answer_s, "retries": retries}),
    )
    with started_server(tmp_path, store) as server:
        found, seconds = refused(server, "create_model_version", signal.SIGSTOP, trained, after=False)
        assert found.startswith(f"{server.uri} does not answer: it is silent")
        assert answer_s < seconds < answer_s * (1 + retries) + 10
        server.signal(signal.SIGCONT)
        assert add(Registry(server.uri), trained, "run-1") == 1
