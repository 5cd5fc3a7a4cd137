"""The verbs that make a model: init, run, resume, rerun."""

import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_pipeline.cli.options import On, RunId, Sets, SpecFile, run_folder, where_of
from ray_pipeline.errors import Problem, SpecError, StorageError, nearest

if TYPE_CHECKING:
    from ray_pipeline.runs.release import Release
    from ray_pipeline.runtime.progress import Progress

EXAMPLES = ("flights", "adult")

Example = Annotated[
    str, typer.Argument(metavar="NAME", help="The example: flights (three tables) or adult (one table).")
]
Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR", help="The folder to write. Default: NAME in the working directory.", show_default=False
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="SEVERITY",
        help="End the run if a check finds something of this severity or worse: low, medium, high or never.",
        show_default=False,
    ),
]
Manifest = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its id, its folder, or its manifest.json.", show_default=False),
]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the output of every stage, byte for byte.")]


def init(name: Example, folder: Folder = None) -> dict[str, Any]:
    """Write a working example with real data."""
    if name not in EXAMPLES:
        fix = f"{nearest(name, EXAMPLES)}Known: {', '.join(EXAMPLES)}"
        raise SpecError(Problem(key="NAME", found=f"there is no example {name!r}", fix=fix))
    target = folder or Path(name)
    spec = target / f"{name}.yaml"
    if spec.exists():
        raise StorageError(Problem(file=str(spec), found="exists already", fix="name another folder, or remove it"))
    try:
        with as_file(files("ray_pipeline") / "examples" / name) as example:
            shutil.copytree(example, target, dirs_exist_ok=True)
    except OSError as error:
        found = f"cannot write: {error.strerror or error}"
        raise StorageError(Problem(file=str(target), found=found, fix="name a folder that you can write to")) from None
    typer.echo(f"{spec} and its tables are written. Now: ray-pipeline run {spec}")
    return {"spec": str(spec)}


def run(
    spec: SpecFile,
    on: On = None,
    set: Sets = None,
    fail_on: FailOn = None,
    *,
    quiet: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Run the whole pipeline: from feature tables to a gated, registered model."""
    from ray_pipeline.spec import Spec

    parsed = Spec.from_file(spec, [*(set or ()), *([f"checks.fail_on={fail_on}"] if fail_on else [])])
    where = where_of(on, parsed.folder)
    from ray_pipeline import pipeline

    return _finished(lambda progress: pipeline.run(parsed, where, progress=progress, debug=debug), quiet)


def resume(run: RunId, on: On = None, *, quiet: bool = False, debug: bool = False) -> dict[str, Any]:
    """Continue an interrupted run. Trials that have finished do not run again."""
    from ray_pipeline.resuming import resume as continue_run

    folder, where = run_folder(run, on), where_of(on) if on else None
    return _finished(lambda progress: continue_run(folder, where, progress=progress, debug=debug), quiet)


def rerun(
    run: Manifest, on: On = None, verify: Verify = False, *, quiet: bool = False, debug: bool = False
) -> dict[str, Any]:
    """Run again exactly what a run's manifest says.

    With --verify: exit code 3 if a stage gives other bytes, with the name of the first such stage.
    """
    from ray_pipeline.resuming import rerun as run_again
    from ray_pipeline.runtime.progress import progress as live_progress

    with live_progress(quiet) as progress:
        answer = run_again(run, where_of(on) if on else None, verify=verify, progress=progress, debug=debug)
    same = f", byte for byte: {', '.join(answer['same'])}" if verify else ""
    typer.echo(f"{answer['run']}: {answer['status']}{same} (as {answer['rerun']})")
    return answer


def _finished(work: "Callable[[Progress], Release]", quiet: bool) -> dict[str, Any]:
    """The answer of a run, after it was shown while it ran and printed at its end."""
    from ray_pipeline.cli.summary import print_run
    from ray_pipeline.runtime.progress import progress as live_progress

    with live_progress(quiet) as progress:
        release = work(progress)
    answer = release.as_json()
    print_run(answer, release.findings)
    return answer
