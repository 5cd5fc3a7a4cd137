"""The verbs that use a registered model: predict, evaluate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import Answer, verb
from ray_pipeline.cli.run import On

Model = Annotated[str, typer.Argument(help="name@alias, name/version or models:/...", show_default=False)]
Rows = Annotated[str, typer.Option("--rows", help="Parquet: label rows, joined as training was.", show_default=False)]
RegistryUri = Annotated[
    str | None,
    typer.Option("--registry", help="The registry's URI, where it is not the cluster file's.", show_default=False),
]


def add(app: typer.Typer) -> None:
    """Adds predict and evaluate."""

    @verb(app, "predict")
    def predict(
        model: Model,
        rows: Rows,
        out: Annotated[Path, typer.Option("--out", help="Where to write: one Parquet file.", show_default=False)],
        on: On = None,
        registry: RegistryUri = None,
        *,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Score rows in a stream: key, score, decision. Never drops or reorders a row; needs no label."""
        from ray_pipeline.registered_model import predict_rows

        told = predict_rows(model, rows, out, _where(on), registry, debug=debug)
        typer.echo(f"{told['rows']:,} rows scored by {told['model']} into {told['out']}")
        return told

    @verb(app, "evaluate")
    def evaluate(
        model: Model,
        rows: Rows,
        on: On = None,
        registry: RegistryUri = None,
        revoke: Annotated[
            bool,
            typer.Option("--revoke", help="Where a gate fails, take the alias by which MODEL is named away from it."),
        ] = False,
        *,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Score a registered model on new labelled rows; slices, bias and gates; the scorecard goes to the version."""
        from ray_pipeline.cli.summary import figures
        from ray_pipeline.registered_model import evaluate_registered

        told = evaluate_registered(model, rows, _where(on), registry, revoke=revoke, debug=debug)
        figures(told)
        for row in told["drift"]:
            if row["severity"]:
                typer.echo(
                    f"  {row['column']} has moved from the training rows: population stability index {row['index']:.2f}"
                )
        if told["revoked"]:
            typer.echo(f"  {told['revoked']['alias']} was taken away from version {told['revoked']['from']}")
        if told["exit"]:
            raise Answer(told)
        return told


def _where(on: str | None) -> Any:
    from ray_pipeline.spec.where import Where

    return Where.find(on, Path())
