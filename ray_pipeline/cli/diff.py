"""`diff RUN RUN`: two runs side by side."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import verb
from ray_pipeline.cli.report import run_folder
from ray_pipeline.errors import Problem, StorageError

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or the path or URI of its folder.", show_default=False)
]


def add(app: typer.Typer) -> None:
    """Adds the verb to the application."""

    @verb(app, "diff")
    def diff(
        first: Run,
        second: Run,
        on: Annotated[str | None, typer.Option(help="The cluster file that says where runs are kept.")] = None,
        storage: Annotated[
            str | None,
            typer.Option(help="The folder or URI of the runs; default: that of the cluster file, else ./runs."),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                help=(
                    "The page to write; default: diff-FIRST-SECOND.html beside the second run, or here where that is"
                    " kept at a URI."
                )
            ),
        ] = None,
    ) -> dict[str, Any]:
        """Show what two runs were asked differently and what came of it: here, as JSON, and as a page."""
        from ray_pipeline.report.compare import compare
        from ray_pipeline.report.diff_page import write_diff
        from ray_pipeline.report.run_files import RunFiles

        folders = [run_folder(run, on, storage) for run in (first, second)]
        files = [RunFiles.read(folder.path) for folder in folders]
        found = compare(files[0], files[1])
        beside = Path() if folders[1].store else folders[1].path.parent
        target = out or beside / f"diff-{found['first']}-{found['second']}.html"
        try:
            path = write_diff(found, str(files[1].spec.get("name") or found["second"]), target)
        except OSError as error:
            fix = "name another page with --out"
            raise StorageError(
                Problem(file=str(target), found=f"cannot write the page: {error.strerror or error}", fix=fix)
            ) from None
        _show(found)
        typer.echo(path)
        return {**found, "report": str(path)}


def _show(found: dict[str, Any]) -> None:
    """What a person at a terminal wants first: what was asked differently, gates, metrics."""
    typer.echo(
        f"first   {found['first']}\nsecond  {found['second']}\n{'the same' if found['same_rows'] else 'different'} test"
        " rows"
    )
    for part in ("spec", "data", "model", "versions"):
        for pair in found[part]:
            typer.echo(f"  {part:<9}{pair['key']}: {pair['first']} -> {pair['second']}")
    for row in found["gates"]:
        first, second = (
            "–" if row[side] is None else "✔" if row[side]["passed"] else "✘" for side in ("first", "second")
        )
        typer.echo(f"  {first} {second}  {row['gate']}")
    for row in found["metrics"]:
        values = [
            "   -  " if row[side] is None or row[side]["value"] is None else f"{row[side]['value']:.4f}"
            for side in ("first", "second")
        ]
        change = "" if row["difference"] is None else f"  {row['difference']:+.4f}"
        typer.echo(f"  {row['metric']:<22}{values[0]}  {values[1]}{change}")
