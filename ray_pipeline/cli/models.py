"""`ray-pipeline models`: what is registered, whether it is intact, and which version is champion."""

from typing import Annotated, Any

import typer

from ray_pipeline.cli.options import Model, On, RegistryUri, registry_of, where_of
from ray_pipeline.cli.summary import against_champion
from ray_pipeline.cli.table import cell, print_table

Force = Annotated[bool, typer.Option("--force", help="Promote without a passed scorecard; --reason is then required.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a registered model.", show_default=False)]
Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="The reason, for the model's journal.", show_default=False),
]


def list_models(on: On = None, registry: RegistryUri = None, debug: bool = False) -> dict[str, Any]:
    """List every model with its versions, aliases and status."""
    models = registry_of(on, registry, debug=debug).list()
    keys = ("version", "status", "scorecard", "aliases", "family", "run", "created")
    print_table(
        ("MODEL", *(key.upper() for key in keys)),
        [(model["name"], *(version[key] for key in keys)) for model in models for version in model["versions"]],
    )
    return {"models": models}


def show(model: Model, on: On = None, registry: RegistryUri = None, debug: bool = False) -> dict[str, Any]:
    """Show all that is known of a version: metrics, gates, lineage, and when it was champion."""
    detail: dict[str, Any] = registry_of(on, registry, debug=debug).show(model)
    for key in ("model", "status", "scorecard", "aliases", "family", "run", "created", "artifacts"):
        typer.echo(f"{key:<12}{cell(detail[key])}")
    for title in ("metrics", "params", "tags"):
        _print_section(
            _titled(title, detail), ("NAME", "VALUE"), [(key, _number(value)) for key, value in detail[title].items()]
        )
    _print_section("lineage", ("WHAT", "WHICH"), _lineage(detail))
    gates = [(gate["gate"], "yes" if gate["passed"] else "no", _gate_value(gate)) for gate in detail["gates"]]
    _print_section(_titled("gates", detail), ("GATE", "PASSED", "VALUE"), gates)
    keys = ("when", "who", "action", "from", "to", "why")
    moves = [tuple(move[key] for key in keys) for move in detail["journal"]]
    _print_section("champion", tuple(key.upper() for key in keys), moves)
    return detail


def verify(model: Model, on: On = None, registry: RegistryUri = None, debug: bool = False) -> dict[str, Any]:
    """Check every file of a version, and score its stored rows again in a fresh process."""
    proof = registry_of(on, registry, debug=debug).verify(model)
    typer.echo(f"{proof['model']}: {proof['files']} files as stored, {proof['rows']} rows scored the same bit for bit")
    return {"status": "verified", **proof}


def promote(
    model: Model,
    on: On = None,
    registry: RegistryUri = None,
    force: Force = False,
    reason: Reason = None,
    debug: bool = False,
) -> dict[str, Any]:
    """Make a version champion. Its scorecard must have passed."""
    move = registry_of(on, registry, debug=debug).promote(model, force=force, reason=reason)
    from ray_pipeline.registry.address import ModelName

    return _moved(model, ModelName.parse(model).name, move, on)


def rollback(
    name: Name, on: On = None, registry: RegistryUri = None, reason: Reason = None, debug: bool = False
) -> dict[str, Any]:
    """Make the champion before the present one champion again."""
    return _moved(name, name, registry_of(on, registry, debug=debug).rollback(name, reason=reason), on)


def _moved(model: str, name: str, move: dict[str, Any], on: str | None) -> dict[str, Any]:
    """The answer to a move of the champion, after it was printed and the hook of the cluster file was told."""
    before = f"version {move['from']}" if move["from"] else "none"
    typer.echo(
        f"{model}: champion is version {move['to']} already"
        if move["action"] == "none"
        else f"{model}: champion is now version {move['to']} (before: {before})"
    )
    if on and move["action"] != "none":
        from ray_pipeline.events.hooks import tell_move

        tell_move(where_of(on), "promoted", name, move["to"], move)
    status = {"none": "unchanged", "rollback": "rolled back"}.get(move["action"], "promoted")
    return {"status": status, **move}


def _lineage(detail: dict[str, Any]) -> list[tuple[str, Any]]:
    """Where the version came from: run, spec, tables, libraries, and the run of its warm start."""
    data = detail["data"] or {}
    tables = [
        (
            f"data {name}",
            f"{table['fingerprint'][:12]}: {len(table.get('file_sha256', ()))} files,"
            f" {len(table.get('column_sha256', ()))} columns",
        )
        for name, table in data.get("tables", {}).items()
    ]
    return [
        ("run", detail["run"]),
        ("spec", detail["tags"].get("fingerprint", "")[:12]),
        *tables,
        ("environment", ", ".join(f"{name} {version}" for name, version in data.get("environment", {}).items())),
        ("parent", data.get("parent")),
    ]


def _titled(title: str, detail: dict[str, Any]) -> str:
    """The title, and which rows the numbers below it are of."""
    return f"{title} of {rows}" if (rows := detail.get(f"{title}_of")) and detail[title] else title


def _number(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, int | float) else value


def _gate_value(gate: dict[str, Any]) -> str:
    return against_champion(gate, cell(_number(gate.get("value"))))


def _print_section(title: str, heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    typer.echo(f"\n{title}")
    print_table((f"  {heads[0]}", *heads[1:]), [(f"  {first}", *others) for first, *others in rows])
