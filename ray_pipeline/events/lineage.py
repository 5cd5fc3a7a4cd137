"""The OpenLineage events of one run: START when it begins, then COMPLETE, FAIL or (interrupted) ABORT."""

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.data.sql_tables import absolute_url
from ray_pipeline.errors import Interrupted
from ray_pipeline.events import openlineage
from ray_pipeline.events.delivery import append_line, beside, body_of, failure_of, post, warn
from ray_pipeline.spec.environment import expand

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

START_S, END_S = 5.0, 10.0
"""At its end, a run waits so long for the delivery of START, and then for that of the last event."""
API_KEY = "OPENLINEAGE_API_KEY"
"""The environment variable with the key of the server, as for other clients of OpenLineage."""


@contextmanager
def lineage(run: "Run") -> Iterator[None]:
    """Send the events of the run that the block makes, if the cluster file says where to.

    START is sent beside the run. At its end, the run waits for both events, up to `START_S` and `END_S`. What cannot be
    delivered is one warning, never an error.
    """
    if (sink := run.where.lineage_sink()) is None:
        yield
        return
    run_id = str(uuid.uuid4())
    start = beside(lambda: _deliver(sink, _event(run, "START", run_id)))
    try:
        yield
    except BaseException as error:
        state: openlineage.State = "ABORT" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAIL"
        failed = error
        _end(start, state, lambda: _deliver(sink, _event(run, state, run_id, failed)))
        raise
    _end(start, "COMPLETE", lambda: _deliver(sink, _event(run, "COMPLETE", run_id)))


def _end(start: Future[None], state: openlineage.State, deliver: Callable[[], None]) -> None:
    """Deliver the last event after the first one; warn once if one of them is lost."""
    failures = {"START": failure_of(start, START_S), state: failure_of(beside(deliver), END_S)}
    if lost := {name: failure for name, failure in failures.items() if failure}:
        reasons = "; ".join(dict.fromkeys(lost.values()))
        warn(f"OpenLineage did not get {' and '.join(lost)}: {reasons}")


def _deliver(sink: str, event: openlineage.Json) -> None:
    if "://" not in sink:
        append_line(Path(sink), body_of(event))
        return
    key = os.environ.get(API_KEY)
    post(sink, body_of(event), {"Authorization": f"Bearer {key}"} if key else {})


def _event(run: "Run", state: openlineage.State, run_id: str, error: BaseException | None = None) -> openlineage.Json:
    """The event of the run as far as it has come."""
    release, outputs = run.release, list[openlineage.Json]()
    known = openlineage.table_facets(run.profile) if run.profile else {}
    facets: dict[str, Any] = openlineage.engine(run.versions["ray"], run.id, run.spec.fingerprint)
    if error is not None:
        facets["errorMessage"] = {"message": str(error) or type(error).__name__, "programmingLanguage": "python"}
    if release is not None:
        facets |= openlineage.gates_facet(release.gates)
        if release.version is not None:
            outputs = [openlineage.model_dataset(run.registry.uri, run.spec.name, release.version)]
    return openlineage.run_event(
        state,
        run_id=run_id,
        run=facets,
        job=run.spec.name,
        inputs=[openlineage.with_facets(dataset, known.get(name, {})) for name, dataset in _tables(run)],
        outputs=outputs,
    )


def _tables(run: "Run") -> Iterator[tuple[str, openlineage.Json]]:
    """The dataset of each table: of a query its database, of others their file, folder or object."""
    for name, table in run.spec.features.all.items():
        if table.kind == "sql":
            url = absolute_url(expand(table.parameters["url"]), run.where, run.spec)
            yield name, openlineage.query_dataset(url, table.parameters["query"])
        else:
            yield name, openlineage.table_dataset(run.where.resolve(table.path, run.spec.folder))
