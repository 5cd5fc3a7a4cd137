"""The verbs that write a page from the plain files of runs: report, diff."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.options import On, RunId, Storage, run_folder
from ray_pipeline.decimal_text import decimal_text
from ray_pipeline.errors import Problem, StorageError

OUT_HELP = "The page to write. Default: diff-FIRST-SECOND.html beside the second run, or here if that is kept at a URI."


def report(run: RunId, on: On = None, storage: Storage = None) -> dict[str, Any]:
    """Write the report and the model card of a run again; print the path of the report."""
    from ray_pipeline.report import MODEL_CARD, write_report

    folder = run_folder(run, on, storage)
    try:
        path = write_report(folder.path)
    except OSError as error:
        found = f"cannot write the report: {error.strerror or error}"
        fix = "make the folder writable, or copy the run and name its path"
        raise StorageError(Problem(file=str(folder.path), found=found, fix=fix)) from None
    for name in (MODEL_CARD, path.name):
        folder.upload(name)
    address = f"{folder.address}/{path.name}"
    typer.echo(address)
    return {"report": address}


def diff(
    first: RunId,
    second: RunId,
    on: On = None,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option("--out", help=OUT_HELP, show_default=False)] = None,
) -> dict[str, Any]:
    """Compare two runs: their specs, data, gates and metrics. Prints the differences and writes a page."""
    from ray_pipeline.report.compare import compare
    from ray_pipeline.report.diff_page import write_diff
    from ray_pipeline.report.run_files import RunFiles

    folders = [run_folder(run, on, storage) for run in (first, second)]
    files = [RunFiles.read(folder.path) for folder in folders]
    comparison = compare(files[0], files[1])
    beside = Path() if folders[1].is_remote else folders[1].path.parent
    target = out or beside / f"diff-{comparison['first']}-{comparison['second']}.html"
    try:
        path = write_diff(comparison, str(files[1].spec.get("name") or comparison["second"]), target)
    except OSError as error:
        found = f"cannot write the page: {error.strerror or error}"
        raise StorageError(Problem(file=str(target), found=found, fix="name another page with --out")) from None
    _print(comparison)
    typer.echo(path)
    return {**comparison, "report": str(path)}


def _print(comparison: dict[str, Any]) -> None:
    """The differences of the specs, the gates and the metrics."""
    same = "the same" if comparison["same_rows"] else "different"
    typer.echo(f"first   {comparison['first']}\nsecond  {comparison['second']}\n{same} test rows")
    for table in ("spec", "data", "model", "versions"):
        for pair in comparison[table]:
            typer.echo(f"  {table:<9}{pair['key']}: {pair['first']} -> {pair['second']}")
    for row in comparison["gates"]:
        marks = ["–" if row[side] is None else "✔" if row[side]["passed"] else "✘" for side in ("first", "second")]
        typer.echo(f"  {' '.join(marks)}  {row['gate']}")
    for row in comparison["metrics"]:
        values = [(row[side] or {}).get("value") for side in ("first", "second")]
        texts = [decimal_text(value) for value in values]
        difference = row["difference"]
        told = "" if difference is None else f"  {'+' * (difference >= 0)}{decimal_text(difference)}"
        typer.echo(f"  {row['metric']:<22}{'  '.join(texts)}{told}")
