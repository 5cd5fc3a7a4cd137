"""The command `ray-pipeline`: one function for each verb. Every verb has `--json`, `--quiet` and `--debug`."""

import gc
import io
import sys
from typing import Any

import typer

from ray_pipeline.cli import export, init, jobs, models, report, run, runs, score, spec, ui
from ray_pipeline.cli.output import Verb, add_verb, failure, print_json
from ray_pipeline.errors import Problem, SpecError

# ClickException: that of click, or of the copy of click that typer contains.
CommandError: Any = typer.BadParameter.__mro__[2]
VERBS: tuple[Verb, ...] = (
    *(init.init, run.run, run.resume, run.rerun, run.retrain),
    *(spec.plan, spec.check, spec.render, spec.schema),
    *(score.predict, score.evaluate, export.export),
    *(report.report, report.diff, ui.ui),
    *(jobs.submit, jobs.status, jobs.logs, jobs.stop),
)
MODEL_VERBS: tuple[Verb, ...] = (models.show, models.verify, models.promote, models.rollback)
RUN_VERBS: tuple[Verb, ...] = (runs.show, runs.clean)
EPILOG = (
    "Exit codes: 0 done · 2 spec · 3 data · 4 resources · 5 registry · 6 storage · 7 gates refused · 8 no trial"
    " finished · 130 interrupted"
)


def build() -> typer.Typer:
    """Return the application with all its verbs."""
    app = typer.Typer(
        name="ray-pipeline",
        help="One YAML file takes Parquet feature tables to a gated, registered model.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
    )
    for function in VERBS:
        add_verb(app, function)
    of_models = typer.Typer(help="List, show, verify, promote and roll back registered models.", no_args_is_help=True)
    app.add_typer(of_models, name="models")
    add_verb(of_models, models.list_models, "list")
    for function in MODEL_VERBS:
        add_verb(of_models, function)
    of_runs = typer.Typer(help="List, show and remove runs.", no_args_is_help=True)
    app.add_typer(of_runs, name="runs")
    add_verb(of_runs, runs.list_runs, "list")
    for function in RUN_VERBS:
        add_verb(of_runs, function)
    return app


def main() -> None:
    """Run the command line. A wrong command line ends like any other error in the spec: exit 2, and JSON on request."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may have characters that the terminal does not have
    try:
        build()(standalone_mode=False)
    except typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except CommandError as error:
        usage = ctx.get_usage() if (ctx := getattr(error, "ctx", None)) else ""
        problem = Problem(
            key="command line",
            found=error.format_message().replace("Value error, ", ""),  # pydantic's own words
            fix=usage.replace("Usage:", "use").strip() or "see `ray-pipeline --help`",
        )
        typer.echo(str(problem), err=True)
        if "--json" in sys.argv:
            print_json(failure(SpecError(problem)), sys.stdout)
        raise SystemExit(2) from None
    finally:
        # Without this, the interpreter searches all objects of Ray, pandas and MLflow for garbage when it ends: 1.2 s.
        gc.freeze()
