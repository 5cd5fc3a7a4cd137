"""The verbs that make a model: run, resume, rerun."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_pipeline.cli.options import On, RegistryUri, RunId, Sets, SpecFile, run_folder, where_of

if TYPE_CHECKING:
    from ray_pipeline.runs.release import Release
    from ray_pipeline.runtime.progress import Progress

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="SEVERITY",
        help="End the run if a check finds something of this severity or worse: low, medium, high or never.",
        show_default=False,
    ),
]
Repeat = Annotated[
    int | None,
    typer.Option(
        "--repeat",
        metavar="K",
        help="Run with K seeds: the spec's own, which is registered, and the K - 1 after it. The parts stay.",
        show_default=False,
    ),
]


class Form(StrEnum):
    """How progress is shown."""

    auto = "auto"
    json = "json"


ProgressForm = Annotated[
    Form,
    typer.Option(
        "--progress",
        metavar="FORM",
        help="auto: a live view on a terminal, else lines. json: one JSON object on each line of standard error.",
        show_default=False,
    ),
]
Manifest = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its id, its folder, or its manifest.json.", show_default=False),
]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The name of a registered model.", show_default=False)]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="DATE", help="The new end of the data (excluded). Default: today.", show_default=False
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="DURATION",
        help="Train on the last 365d, say. Default: from where the champion's data begins.",
        show_default=False,
    ),
]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the output of every stage, byte for byte.")]


def run(
    spec: SpecFile,
    on: On = None,
    set: Sets = None,
    fail_on: FailOn = None,
    repeat: Repeat = None,
    progress: ProgressForm = Form.auto,
    *,
    quiet: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Run the whole pipeline: from feature tables to a gated, registered model."""
    from ray_pipeline.cli.summary import print_repeats
    from ray_pipeline.spec import Spec

    parsed = Spec.from_file(spec, [*(set or ()), *([f"checks.fail_on={fail_on}"] if fail_on else [])])
    where = where_of(on, parsed.folder)
    from ray_pipeline import pipeline

    def once(one: Spec) -> "Release":
        return _shown(lambda shown: pipeline.run(one, where, progress=shown, debug=debug), quiet, progress)

    if repeat is None:
        return once(parsed).as_json()
    from ray_pipeline.repeats import repeat as run_repeatedly

    answer = run_repeatedly(parsed, repeat, once)
    print_repeats(answer)
    return answer


def resume(
    run: RunId, on: On = None, progress: ProgressForm = Form.auto, *, quiet: bool = False, debug: bool = False
) -> dict[str, Any]:
    """Continue an interrupted run. Trials that have finished do not run again."""
    from ray_pipeline.resuming import resume as continue_run

    folder, where = run_folder(run, on), where_of(on) if on else None
    release = _shown(lambda shown: continue_run(folder, where, progress=shown, debug=debug), quiet, progress)
    return release.as_json()


def retrain(
    name: ModelName,
    to: To = None,
    window: Window = None,
    on: On = None,
    registry: RegistryUri = None,
    progress: ProgressForm = Form.auto,
    *,
    quiet: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Train a registered model again on newer data: the champion's spec with a new range, judged against the champion.

    `register: {promote: if_better}` in the spec makes the new version champion where it is better.
    """
    from ray_pipeline.retraining import naming_the_date, retrained

    where = where_of(on)
    spec = retrained(name, where, to=to, window=window, registry=registry)
    with naming_the_date(spec, name, where, window=window, registry=registry):
        there = where.model_copy(update={"registry": registry}) if registry else where
        from ray_pipeline import pipeline

        return _shown(lambda shown: pipeline.run(spec, there, progress=shown, debug=debug), quiet, progress).as_json()


def rerun(
    run: Manifest,
    on: On = None,
    verify: Verify = False,
    progress: ProgressForm = Form.auto,
    *,
    quiet: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Run again exactly what a run's manifest says.

    With --verify: exit code 3 if a stage gives other bytes, with the name of the first such stage.
    """
    from ray_pipeline.resuming import rerun as run_again
    from ray_pipeline.runtime.progress import progress as live_progress

    with live_progress(quiet, of=_kind(progress)) as shown:
        answer = run_again(run, where_of(on) if on else None, verify=verify, progress=shown, debug=debug)
    same = f", byte for byte: {', '.join(answer['same'])}" if verify else ""
    typer.echo(f"{answer['run']}: {answer['status']}{same} (as {answer['rerun']})")
    return answer


def _shown(work: "Callable[[Progress], Release]", quiet: bool, form: Form) -> "Release":
    """The release of a run, after it was shown while it ran and printed at its end."""
    from ray_pipeline.cli.summary import print_run
    from ray_pipeline.runtime.progress import progress as live_progress

    began = time.monotonic()
    with live_progress(quiet, of=_kind(form)) as shown:
        release = work(shown)
    print_run(release.as_json(), release.findings, release.bias, time.monotonic() - began)
    return release


def _kind(form: Form) -> "type[Progress]":
    from ray_pipeline.runtime.progress import Progress
    from ray_pipeline.runtime.progress_json import JsonProgress

    return JsonProgress if form is Form.json else Progress
