"""`ui`: MLflow's own pages over the registry, on loopback, until Ctrl-C."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.models import On, Uri
from ray_pipeline.cli.output import verb
from ray_pipeline.errors import Problem, RegistryError

Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="Where the pages are served, on 127.0.0.1 only.")]


def add(app: typer.Typer) -> None:
    """Adds the verb."""

    @verb(app, "ui")
    def ui(on: On = None, registry: Uri = None, port: Port = 5000) -> dict[str, Any]:
        """Serve MLflow's pages over the registry until Ctrl-C."""
        uri = _address(on, registry)
        if uri.startswith(("http://", "https://")):
            typer.echo(f"the registry has pages of its own: {uri}")
            return {"url": uri}
        _check(uri)
        url = f"http://127.0.0.1:{port}"
        typer.echo(f"{url} shows {uri}; Ctrl-C ends it")
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            uri,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        server = subprocess.Popen(command, stdout=sys.stderr)
        try:
            code = server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return {"url": url}
        raise RegistryError(
            Problem(
                key="--port",
                found=f"MLflow's server ended with code {code}",
                fix="read its message above; a port in use wants another `--port`",
            )
        )


def _address(on: str | None, registry: str | None) -> str:
    from ray_pipeline.registry.address import absolute, default_uri
    from ray_pipeline.spec.where import Where

    return absolute(registry or (Where.find(on, Path.cwd()).registry_uri(Path.cwd()) if on else default_uri()))


def _check(uri: str) -> None:
    from ray_pipeline.registry.address import hidden, sqlite_file

    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise RegistryError(
            Problem(
                file=str(file),
                found="there is no registry here yet",
                fix="run a spec first, or name another with --registry",
            )
        )
    try:
        version("mlflow")
    except PackageNotFoundError:
        found = f"the pages over {hidden(uri)} need all of MLflow, and only its core is installed"
        raise RegistryError(Problem(key="ui", found=found, fix="pip install 'ray-pipeline[ui]'")) from None
