"""`report RUN`: the run's page, written anew from its plain files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import verb
from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.runs.run_folder import RunFolder


def add(app: typer.Typer) -> None:
    """Adds the verb to the application."""

    @verb(app, "report")
    def report(
        run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the path or URI of its folder.")],
        on: Annotated[str | None, typer.Option(help="The cluster file that says where runs are kept.")] = None,
        storage: Annotated[
            str | None,
            typer.Option(help="The folder or URI of the runs; default: that of the cluster file, else ./runs."),
        ] = None,
    ) -> dict[str, Any]:
        """Write a run's report.html anew and print its path."""
        from ray_pipeline.report import write_report

        folder = run_folder(run, on, storage)
        try:
            path = write_report(folder.path)
        except OSError as error:
            found = f"cannot write the report: {error.strerror or error}"
            raise StorageError(
                Problem(
                    file=str(folder.path),
                    found=found,
                    fix="make the folder writable, or copy the run and name its path",
                )
            ) from None
        folder.upload(path.name)
        address = f"{folder.address}/{path.name}"
        typer.echo(address)
        return {"report": address}


def run_folder(run: str, on: str | None, storage: str | None) -> RunFolder:
    """The folder of a run by its id, path or URI. Raises `StorageError` where there is none."""
    from ray_pipeline.spec.where import Where

    here = Path.cwd()
    return RunFolder.open(storage or Where.find(on, here).storage_folder(here), run)
