"""`check`, `render` and `schema`: all that can be said of a spec without Ray and without reading rows."""

import json
from contextlib import suppress
from typing import Any

import typer

from ray_pipeline.cli.options import On, Sets, SpecFile, where_of
from ray_pipeline.cli.output import Answer
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError


def check(spec: SpecFile, on: On = None, set: Sets = None) -> dict[str, Any]:
    """Check a spec without Ray and without reading rows, and print every problem."""
    from ray_pipeline.data.feast import with_feast_tables
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.footers import read_first_footers

    of_text: list[Problem] = []
    of_data: list[Problem] = []
    of_cluster: tuple[Problem, ...] = ()
    parsed = where = tables = None
    try:
        where = where_of(on, spec.resolve().parent)
    except SpecError as error:
        of_cluster = error.problems
    try:
        parsed = Spec.from_file(spec, set or (), trust=where.trust if where else None)
        of_text += parsed.not_installed()
    except SpecError as error:
        of_text += error.problems
        with suppress(SpecError):  # an untrusted name does not hide what is wrong with the data
            parsed = Spec.from_file(spec, set or ())
    of_text += of_cluster
    if parsed and where:
        try:
            parsed = with_feast_tables(parsed, where)
            tables = read_first_footers(parsed, where)
            of_data += tables.problems
        except PipelineError as error:
            (of_text if isinstance(error, SpecError) else of_data).extend(error.problems)
    fingerprint, problems = parsed.fingerprint if parsed else None, [*of_text, *of_data]
    if problems:
        raise Answer(
            {
                "status": "error",
                "exit": SpecError.exit_code if of_text else DataError.exit_code,
                "fingerprint": fingerprint,
                "problems": [problem.as_json() for problem in problems],
            }
        )
    if parsed and tables:
        for line in _summary(parsed, {name: len(schema.names) for name, schema in tables.schemas.items()}):
            typer.echo(line)
    return {"status": "ok", "fingerprint": fingerprint, "problems": []}


def render(spec: SpecFile, set: Sets = None) -> dict[str, Any]:
    """Print a spec with every default filled in."""
    from ray_pipeline.spec import Spec

    parsed = Spec.from_file(spec, set or ())
    typer.echo(parsed.render(), nl=False)
    return {"fingerprint": parsed.fingerprint, "spec": parsed.as_data(), "problems": []}


def schema() -> dict[str, Any]:
    """Print the JSON schema of a spec, for editors."""
    from ray_pipeline.spec import Spec

    json_schema = Spec.json_schema()
    typer.echo(json.dumps(json_schema, indent=2))
    return {"schema": json_schema, "problems": []}


def _summary(spec: Any, num_columns: dict[str, int]) -> list[str]:
    """The tables, the split, the search and the gates, one line each."""
    lines = [f"{spec.name}: {spec.task}, label {spec.features.labels.label!r}"]
    for name, table in spec.features.all.items():
        columns = "every column" if table.columns is None else f"{len(table.columns)} named"
        of = f" of {num_columns[name]}" if name in num_columns else " (not looked at)"
        join = "" if name == "labels" else f", as of {spec.features.labels.time}" if table.time else ", looked up"
        lines.append(f"  {name:<10} {table.path}: {columns}{of}{join}")
    split = ", ".join(f"{key} {value}" for key, value in spec.as_data()["split"].items() if value not in (None, False))
    lines += [
        f"  {'split':<10} {split}",
        f"  {'model':<10} {', '.join(spec.model)}, {spec.search.trials} trials by {spec.search.metric}",
    ]
    lines += [f"  {'gates':<10} {gate.text}" for gate in spec.gates] or [f"  {'gates':<10} none: any model passes"]
    return [*lines, f"no problem found ({spec.fingerprint[:8]})"]
