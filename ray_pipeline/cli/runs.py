"""`ray-pipeline runs`: which runs there are, how far one came, and the removal of old ones."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_pipeline.byte_size import byte_size
from ray_pipeline.cli.options import On, RunId, Storage, run_folder, where_of
from ray_pipeline.cli.summary import print_run
from ray_pipeline.cli.table import cell, print_table
from ray_pipeline.errors import Problem, SpecError, StorageError
from ray_pipeline.suggestion import command

if TYPE_CHECKING:
    from ray_pipeline.storage.blob_store import BlobStore

Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Runs to remove. Default: those that did not complete."),
]
OlderThan = Annotated[
    str, typer.Option("--older-than", metavar="DURATION", help="Remove only runs that began so long ago.")
]
All = Annotated[bool, typer.Option("--all", help="Remove complete runs too; registered models stay in the registry.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")]
Cache = Annotated[bool, typer.Option("--cache", help="Also remove the encoded rows that later runs would use again.")]


def list_runs(on: On = None, storage: Storage = None) -> dict[str, Any]:
    """List the runs of a storage with state, age, size and model."""
    from ray_pipeline.runs.housekeeping import runs_in

    runs = runs_in(_store(on, storage))
    heads = ("RUN", "STATE", "AGE", "SIZE", "MODEL")
    print_table(heads, [(one.run, one.state, age(one.started), byte_size(one.num_bytes), one.model) for one in runs])
    return {"runs": [one.as_json() for one in runs]}


def show(run: RunId, on: On = None, storage: Storage = None) -> dict[str, Any]:
    """Show how far a run came, what it made, and how to go on. The exit code is that of the run, if it has ended."""
    from ray_pipeline.runs.housekeeping import runs_in

    folder = run_folder(run, on, storage)
    summary = next(one for one in runs_in(folder.store) if one.run == folder.run)
    answer, problem = folder.journal.recorded("release"), folder.journal.recorded("problem")
    spec = (folder.journal.recorded("begin") or {}).get("fingerprint", "")
    facts = {
        "run": folder.address,
        "state": summary.state,
        "owner": summary.owner,
        "started": summary.started and f"{summary.started.astimezone():%Y-%m-%d %H:%M:%S} ({age(summary.started)} ago)",
        "size": byte_size(summary.num_bytes),
        "spec": spec[:12],
        "trials": len(folder.journal.steps("trial-")) or (answer or {}).get("trials"),
    }
    for name, value in facts.items():
        typer.echo(f"{name:<9}{cell(value)}")
    problems = (problem or {}).get("problems", []) if not summary.is_complete else []
    for one in problems:
        typer.echo(f"problem  {Problem(**one)}")
    if summary.is_complete and answer:
        print_run(answer)
    elif summary.state != "running":
        typer.echo(f"go on    {command('resume', folder.run, on=on)}")
    return {**summary.as_json(), "exit": summary.exit or 0, "release": answer, "problems_found": problems}


def clean(
    runs: Runs = None,
    on: On = None,
    storage: Storage = None,
    older_than: OlderThan = "7d",
    all: All = False,
    dry_run: DryRun = False,
    cache: Cache = False,
) -> dict[str, Any]:
    """Remove runs that did not complete, or the named ones. A run under way stays, and so do tables given from Python.

    Registered models stay too: the registry has their files.
    """
    from ray_pipeline.preprocessing.cache import FOLDER
    from ray_pipeline.runs.housekeeping import removable, remove_run, runs_in
    from ray_pipeline.storage.blob_store import BlobStore

    store = _store(on, storage)
    known = {one.run: one for one in runs_in(store)}
    if unknown := [name for name in runs or () if name not in known]:
        fix = f"name runs that `{command('runs list', on=on)}` shows"
        raise StorageError(Problem(file=store.root, found=f"there is no run {unknown[0]!r}", fix=fix))
    chosen = (
        [known[name] for name in dict.fromkeys(runs)]
        if runs
        else removable(list(known.values()), _seconds(older_than), complete=all)
    )
    verb = "would be removed" if dry_run else "removed"
    for one in chosen:
        if not dry_run:
            remove_run(store, one.run, lambda text: typer.echo(text, err=True))
        typer.echo(f"{verb}: {one.run}, {one.state}, {age(one.started)} old, {byte_size(one.num_bytes)}")
    freed = sum(one.num_bytes for one in chosen)
    if cache:
        sets = BlobStore(f"{store.root}/{FOLDER}")
        before = sets.sizes()
        gone = list(before) if dry_run else sets.evict(0)
        typer.echo(f"{verb}: {len(gone)} sets of encoded rows, {byte_size(sum(before[name] for name in gone))}")
        freed += sum(before[name] for name in gone)
    typer.echo(f"{len(chosen)} of {len(known)} runs {verb}, {byte_size(freed)} in all")
    return {
        "removed": [one.run for one in chosen],
        "kept": len(known) - len(chosen),
        "bytes": freed,
        "dry_run": dry_run,
    }


def _store(on: str | None, storage: str | None) -> "BlobStore":
    from ray_pipeline.storage.blob_store import BlobStore

    root = storage or where_of(on).storage_folder(Path.cwd())
    return BlobStore(root if "://" in root else str(Path(root).absolute()))


def _seconds(written: str) -> float:
    from ray_pipeline.duration import parse_duration

    try:
        return 0.0 if written == "0" else parse_duration(written).total_seconds()
    except ValueError as error:
        raise SpecError(
            Problem(key="--older-than", found=str(error), fix="write for example --older-than 7d")
        ) from None


def age(since: datetime | None) -> str:
    """How long ago, in one unit."""
    if since is None:
        return "-"
    seconds = int((datetime.now(UTC) - since).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"
