"""`report RUN`: write the page of a run anew from its plain files."""

from typing import Any

import typer

from ray_pipeline.cli.options import On, RunId, Storage, run_folder
from ray_pipeline.errors import Problem, StorageError


def report(run: RunId, on: On = None, storage: Storage = None) -> dict[str, Any]:
    """Write the report of a run again and print its path."""
    from ray_pipeline.report import write_report

    folder = run_folder(run, on, storage)
    try:
        path = write_report(folder.path)
    except OSError as error:
        found = f"cannot write the report: {error.strerror or error}"
        fix = "make the folder writable, or copy the run and name its path"
        raise StorageError(Problem(file=str(folder.path), found=found, fix=fix)) from None
    folder.upload(path.name)
    address = f"{folder.address}/{path.name}"
    typer.echo(address)
    return {"report": address}
