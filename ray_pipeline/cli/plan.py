"""`plan SPEC`: what a run will take and whether it fits, from footers alone, with the arithmetic."""

from typing import Any

import typer

from ray_pipeline.cli.output import verb
from ray_pipeline.cli.spec import On, Sets, SpecFile


def add(app: typer.Typer) -> None:
    """Adds the verb."""

    @verb(app, "plan")
    def plan(spec: SpecFile, on: On = None, set_: Sets = None, *, debug: bool = False) -> dict[str, Any]:
        """Say what a run will take, from Parquet footers alone: rows, bytes, memory, how many trials at once; exit 4 if
        nothing fits."""
        from ray_pipeline.data.feast import with_feast_tables
        from ray_pipeline.runtime.layout import layout_on_cluster, layout_on_this_machine
        from ray_pipeline.runtime.session import session
        from ray_pipeline.spec import Spec
        from ray_pipeline.spec.where import Where
        from ray_pipeline.tuning.estimate import estimate

        known = Spec.from_file(spec, set_ or ())
        where, trials = Where.find(on, known.folder), known.search.trials
        known = with_feast_tables(known, where)
        if where.address == "local":
            layout = layout_on_this_machine(where, trials)
        else:
            with session(where, debug):
                layout = layout_on_cluster(where, trials)
        told = estimate(known, where, layout)
        for line in told.lines(trials):
            typer.echo(line)
        return {"status": "ok", **told.as_json()}
