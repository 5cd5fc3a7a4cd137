"""The verbs that make a model: init, run, resume, rerun."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import verb
from ray_pipeline.errors import Problem, SpecError, StorageError, nearest

SpecPath = Annotated[Path, typer.Argument(help="The spec, a YAML file.", show_default=False)]
On = Annotated[
    str | None,
    typer.Option("--on", help="A cluster file, or its name in cluster/ beside the spec.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one value of the spec: a.b=c; may be repeated.", show_default=False),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on", help="End the run at findings of this severity: low, medium, high or never.", show_default=False
    ),
]
EXAMPLES = ("flights", "adult")


def add(app: typer.Typer) -> None:
    """Adds init, run, resume and rerun."""
    verb(app, "rerun")(_rerun)

    @verb(app, "init")
    def init(
        name: Annotated[str, typer.Argument(help="flights (three tables) or adult (one table).")],
        folder: Annotated[
            Path | None, typer.Argument(metavar="DIR", help="Where to; a folder of the example's name unless given.")
        ] = None,
    ) -> dict[str, Any]:
        """Write a working example with real data."""
        if name not in EXAMPLES:
            raise SpecError(
                Problem(
                    key="NAME",
                    found=f"there is no example {name!r}",
                    fix=f"{nearest(name, EXAMPLES)}Known: {', '.join(EXAMPLES)}",
                )
            )
        target = folder or Path(name)
        spec = target / f"{name}.yaml"
        if spec.exists():
            raise StorageError(
                Problem(file=str(spec), found="is there already", fix="name another folder, or remove it")
            )
        try:
            with as_file(files("ray_pipeline") / "examples" / name) as example:
                shutil.copytree(example, target, dirs_exist_ok=True)
        except OSError as error:
            raise StorageError(
                Problem(
                    file=str(target),
                    found=f"cannot write: {error.strerror or error}",
                    fix="name a folder that you may write to",
                )
            ) from None
        typer.echo(f"{spec} and its tables are written. Now: ray-pipeline run {spec}")
        return {"spec": str(spec)}

    @verb(app, "run")
    def run(
        spec: SpecPath,
        on: On = None,
        set_: Set = None,
        fail_on: FailOn = None,
        *,
        quiet: bool = False,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Run the whole pipeline: feature tables in, a gated, registered model out."""
        from ray_pipeline.spec import Spec
        from ray_pipeline.spec.where import Where

        read = Spec.from_file(spec, [*(set_ or ()), *([f"checks.fail_on={fail_on}"] if fail_on else [])])
        where = Where.find(on, read.folder)
        from ray_pipeline import pipeline

        return _shown(lambda show: pipeline.run(read, where, progress=show, debug=debug), quiet)

    @verb(app, "resume")
    def resume(
        run: Annotated[str, typer.Argument(help="The run's id, or its folder.")],
        on: On = None,
        *,
        quiet: bool = False,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Go on with an interrupted run; a finished trial is never run again."""
        from ray_pipeline.resuming import resume as resume_run
        from ray_pipeline.runs.run_folder import RunFolder
        from ray_pipeline.spec.where import Where

        where = Where.find(on, Path())
        folder = RunFolder.open(where.storage_folder(Path()), run)
        return _shown(lambda show: resume_run(folder, where if on else None, progress=show, debug=debug), quiet)


def _rerun(
    run: Annotated[
        str, typer.Argument(help="The run's id, its folder, or the path of its manifest.json.", show_default=False)
    ],
    on: On = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every stage byte for byte with what the manifest says.")
    ] = False,
    *,
    quiet: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Build a run again from its manifest; names the first stage that differs, and why."""
    from ray_pipeline.resuming import rerun
    from ray_pipeline.runtime.progress import progress
    from ray_pipeline.spec.where import Where

    with progress(quiet) as show:
        told = rerun(run, Where.find(on, Path()) if on else None, verify=verify, progress=show, debug=debug)
    typer.echo(
        f"{told['run']}: {told['status']}"
        + (f", byte for byte: {', '.join(told['same'])}" if verify else "")
        + f" (as {told['rerun']})"
    )
    return told


def _shown(work: Any, quiet: bool) -> dict[str, Any]:
    from ray_pipeline.cli.summary import summarize
    from ray_pipeline.runtime.progress import progress

    with progress(quiet) as show:
        release = work(show)
    summarize(release.as_json())
    return release.as_json()  # type: ignore[no-any-return]
