"""`plan SPEC`: what a run takes and whether it fits, from Parquet footers alone, with the arithmetic."""

from typing import Any

import typer

from ray_pipeline.cli.options import On, Sets, SpecFile, where_of


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
    trials = parsed.search.trials
    parsed = with_feast_tables(parsed, where)
    if where.address == "local":
        layout = layout_on_this_machine(where, trials)
    else:
        with session(where, debug):
            layout = layout_on_cluster(where, trials)
    needs = estimate(parsed, where, layout)
    for line in needs.lines(trials):
        typer.echo(line)
    return {"status": "ok", **needs.as_json()}
