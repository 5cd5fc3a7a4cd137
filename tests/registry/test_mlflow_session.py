"""Sessions with MLflow in several threads: none restores what another has set, and the last leaves nothing behind."""

import logging
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import mlflow.environment_variables as variables
import pytest

from ray_pipeline.errors import RegistryError
from ray_pipeline.registry.mlflow_session import SETTINGS, SILENT, client, mlflow_session

URI = "http://user:secret@registry:5000"


def state() -> dict[str, Any]:
    return {
        "environment": dict(os.environ),
        "levels": {name: logging.getLogger(name).level for name in SILENT},
        "warnings": list(warnings.filters),
    }


def patience() -> tuple[int, int]:
    """What a request of MLflow's reads."""
    return variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), variables.MLFLOW_HTTP_REQUEST_TIMEOUT.get()


def test_every_setting_is_one_that_mlflow_knows() -> None:
    for name in {*SETTINGS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"} - {"DO_NOT_TRACK"}:
        assert getattr(variables, name).name == name


@pytest.mark.parametrize("first_out", ["first", "second"])
def test_of_two_threads_the_last_one_restores_and_neither_loses_its_settings(first_out: str) -> None:
    before, retries = state(), {"first": 1, "second": 2}
    inside, leave = ({name: threading.Event() for name in retries} for _ in range(2))

    def session(name: str) -> None:
        with mlflow_session(URI, retries=retries[name], timeout_s=10 * retries[name]):
            inside[name].set()
            assert leave[name].wait(20)

    last_out = "second" if first_out == "first" else "first"
    with ThreadPoolExecutor(2) as pool:
        ended = {}
        for name in retries:
            ended[name] = pool.submit(session, name)
            assert inside[name].wait(20)
        assert patience() == (2, 20)
        leave[first_out].set()
        ended[first_out].result(20)
        assert patience() == (retries[last_out], 10 * retries[last_out])
        assert not logging.getLogger("mlflow").isEnabledFor(logging.CRITICAL)
        warnings.warn_explicit("nobody hears it", UserWarning, "file", 1, module="mlflow.store")
        leave[last_out].set()
        ended[last_out].result(20)
    assert state() == before


def test_only_the_libraries_warnings_are_ignored() -> None:
    with mlflow_session(URI), pytest.raises(UserWarning, match="a user's own"):
        warnings.warn_explicit("a user's own", UserWarning, "file", 1, module="their.code")


def test_with_debug_the_libraries_log_and_warn() -> None:
    levels = state()["levels"]
    with mlflow_session(URI, debug=True), pytest.raises(UserWarning, match="heard"):
        assert state()["levels"] == levels
        warnings.warn_explicit("heard", UserWarning, "file", 1, module="mlflow.store")


@pytest.mark.parametrize("raised", [ConnectionError(f"{URI} refused"), ImportError("no psycopg2")])
def test_an_error_is_one_of_the_registry_and_keeps_no_password(raised: Exception) -> None:
    before = state()
    with pytest.raises(RegistryError) as told, mlflow_session(URI):
        raise raised
    assert "secret" not in str(told.value)
    assert told.value.__cause__ is raised
    assert state() == before


POOL = "API request to http://h:1/api failed with exception HTTPConnectionPool(host='h', port=1): Max retries exceeded"


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (f"{POOL} (Caused by NewConnectionError('...: [Errno 111] Connection refused'))", "Connection refused"),
        (f"{POOL} (Caused by ReadTimeoutError('... Read timed out. (read timeout=30)'))", "it is silent for 30 s"),
        (f"{POOL} (Caused by ResponseError('too many 502 error responses'))", "only errors, with HTTP status 502"),
        ("('Connection aborted.', RemoteDisconnected('Remote end closed'))", "it breaks off the connection"),
        (f"{POOL} (... Failed to resolve 'h' ([Errno -2] Name or service not known))", "Name or service not known"),
    ],
)
def test_a_server_that_has_died_is_named_in_a_few_words(raised: str, reason: str) -> None:
    with pytest.raises(RegistryError) as told, mlflow_session(URI):
        raise ConnectionError(raised)
    (problem,) = told.value.problems
    assert problem.found.startswith("http://***@registry:5000 does not answer: ")
    assert problem.found.endswith(reason)
    assert problem.fix == "start the server, or correct the address", "no run is at stake for those who read"
    assert len(problem.found) < 100


class Repaired(BaseHTTPRequestHandler):
    """A server that asks to come back in an hour."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Retry-After", "3600")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def test_a_server_that_asks_to_come_back_in_an_hour_is_not_waited_for() -> None:
    with HTTPServer(("127.0.0.1", 0), Repaired) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri, began = f"http://127.0.0.1:{server.server_port}", time.monotonic()
        only_errors = pytest.raises(RegistryError, match="it gives only errors, with HTTP status 503")
        with only_errors, mlflow_session(uri, retries=1):
            client(uri).search_registered_models()
        server.shutdown()
    assert time.monotonic() - began < 30  # a limit against hanging, no measurement
