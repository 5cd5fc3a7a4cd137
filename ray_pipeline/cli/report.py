"""`report RUN`: the run's page, written anew from its plain files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import verb
from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.runtime.run_folder import RunFolder


def add(app: typer.Typer) -> None:
    """Adds the verb to the application."""

    @verb(app, "report")
    def report(
        run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the path of its folder.")],
        on: Annotated[str | None, typer.Option(help="The cluster file that says where runs are kept.")] = None,
        storage: Annotated[Path | None, typer.Option(help="The folder of the runs; default: that of the cluster file, else ./runs.")] = None,
    ) -> dict[str, Any]:
        """Write a run's report.html anew and print its path."""
        from ray_pipeline.report import write_report

        folder = run_folder(run, on, storage).path
        try:
            path = write_report(folder)
        except OSError as error:
            found = f"cannot write the report: {error.strerror or error}"
            raise StorageError(Problem(file=str(folder), found=found, fix="make the folder writable, or copy the run and name its path")) from None
        typer.echo(path)
        return {"report": str(path)}


def run_folder(run: str, on: str | None, storage: Path | None) -> RunFolder:
    """The folder of a run by its id or path. Raises `StorageError` where there is none."""
    return RunFolder.open(storage or _storage(on), run)


def _storage(on: str | None) -> Path:
    from ray_pipeline.spec.where import Where

    here = Path.cwd()
    found = str(Where.find(on, here).storage_folder(here))
    if "://" in found:
        fix = "copy the run here and name the path of its folder"
        raise StorageError(Problem(file=on, key="storage", found=f"the runs are kept at {found}, not in a folder", fix=fix))
    return Path(found)
