"""A registered model on new rows: `predict` scores them as a stream, `evaluate` judges the model on them."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.choice import trust
from ray_pipeline.data.labels import class_names
from ray_pipeline.data.open_tables import open_source
from ray_pipeline.data.partitioned_join import JoinPlan
from ray_pipeline.data.read import read
from ray_pipeline.data.row_layout import rows_at, with_row_layout
from ray_pipeline.data.rows import KEY, LABEL, WEIGHT, RowCounts
from ray_pipeline.data.sql_tables import is_waiting, to_read_again, with_query_rows
from ray_pipeline.encoded_block import as_array, as_column, texts
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.evaluation.batch_predict import batch_predict, put_bundle
from ray_pipeline.evaluation.champion import champion
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.evaluation.score_drift import FILE as SCORES
from ray_pipeline.evaluation.score_drift import ScoreDrift
from ray_pipeline.evaluation.score_files import means_file, refuse_own_rows
from ray_pipeline.events.hooks import tell_move
from ray_pipeline.plain_json import plain
from ray_pipeline.preprocessing.encoded_rows import as_ipc
from ray_pipeline.preprocessing.slice_names import clusters_of, name_slices
from ray_pipeline.profiling.column_statistics import value_counts
from ray_pipeline.profiling.drift import column_drift
from ray_pipeline.profiling.drift import from_json as shapes_of
from ray_pipeline.profiling.known_rows import KnownRows
from ray_pipeline.profiling.profile import declared_kinds
from ray_pipeline.profiling.requirements import require_keys_and_times
from ray_pipeline.profiling.table_profile import dropped_rows
from ray_pipeline.registry.address import ModelName
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runtime.capacity import wait_for_capacity
from ray_pipeline.runtime.session import session
from ray_pipeline.runtime.this_machine import available_cpus
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.values import Predictions

STREAM_BYTES = 1 << 30
DROP_COUNTS = ("scanned", "where", "null_label", "null_key", "null_time")
SLICE = "slice:"
QUERIES = ".queries"
"""Where the rows of queries are, while a model is used on new rows."""
TRAINED = ("training.json", SCORES)
"""Files of a version that say what columns and scores were like."""


def predict_rows(
    model: str,
    rows: str | Path,
    out: str | Path,
    where: Where | None = None,
    registry: str | None = None,
    *,
    drift: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Score every row of a file or folder; return the JSON output of `predict`.

    Parameters
    ----------
    model
        `name@alias`, `name/version` or `models:/...`.
    rows
        The path of a file or folder: Parquet, or CSV.
    out
        The file to write, Parquet or CSV by its ending; without an ending a folder, which gets one file for each file
        of `rows`.
    where
        The cluster; this machine unless given.
    registry
        The address of the registry; that of `where` unless given.
    drift
        Measure how far columns and scores are from those of the training: `drift` and `score_drift` of the output.
    debug
        Lets Ray and MLflow log.
    """
    where, out = where or Where(), Path(out)
    means_file(out)
    known, bundle, spec = _fetched(model, where, registry, debug)
    spec, layout = with_row_layout(spec, rows_at(rows), bundle.columns)
    with ExitStack() as stack:
        spec = stack.enter_context(_with_queries(spec, where))
        here = where.address == "local" and all(_is_small(spec, where, name) for name in spec.features.tables)
        if not here:
            stack.enter_context(session(where, debug, STREAM_BYTES))
            wait_for_capacity(where, "try again")
        table = read(spec, where, rows=rows_at(rows), labelled=False, needed=bundle.columns, types=bundle.types)
        refuse_own_rows(out, str(rows), table.footers["labels"].files)
        measured = ScoreDrift.from_json(*(known.file(model, name) for name in TRAINED)) if drift else None
        began = time.monotonic()
        threads = available_cpus() if here else None
        written, files = batch_predict(bundle, table, out.absolute(), threads, measured)
        seconds = {"score": round(time.monotonic() - began, 3)}
    answer = {"status": "done", "exit": 0, "model": model, "rows": written, "out": str(out), "files": files}
    answer |= {"key": table.row_builder.key, "layout": layout}
    return {**answer, **(measured.as_json() if measured else {}), "seconds": seconds, "problems": []}


