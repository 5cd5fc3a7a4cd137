"""The command `ray-pipeline`: one verb a function, every verb with `--json`, `--quiet` and `--debug`."""

import gc
import sys
from typing import Any

import typer

from ray_pipeline.cli import diff, jobs, models, plan, report, run, score, spec, ui
from ray_pipeline.cli.output import failure, to_json
from ray_pipeline.errors import Problem, SpecError

CommandError: Any = typer.BadParameter.__mro__[
    2
]  # ClickException: click's own, or that of the copy of click that typer brings
EPILOG = (
    "Exit codes: 0 done · 2 spec · 3 data · 4 resources · 5 registry · 6 storage · 7 gates refused · 8 no trial"
    " finished · 130 interrupted"
)


def build() -> typer.Typer:
    """The application with all of its verbs."""
    app = typer.Typer(
        name="ray-pipeline",
        help="One YAML file takes Parquet feature tables to a gated, registered model.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for verbs in (run, plan, spec, score, models, report, diff, ui, jobs):
        verbs.add(app)
    return app


def main() -> None:
    """Runs the command line; a wrong command line is answered like any other mistake (exit 2, JSON where asked)."""
    try:
        build()(standalone_mode=False)
    except typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except CommandError as error:
        usage = ctx.get_usage() if (ctx := getattr(error, "ctx", None)) else ""
        problem = Problem(
            key="command line",
            found=error.format_message(),
            fix=usage.replace("Usage:", "use").strip() or "see `ray-pipeline --help`",
        )
        typer.echo(str(problem), err=True)
        if "--json" in sys.argv:
            print(to_json(failure(SpecError(problem))), flush=True)
        raise SystemExit(2) from None
    finally:
        # else the interpreter's end looks through all that Ray, pandas and MLflow imported once more: 1.2 s of 1.4
        gc.freeze()
