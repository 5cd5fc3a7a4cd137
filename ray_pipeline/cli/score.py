"""The verbs that use a registered model: predict, evaluate."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.options import Model, On, RegistryUri, where_of
from ray_pipeline.cli.output import Answer
from ray_pipeline.errors import Problem, SpecError, listed, nearest

Rows = Annotated[
    str,
    typer.Option(
        "--rows",
        metavar="PATH",
        help="A file or folder with new rows, like those of the label table. Features are joined as in training.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="PATH",
        help="The file to write, *.parquet or *.csv. Without an ending: a folder, with a file for each one of --rows.",
        show_default=False,
    ),
]
FAIL_ON = ("gate", "drift")
FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="WHAT",
        help="What else ends with exit code 7: gate (nothing else), or drift (a column differs much from training).",
    ),
]
Revoke = Annotated[
    bool, typer.Option("--revoke", help="If a gate fails, remove the alias that MODEL names from its version.")
]
Drift = Annotated[
    bool, typer.Option("--drift", help="Measure how far columns and scores are from those of the training.")
]


class Failure(StrEnum):
    """What ends `predict` with exit 7."""

    drift = "drift"


FailOnDrift = Annotated[
    Failure | None,
    typer.Option(
        "--fail-on",
        metavar="drift",
        help=(
            "drift: exit 7 where the population stability index of a column or of the score, less what chance gives, is"
            " above 0.25."
        ),
        show_default=False,
    ),
]


def predict(
    model: Model,
    rows: Rows,
    out: Out,
    on: On = None,
    registry: RegistryUri = None,
    drift: Drift = False,
    fail_on: FailOnDrift = None,
    *,
    debug: bool = False,
) -> dict[str, Any]:
    """Score rows with a registered model and write key, score and decision.

    Rows keep their order, and none is dropped. They need no label.
    """
    from ray_pipeline.evaluation.score_drift import drifted
    from ray_pipeline.registered_model import predict_rows

    drift = drift or fail_on is not None
    answer = predict_rows(model, rows, out, where_of(on), registry, drift=drift, debug=debug)
    files = f" ({answer['files']} files)" if answer["files"] > 1 else ""
    typer.echo(f"{answer['rows']:,} rows scored by {answer['model']} into {answer['out']}{files}")
    _print_layout(answer)
    if answer["key"] is None:
        typer.echo("  the rows have no key: the scores are in their order")
    if drift:
        _print_drift(answer["drift"])
        _print_drift(answer["score_drift"], "those of the test part")
        if not answer["score_drift"]:
            typer.echo("  the version has no scores to compare with: it was registered before they were stored")
    if fail_on is not None and (moved := drifted([*answer["drift"], *answer["score_drift"]])):
        raise Answer({**answer, "status": "drifted", "exit": 7, "drifted": moved})
    return answer


def evaluate(
    model: Model,
    rows: Rows,
    on: On = None,
    registry: RegistryUri = None,
    revoke: Revoke = False,
    fail_on: FailOn = "gate",
    *,
    debug: bool = False,
) -> dict[str, Any]:
    """Evaluate a registered model on new labelled rows: metrics, slices, bias and gates.

    The scorecard is stored with the version. Ends with exit code 7 if a gate fails, or what --fail-on names.
    """
    if fail_on not in FAIL_ON:
        fix = f"{nearest(fail_on, FAIL_ON)}Known: {', '.join(FAIL_ON)}"
        raise SpecError(Problem(key="--fail-on", found=f"there is no {fail_on!r}", fix=fix))
    from ray_pipeline.cli.summary import print_bias, print_findings, print_scorecard, reason_of
    from ray_pipeline.evaluation.score_drift import drifted
    from ray_pipeline.registered_model import evaluate_registered

    answer = evaluate_registered(model, rows, where_of(on), registry, revoke=revoke, debug=debug)
    typer.echo(f"{model}: {'refused because' if answer['exit'] else 'passed:'} {reason_of(answer['gates'])}")
    _print_layout(answer)
    print_scorecard(answer)
    print_bias(answer["bias"])
    print_findings(answer["findings"])
    _print_drift(answer["drift"])
    if answer["revoked"]:
        typer.echo(f"  {answer['revoked']['alias']} was taken away from version {answer['revoked']['from']}")
    if fail_on == "drift" and (moved := drifted(answer["drift"])):
        typer.echo(f"  failed on drift of {listed(moved)}")
        answer = {**answer, "status": "refused", "exit": 7}
    if answer["exit"]:
        raise Answer(answer)
    return answer


def _print_layout(answer: dict[str, Any]) -> None:
    if answer["layout"]:
        typer.echo(f"  the rows are {answer['layout']}")


def _print_drift(rows: list[dict[str, Any]], known: str = "the training rows") -> None:
    from ray_pipeline.profiling.drift import described

    for row in rows:
        if row["severity"]:
            typer.echo(f"  {row['column']} differs from {known} by {described(row)}")
