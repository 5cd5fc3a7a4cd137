"""How we talk to MLflow: quietly, patiently for seconds and not for minutes, and with its errors in our words."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.address import hidden

ALWAYS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
CHATTER = ("mlflow", "alembic", "sqlalchemy", "urllib3")


@contextmanager
def mlflow_session(uri: str, *, retries: int = 3, timeout_s: int = 30, debug: bool = False) -> Iterator[None]:
    """While it lasts, MLflow is silent (unless `debug`) and gives up after `retries` times `timeout_s`, not after 7
    times 120 s.

    Raises:
        RegistryError: in place of whatever MLflow, SQLAlchemy or requests raised.
    """
    environment = {
        **ALWAYS,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    levels = {} if debug else {name: logging.getLogger(name).level for name in CHATTER}
    try:
        with warnings.catch_warnings():
            import mlflow

            for name in levels:  # after the import, which sets them
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            if not debug:
                warnings.simplefilter("ignore")
            try:
                yield
            except mlflow.exceptions.MlflowException as error:
                raise unanswered(uri, error) from error
            except (OSError, ImportError) as error:
                raise unanswered(uri, error) from error
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def unanswered(uri: str, error: Exception) -> RegistryError:
    """MLflow's error as one problem: its first line, without login, and what to do."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if "out-of-date database schema" in text:
        fix = f"back it up, then run `mlflow db upgrade {hidden(uri)}`"
    elif "locked" in text:
        fix = "another process holds the database; try again when it is done"
    else:
        fix = (
            "check the address, that it runs and that it may be written; a finished run is kept, `ray-pipeline resume"
            " RUN` registers it"
        )
    return RegistryError(
        Problem(key="registry", found=f"{hidden(uri)} answered: {text.replace(uri, hidden(uri))[:300]}", fix=fix)
    )


def client(uri: str) -> Any:
    """MLflow's client for that address, tracking and registry alike."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