def evaluate_registered(
    model: str,
    rows: str | Path,
    where: Where | None = None,
    registry: str | None = None,
    *,
    revoke: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Judge a registered model on new labelled rows, and write the scorecard to its version.

    Parameters
    ----------
    model
        `name@alias`, `name/version` or `models:/...`.
    rows
        The path of the labelled rows.
    where
        The cluster; this machine unless given.
    registry
        The address of the registry; that of `where` unless given.
    revoke
        Where a gate fails, remove the alias that `model` names from the version.
    debug
        Lets Ray and MLflow log.

    Returns
    -------
    dict
        The JSON output of `evaluate`; its exit code is 7 where a gate fails.
    """
    where, path = where or Where(), rows_at(rows)
    known, bundle, spec = _fetched(model, where, registry, debug)
    spec, layout = with_row_layout(spec, path, bundle.columns)
    with _with_queries(spec, where) as spec, session(where, debug, STREAM_BYTES):
        wait_for_capacity(where, "try again")
        training = known.file(model, "training.json") or {"columns": {}}
        predictions, facts = _scored(bundle, spec.without_range(), where, path, training)
        evaluation = evaluate(predictions, spec)
        findings = [*facts["findings"], *(asdict(row.finding) for row in evaluation.bias if row.finding)]
        rival = champion(known, predictions, spec, where, rows=path)
        verdict = judge(evaluation, ServingCosts.of(bundle), rival, spec)
        scorecard = {**verdict.as_json(), "rows_path": path, "model": bundle.fingerprint}
        known.attach(model, "scorecard.json", {**scorecard, "drift": facts["drift"], "findings": findings})
        revoked = None
        if revoke and not verdict.passed:
            failed = ", ".join(gate["gate"] for gate in scorecard["gates"] if not gate["passed"])
            revoked = known.revoke(model, reason=f"evaluate on {path}: {failed}")
            tell_move(where, "revoked", ModelName.parse(model).name, revoked["from"], revoked)
    answer = {
        "status": "passed" if verdict.passed else "refused",
        "exit": 0 if verdict.passed else 7,
        "model": model,
        "metrics": evaluation.metrics_as_json(),
        "gates": scorecard["gates"],
        "rows": {"scored": len(predictions), "dropped": facts["dropped"]},
        "slices": evaluation.as_json(),
        "bias": evaluation.bias_as_json(),
        "drift": facts["drift"],
        "findings": findings,
        "revoked": revoked,
        "layout": layout,
        "problems": [],
    }
    return plain(answer)  # type: ignore[no-any-return]


def _is_small(spec: Spec, where: Where, name: str) -> bool:
    """Whether a feature table is joined from this process's memory."""
    footers = open_source(spec, where, name).footers()
    return JoinPlan.of(footers.bytes_of(footers.schema.names)[1]).how == "broadcast"


def _fetched(model: str, where: Where, registry: str | None, debug: bool) -> tuple[Registry, Bundle, Spec]:
    known = Registry(registry or where.registry_uri(Path.cwd()), debug=debug, trust_keys=where.key_files())
    trust(where.trust)
    bundle = Bundle.load(known.fetch(model))
    spec = Spec.from_text(bundle.schema["spec"], file=model, folder=Path(bundle.schema["base"]), trust=where.trust)
    return known, bundle, spec


@contextmanager
def _with_queries(spec: Spec, where: Where) -> Iterator[Spec]:
    """The spec with the rows that queries of its feature tables give now, which are removed at the end."""
    spec = to_read_again(spec)
    if not any(is_waiting(table) for table in spec.features.all.values()):
        yield spec
        return
    store = BlobStore(where.storage_folder(Path.cwd()))
    place = f"{QUERIES}/{uuid.uuid4().hex}"
    try:
        yield with_query_rows(
            spec, where, lambda name, content: store.write(f"{place}/{name}", content), store.address(place)
        )[0]
    finally:
        store.remove(place)


def _scored(
    bundle: Bundle, spec: Spec, where: Where, path: str, training: Mapping[str, Any]
) -> tuple[Predictions, dict[str, Any]]:
    """The scored rows; and the rows dropped by their reason, the drift, and whether the model was trained on them."""
    shapes, seen = shapes_of(training), KnownRows.from_json(training.get("rows"))
    table, bundle_ref = read(spec, where, rows=path, needed=bundle.columns, types=bundle.types), put_bundle(bundle)
    classes, trained = pa.array(bundle.schema["classes"], pa.string()), bundle.schema.get("label_type")
    kinds = declared_kinds(table, spec)
    edges, multiclass = bundle.schema["edges"], spec.task == "multiclass"

    def score_block(block: pa.Table) -> pa.Table:
        rows, counts = table.row_builder(block)
        label, unknown = rows[LABEL], dict[str, int]()
        if multiclass:
            given = class_names(label, trained)
            label = pa.compute.index_in(given, classes).cast(pa.float64())
            unknown = value_counts(given.filter(pa.compute.is_null(label)))
        names = name_slices(spec.slices, rows, edges, table)
        loaded = bundle_ref.load()
        rows = loaded.as_trained(rows)
        score, ends = loaded.score_and_ends(rows)
        scored = pa.table(
            {
                "key": rows[KEY],
                "label": label,
                "weight": rows[WEIGHT],
                "score": as_column(score),
                **({} if ends is None else {"ends": as_column(ends)}),
                "cluster": clusters_of(rows, spec, table),
                **{SLICE + name: pa.array(values, pa.string()).dictionary_encode() for name, values in names.items()},
            }
        )
        drift_counts = {name: shape.count(rows[name]).tolist() for name, shape in shapes.items()}
        facts = {**{name: getattr(counts, name) for name in DROP_COUNTS}, "shapes": drift_counts, "unknown": unknown}
        facts["seen"] = seen.count(rows, list(shapes), kinds)
        return pa.table(
            {"rows": pa.array([as_ipc(scored).to_pybytes()], pa.large_binary()), "facts": [json.dumps(facts)]}
        )

    blocks = [row for block in table.map_blocks(score_block) for row in block.to_pylist()]
    facts = [json.loads(row["facts"]) for row in blocks]
    sums = RowCounts(**{name: sum(block[name] for block in facts) for name in DROP_COUNTS})
    require_keys_and_times(sums, spec)
    tables = [rows for row in blocks if (rows := pa.ipc.open_stream(row["rows"]).read_all()).num_rows]
    if not tables:
        found = f"0 of {table.num_rows:,} rows are left after `select` and the label rule"
        raise DataError(Problem(stage="evaluate", file=path, rows=0, found=found, fix="name rows that have labels"))
    _require_known_classes(facts, bundle, path)
    predictions = _predictions(pa.concat_tables(tables), bundle, spec)
    counts = {name: np.sum([block["shapes"][name] for block in facts], axis=0) for name in shapes}
    judged, known = (sum(block["seen"][place] for block in facts) for place in (0, 1))
    finding = seen.finding(judged, known, len(predictions))
    return predictions, {
        "dropped": dropped_rows(table, sums),
        "drift": column_drift(shapes, counts),
        "findings": [asdict(finding)] if finding else [],
    }


def _require_known_classes(facts: Iterable[Mapping[str, Any]], bundle: Bundle, path: str) -> None:
    """Refuses rows of classes that the model does not know, with the most frequent ones."""
    unknown = sum((Counter(block["unknown"]) for block in facts), Counter[str]())
    if rows := unknown.total():
        shown = listed(f"{name!r} ({count:,} rows)" for name, count in unknown.most_common())
        found = f"{rows:,} rows have a class that the model does not know: {shown}"
        fix = f"known classes: {listed(bundle.schema['classes'], 10)}"
        raise DataError(Problem(stage="evaluate", file=path, rows=rows, found=found, fix=fix))


def _predictions(scored: pa.Table, bundle: Bundle, spec: Spec) -> Predictions:
    slices = [name for name in scored.column_names if name.startswith(SLICE)]
    score = as_array(scored["score"]).astype(np.float64)
    ends = as_array(scored["ends"]).astype(np.float64) if "ends" in scored.column_names else None
    return Predictions(
        task=spec.task,
        label_name=bundle.schema["label"],
        classes=tuple(bundle.schema["classes"]),
        threshold=bundle.schema["threshold"],
        key=scored["key"].to_numpy(),
        label=scored["label"].to_numpy(),
        score=score,
        weight=scored["weight"].to_numpy(),
        cluster=scored["cluster"].to_numpy(),
        regions=bundle.regions_of(score, ends),
        columns={name.removeprefix(SLICE): texts(scored[name]) for name in slices},
    )
