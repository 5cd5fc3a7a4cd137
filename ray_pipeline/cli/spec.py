"""The verbs that say what can be known of a spec without reading rows: check, render, schema, plan."""

import json
from contextlib import suppress
from typing import Any

import typer

from ray_pipeline.cli.options import On, Sets, SpecFile, where_of
from ray_pipeline.cli.output import Answer
from ray_pipeline.errors import DataError, PipelineError, Problem, SpecError


def check(spec: SpecFile, on: On = None, set: Sets = None) -> dict[str, Any]:
    """Check a spec without Ray and without reading rows, and print every problem."""
    from ray_pipeline.data.check_tables import check_tables
    from ray_pipeline.data.feast import with_feast_tables
    from ray_pipeline.spec import Spec

    of_text, of_data, of_cluster = list[Problem](), list[Problem](), list[Problem]()
    parsed = where = tables = None
    try:
        where = where_of(on, spec.resolve().parent)
    except SpecError as error:
        of_cluster += error.problems
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
            tables = check_tables(parsed, where)
            of_data += tables.problems
        except PipelineError as error:
            (of_text if isinstance(error, SpecError) else of_data).extend(error.problems)
    fingerprint = parsed.fingerprint if parsed else None
    if problems := [problem.as_json() for problem in (*of_text, *of_data)]:
        code = SpecError.exit_code if of_text else DataError.exit_code
        raise Answer({"status": "error", "exit": code, "fingerprint": fingerprint, "problems": problems})
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


def plan(spec: SpecFile, on: On = None, set: Sets = None, *, debug: bool = False) -> dict[str, Any]:
    """Print what a run takes: rows, bytes, memory, trials at once.

    Reads the Parquet footers only. Exit code 4 if no trial fits into the memory.
    """
    from ray_pipeline.data.feast import with_feast_tables
    from ray_pipeline.runtime.layout import layout_on_cluster, layout_on_this_machine
    from ray_pipeline.runtime.session import session
    from ray_pipeline.spec import Spec
    from ray_pipeline.tuning.estimate import estimate

    where = where_of(on, spec.resolve().parent)
    parsed = Spec.from_file(spec, set or (), trust=where.trust)
    parsed, trials = with_feast_tables(parsed, where), parsed.search.trials
    if where.address == "local":
        layout = layout_on_this_machine(where, trials, uses_gpu=parsed.uses_gpu)
    else:
        with session(where, debug):
            layout = layout_on_cluster(where, trials, uses_gpu=parsed.uses_gpu)
    needs = estimate(parsed, where, layout)
    for line in needs.lines(trials):
        typer.echo(line)
    return {"status": "ok", **needs.as_json()}


def _summary(spec: Any, num_columns: dict[str, int]) -> list[str]:
    """The tables, the split, the search and the gates, one line each."""
    lines = [f"{spec.name}: {spec.task}, label {spec.features.labels.label!r}"]
    for name, table in spec.features.all.items():
        columns = "every column" if table.columns is None else f"{len(table.columns)} named"
        of = f" of {num_columns[name]}" if name in num_columns else " (not looked at)"
        join = "" if name == "labels" else f", as of {spec.features.labels.time}" if table.time else ", looked up"
        lines.append(f"  {name:<10} {table.path}: {columns}{of}{join}")
    split = ", ".join(f"{key} {value}" for key, value in spec.as_data()["split"].items() if value not in (None, False))
    return [
        *lines,
        f"  {'split':<10} {split}",
        f"  {'model':<10} {', '.join(spec.model)}, {spec.search.trials} trials by {spec.search.metric}",
        *(f"  {'gates':<10} {text}" for text in [gate.text for gate in spec.gates] or ["none: any model passes"]),
        f"no problem found ({spec.fingerprint[:8]})",
    ]
