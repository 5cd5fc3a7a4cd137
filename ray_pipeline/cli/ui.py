"""`ui`: MLflow's own pages for the registry, on this machine only, until Ctrl-C."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from ray_pipeline.cli.options import On, RegistryUri, registry_of
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.redaction import redacted

END_S = 10.0
"""How long MLflow's server may take to end after Ctrl-C."""
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="The port of the pages, on 127.0.0.1 only.")]


def ui(on: On = None, registry: RegistryUri = None, port: Port = 5000) -> dict[str, Any]:
    """Serve MLflow's pages for the registry until Ctrl-C."""
    uri = registry_of(on, registry, debug=False).uri
    if uri.startswith(("http://", "https://")):
        typer.echo(f"the registry has its own pages: {redacted(uri)}")
        return {"url": uri}
    _check(uri)
    url = f"http://127.0.0.1:{port}"
    typer.echo(f"{url} shows {redacted(uri)}; Ctrl-C ends it")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Not as an argument: every user of the machine can read those, and the address may hold a login.
    settings = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # With jobs, which no page of a registry needs, MLflow starts eight more processes.
    server = subprocess.Popen(command, stdout=sys.stderr, env={**os.environ, **settings})
    try:
        code = server.wait()
    except KeyboardInterrupt:
        server.terminate()
        try:
            server.wait(END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        return {"url": url}
    found = f"MLflow's server ended with code {code}"
    fix = "read its message above; if the port is in use, name another with --port"
    raise RegistryError(Problem(key="--port", found=found, fix=fix))


def _check(uri: str) -> None:
    """Raise `RegistryError` if there is no registry, or MLflow's pages are not installed."""
    from ray_pipeline.registry.address import sqlite_file
    from ray_pipeline.registry.preflight import readable

    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        fix = "run a spec first, or name another registry with --registry"
        raise RegistryError(Problem(file=str(file), found="there is no registry here yet", fix=fix))
    if file is not None:
        readable(file)
    try:
        version("mlflow")
    except PackageNotFoundError:
        found = f"the pages for {uri} need all of MLflow, and only its core is installed"
        raise RegistryError(Problem(key="ui", found=found, fix="pip install 'ray-pipeline[ui]'")) from None
