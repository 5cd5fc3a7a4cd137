"""A session with MLflow: silent, patient for seconds and not for minutes, and with errors that say what to do."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.redaction import redacted
from ray_pipeline.registry.private_mlflow import has_old_schema
from ray_pipeline.runtime.overrides import environment, ignored_warnings, log_levels
from ray_pipeline.runtime.process_state import private_files

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a server that is down for repair may ask for hours
}
"""MLflow reads these at each request; it has no argument for any of them."""
SILENT = dict.fromkeys(("mlflow", "alembic", "sqlalchemy", "urllib3"), logging.CRITICAL + 1)
LOST = {
    r"\[Errno -?\d+\] ([\w ]+)": r"\1",
    r"read timeout=([\d.]+)": r"it is silent for \1 s",
    r"timed out": "it is silent",
    r"too many (\d+) error responses": r"it gives only errors, with HTTP status \1",
    r"Connection aborted|Connection broken|IncompleteRead": "it breaks off the connection",
    r"(CERTIFICATE_VERIFY_FAILED|SSLError)": r"its certificate is refused (\1)",
}
"""What the libraries below MLflow say when a server is gone, as regular expressions, and what it means."""
WARNINGS_OF = r"(mlflow|alembic|sqlalchemy|urllib3|ray_pipeline\.registry)(\.|$)"


@contextmanager
def mlflow_session(uri: str, *, retries: int = 3, timeout_s: int = 30, debug: bool = False) -> Iterator[None]:
    """Makes MLflow silent for the block, and lets it give up early: by default it tries 7 times for 120 s each.

    Files that it writes are this user's alone.

    Sessions may be nested and may run in several threads. The last one to end restores the environment variables, the
    levels of loggers and the filters of warnings. As long as two run, the numbers of the one that began last are valid
    for both.

    Parameters
    ----------
    uri
        Address of the registry, for messages.
    retries
        How often MLflow repeats a request that failed.
    timeout_s
        Seconds to wait for each answer.
    debug
        Lets MLflow and the libraries below it log and warn.

    Raises
    ------
    RegistryError
        Instead of what MLflow, SQLAlchemy or requests raised in the block.
    """
    patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries), "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s)}
    silent = ignored_warnings.use({} if debug else {WARNINGS_OF: True})
    with environment.use(SETTINGS | patience), silent, private_files():
        from mlflow.exceptions import MlflowException  # the import sets the levels of MLflow's loggers

        with log_levels.use({} if debug else SILENT):
            try:
                yield
            except Exception as error:
                # A database's own error; for a server, SQLAlchemy is not imported.
                if isinstance(error, MlflowException | OSError | ImportError) or _library(error) == "sqlalchemy":
                    raise unanswered(uri, error) from error
                raise


def _library(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def unanswered(uri: str, error: Exception) -> RegistryError:
    """The problem of an error that MLflow raised: the first line of its message, without passwords, and what to do."""
    if reason := _lost_server(str(error)):
        fix = "start the server, or correct the address"
        return RegistryError(Problem(key="registry", found=f"{uri} does not answer: {reason}", fix=fix))
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if has_old_schema(text):
        fix = f"back it up, then run `mlflow db upgrade {uri}`"
    elif "locked" in text:
        fix = "another process holds the database; try again when it is done"
    else:
        fix = "check the address, and that the registry runs and may be written"
    return RegistryError(Problem(key="registry", found=f"{uri} answered: {redacted(text)[:300]}", fix=fix))


def _lost_server(text: str) -> str:
    """Why a server gave no answer, in a few words; the empty string where it gave one, or where there is no server."""
    if "HTTPConnectionPool" not in text and "HTTPSConnectionPool" not in text and "Connection aborted" not in text:
        return ""
    return next((match.expand(words) for cause, words in LOST.items() if (match := re.search(cause, text))), "")


def client(uri: str) -> "MlflowClient":
    """MLflow's client for runs and for registered models at one address."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
