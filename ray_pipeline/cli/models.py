"""`ray-pipeline models`: what is registered, whether it is what it says, and which version is champion."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import verb

On = Annotated[str | None, typer.Option("--on", metavar="C", help="The cluster file whose registry is meant.")]
Uri = Annotated[str | None, typer.Option("--registry", metavar="URI", help="The registry's MLflow address.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="name@alias, name/version or models:/...")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the model's journal.")]


def add(app: typer.Typer) -> None:
    """Adds the `models` sub-command."""
    models = typer.Typer(help="List, show, verify, promote and roll back registered models.", no_args_is_help=True)
    app.add_typer(models, name="models")

    @verb(models, "list")
    def list_models(on: On = None, registry: Uri = None, debug: bool = False) -> dict[str, Any]:
        """Every model with its versions, aliases and status."""
        found = _registry(on, registry, debug).list()
        _table(
            ("MODEL", "VERSION", "STATUS", "SCORECARD", "ALIASES", "FAMILY", "RUN", "CREATED"),
            [_row(model["name"], version) for model in found for version in model["versions"]],
        )
        return {"models": found}

    @verb(models, "show")
    def show(model: Model, on: On = None, registry: Uri = None, debug: bool = False) -> dict[str, Any]:
        """Everything known of one version: metrics, gates, lineage, and who made it champion."""
        found: dict[str, Any] = _registry(on, registry, debug).show(model)
        for key in ("model", "status", "scorecard", "aliases", "family", "run", "created", "artifacts"):
            value = found[key]
            typer.echo(
                f"{key:<12}{', '.join(value) if isinstance(value, list) else value if value is not None else '-'}"
            )
        for title in ("metrics", "params", "tags"):
            typer.echo(f"\n{title}")
            _table(
                ("  NAME", "VALUE"),
                [
                    (f"  {key}", value if isinstance(value, str) else f"{value:.6g}")
                    for key, value in found[title].items()
                ],
            )
        typer.echo("\nlineage")
        _table(("  WHAT", "WHICH"), _lineage(found))
        typer.echo("\ngates")
        _table(
            ("  GATE", "PASSED", "VALUE"),
            [
                (f"  {gate['gate']}", "yes" if gate["passed"] else "no", _number(gate.get("value")))
                for gate in found["gates"]
            ],
        )
        typer.echo("\nchampion")
        _table(
            ("  WHEN", "WHO", "ACTION", "FROM", "TO", "WHY"),
            [
                (f"  {move['when']}", move["who"], move["action"], move["from"], move["to"], move["why"])
                for move in found["journal"]
            ],
        )
        return found

    @verb(models, "verify")
    def verify(model: Model, on: On = None, registry: Uri = None, debug: bool = False) -> dict[str, Any]:
        """Hashes every file again and scores the stored rows again, bit for bit, in a fresh process."""
        proof = _registry(on, registry, debug).verify(model)
        typer.echo(
            f"{proof['model']}: {proof['files']} files as stored, {proof['rows']} rows scored the same bit for bit"
        )
        return {"status": "verified", **proof}

    @verb(models, "promote")
    def promote(
        model: Model,
        on: On = None,
        registry: Uri = None,
        force: Annotated[bool, typer.Option("--force", help="Without a passed scorecard; asks for --reason.")] = False,
        reason: Reason = None,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Makes a version champion; its scorecard must have passed."""
        return _moved(model, _registry(on, registry, debug).promote(model, force=force, reason=reason))

    @verb(models, "rollback")
    def rollback(
        name: Annotated[str, typer.Argument(metavar="NAME")],
        on: On = None,
        registry: Uri = None,
        reason: Reason = None,
        debug: bool = False,
    ) -> dict[str, Any]:
        """Makes the champion before the present one champion again."""
        return _moved(name, _registry(on, registry, debug).rollback(name, reason=reason))


def _registry(on: str | None, uri: str | None, debug: bool) -> Any:
    from ray_pipeline.registry import Registry

    if uri:
        return Registry(uri, debug=debug)
    if on:
        from ray_pipeline.spec.where import Where

        return Registry(Where.find(on, Path.cwd()).registry_uri(Path.cwd()), debug=debug)
    return Registry.default(debug=debug)


def _moved(model: str, move: dict[str, Any]) -> dict[str, Any]:
    before = f"version {move['from']}" if move["from"] else "none"
    typer.echo(
        f"{model}: champion is version {move['to']} already"
        if move["action"] == "none"
        else f"{model}: champion is now version {move['to']} (before: {before})"
    )
    return {
        "status": (
            "unchanged" if move["action"] == "none" else "promoted" if move["action"] != "rollback" else "rolled back"
        ),
        **move,
    }


def _row(name: str, version: dict[str, Any]) -> tuple[Any, ...]:
    return (
        name,
        version["version"],
        version["status"],
        version["scorecard"],
        ", ".join(version["aliases"]),
        version["family"],
        version["run"],
        version["created"],
    )


def _lineage(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """Where the version came from, in lines: spec, each table, code and libraries, the run that it began from."""
    data = found["data"] or {}
    tables = [
        (
            f"  data {name}",
            (
                f"{told['fingerprint'][:12]}: {len(told.get('file_sha256', ()))} files,"
                f" {len(told.get('column_sha256', ()))} columns"
            ),
        )
        for name, told in data.get("tables", {}).items()
    ]
    environment = ", ".join(f"{name} {version}" for name, version in data.get("environment", {}).items())
    return [
        ("  run", found["run"]),
        ("  spec", found["tags"].get("fingerprint", "")[:12]),
        *tables,
        ("  environment", environment),
        ("  parent", data.get("parent")),
    ]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}"


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Plain columns, for people and for `grep`."""
    texts = [heads, *([str(cell) if cell not in (None, "") else "-" for cell in row] for row in rows)]
    widths = [max(len(text[column]) for text in texts) for column in range(len(heads))]
    for text in texts if rows else [("  none" if heads[0].startswith(" ") else "none",)]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=False)).rstrip())
