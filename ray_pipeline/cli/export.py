"""The verb that takes a model away: export."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ray_pipeline.cli.options import Model, On, RegistryUri, registry_of, where_of

To = Annotated[Literal["onnx"], typer.Option("--to", help="The format.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The file to write. Default: model.onnx.", show_default=False),
]
Rows = Annotated[
    Path | None,
    typer.Option(
        "--rows",
        metavar="FILE",
        help="Rows to compare in place of those of the test part: Parquet or CSV, with the model's columns.",
        show_default=False,
    ),
]


def export(
    model: Model,
    to: To,
    out: Out = None,
    rows: Rows = None,
    on: On = None,
    registry: RegistryUri = None,
    debug: bool = False,
) -> dict[str, Any]:
    """Write a registered model as one file for other programs, and prove that it gives the same scores."""
    from ray_pipeline.serving.onnx_export import export_onnx

    known = registry_of(on, registry, debug=debug)
    answer = export_onnx(known, model, out or Path("model.onnx"), rows, where_of(on))
    typer.echo(
        f"{answer['out']}: {answer['bytes']:,} bytes; on {answer['rows']:,} rows onnxruntime differs by at most"
        f" {answer['largest_difference']:.2g}, and {answer['decisions_differ']} decisions differ"
    )
    if answer["empty_texts"]:
        typer.echo(
            f"  {answer['empty_texts']:,} rows with an empty text in a category were not compared: it is a missing"
            " value to ONNX, and another text to the model"
        )
    if answer["not_compared"]:
        typer.echo(
            f"  the rows of the test part were not compared: {answer['not_compared']} (--rows FILE names others)"
        )
    return answer
