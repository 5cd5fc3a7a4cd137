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
        from ray_pipeline.data.feast import resolved
        from ray_pipeline.runtime.plan import lay_out, on_this_machine
        from ray_pipeline.runtime.session import session
        from ray_pipeline.spec import Spec
        from ray_pipeline.spec.where import Where
        from ray_pipeline.tuning.estimate import estimate

        where = Where.find(on, spec.resolve().parent)
        known = Spec.from_file(spec, set_ or (), trust=where.trust)
        trials = known.search.trials
        known = resolved(known, where)
        if where.address == "local":
            layout = on_this_machine(where, trials)
        else:
            with session(where, debug):
                layout = lay_out(where, trials)
        told = estimate(known, where, layout)
        for line in told.lines(trials):
            typer.echo(line)
        return {"status": "ok", **told.as_json()}
