"""`check`, `render` and `schema`: everything that can be said of a spec without Ray and without reading rows."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import Answer, verb
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.")]
On = Annotated[str | None, typer.Option("--on", help="A cluster file, or the name of one in cluster/ beside the spec.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replaces a key of the spec; may be given again.")
]


def add(app: typer.Typer) -> None:
    """Adds the three verbs."""
    verb(app, "check")(check)
    verb(app, "render")(render)
    verb(app, "schema")(schema)


def check(spec: SpecFile, on: On = None, set: Sets = None) -> dict[str, Any]:
    """Everything that can be known of SPEC without Ray and without reading rows: every problem, not the first."""
    from ray_pipeline.data.feast import resolved
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.footers import read_first_footers
    from ray_pipeline.spec.where import Where

    textual: list[Problem] = []
    of_data: list[Problem] = []
    of_cluster: tuple[Problem, ...] = ()
    known = where = seen = None
    try:
        where = Where.find(on, spec.resolve().parent)
    except SpecError as error:
        of_cluster = error.problems
    try:
        known = Spec.from_file(spec, set or (), trust=where.trust if where else None)
        textual += known.not_installed()
    except SpecError as error:
        textual += error.problems
        with suppress(SpecError):  # an untrusted name does not hide what is wrong with the data
            known = Spec.from_file(spec, set or ())
    textual += of_cluster
    if known and where:
        try:
            known = resolved(known, where)
            seen = read_first_footers(known, where)
            of_data += seen.problems
        except PipelineError as error:
            (textual if isinstance(error, SpecError) else of_data).extend(error.problems)
    problems = [*textual, *of_data]
    fingerprint = known.fingerprint if known else None
    if problems:
        code = SpecError.exit_code if textual else DataError.exit_code
        raise Answer(
            {
                "status": "error",
                "exit": code,
                "fingerprint": fingerprint,
                "problems": [problem.as_json() for problem in problems],
            }
        )
    if known and seen:
        for line in _summary(known, {name: len(schema.names) for name, schema in seen.schemas.items()}):
            typer.echo(line)
    return {"status": "ok", "fingerprint": fingerprint, "problems": []}


def render(spec: SpecFile, set: Sets = None) -> dict[str, Any]:
    """Prints SPEC with every default filled in."""
    from ray_pipeline.spec import Spec

    known = Spec.from_file(spec, set or ())
    typer.echo(known.render(), nl=False)
    return {"fingerprint": known.fingerprint, "spec": known.as_data(), "problems": []}


def schema() -> dict[str, Any]:
    """Prints the JSON schema of a spec, for editors."""
    from ray_pipeline.spec import Spec

    written = Spec.json_schema()
    typer.echo(json.dumps(written, indent=2))
    return {"schema": written, "problems": []}


def _summary(spec: Any, widths: dict[str, int]) -> list[str]:
    lines = [f"{spec.name}: {spec.task}, label {spec.features.labels.label!r}"]
    for name, table in spec.features.all.items():
        columns = "every column" if table.columns is None else f"{len(table.columns)} named"
        has = f" of {widths[name]}" if name in widths else " (not looked at)"
        how = "" if name == "labels" else f", as of {spec.features.labels.time}" if table.time else ", looked up"
        lines.append(f"  {name:<10} {table.path}: {columns}{has}{how}")
    split = ", ".join(f"{key} {value}" for key, value in spec.as_data()["split"].items() if value not in (None, False))
    lines += [
        f"  {'split':<10} {split}",
        f"  {'model':<10} {', '.join(spec.model)}, {spec.search.trials} trials by {spec.search.metric}",
    ]
    lines += [f"  {'gates':<10} {gate.text}" for gate in spec.gates] or [f"  {'gates':<10} none: any model passes"]
    return [*lines, f"no problem found ({spec.fingerprint[:8]})"]
