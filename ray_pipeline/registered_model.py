"""A registered model on new rows: scored in a stream, or judged again after registration."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import KEY, LABEL, WEIGHT
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.evaluation.champion import champion_of
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.latency import latency_ms, size_mb
from ray_pipeline.evaluation.predict import predict_stream, put_bundle
from ray_pipeline.preprocessing.encode import clusters_of, name_slices
from ray_pipeline.profiling import drift
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runs.run_folder import plain
from ray_pipeline.runtime.session import arrow_blocks, session
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import Predictions

STREAM_BYTES = 1 << 30


def apply(
    model: str, rows: str, out: Path, where: Where, registry: str | None, *, debug: bool = False
) -> dict[str, Any]:
    """Scores every row at a path into one Parquet file; how many, by which model."""
    with _opened(model, where, registry, debug) as (_, bundle, spec):
        table = read(spec, where, rows=str(Path(rows).absolute()) if "://" not in rows else rows, labelled=False)
        begun = time.monotonic()
        written = predict_stream(bundle, table, spec.features.labels.key, out.absolute())
        seconds = round(time.monotonic() - begun, 3)
    return {
        "status": "done",
        "exit": 0,
        "model": model,
        "rows": written,
        "out": str(out),
        "seconds": {"score": seconds},
        "problems": [],
    }


def reevaluate(
    model: str, rows: str, where: Where, registry: str | None, *, revoke: bool = False, debug: bool = False
) -> dict[str, Any]:
    """The scorecard of a registered model on new labelled rows, written to its version as well; exit 7 where a gate
    fails.

    Args:
        revoke: where a gate fails, take the alias by which the model was named away from it.
    """
    path = str(Path(rows).absolute()) if "://" not in rows else rows
    with _opened(model, where, registry, debug) as (known, bundle, spec):
        known_shapes = drift.from_json(known.file(model, "training.json") or {"columns": {}})
        scored, dropped, counts = _scored(bundle, spec, where, path, known_shapes)
        moved = drift.column_drift(known_shapes, counts)
        threshold = bundle.schema["threshold"]
        evaluation = evaluate(scored, threshold, spec)
        champion = champion_of(known, scored, spec, where, rows=path)
        verdict = judge(spec.gates, evaluation, scored, threshold, champion, latency_ms(bundle), size_mb(bundle), spec)
        scorecard = {**verdict.as_json(), "rows_path": path, "model": bundle.fingerprint}
        known.attach(model, "scorecard.json", {**scorecard, "drift": moved})
        failed = ", ".join(gate["gate"] for gate in scorecard["gates"] if not gate["passed"])
        revoked = known.revoke(model, reason=f"evaluate on {path}: {failed}") if revoke and not verdict.passed else None
    overall = {
        row.metric: {"value": row.value, "low": row.low, "high": row.high}
        for row in evaluation.measured
        if not row.slice
    }
    answer = {
        "status": "passed" if verdict.passed else "refused",
        "exit": 0 if verdict.passed else 7,
        "model": model,
        "metrics": overall,
        "gates": scorecard["gates"],
        "rows": {"scored": len(scored), "dropped": dropped},
        "slices": evaluation.as_json(),
        "bias": evaluation.bias_as_json(),
        "drift": moved,
        "revoked": revoked,
        "problems": [],
    }
    return plain(answer)  # type: ignore[return-value]


@contextmanager
def _opened(model: str, where: Where, registry: str | None, debug: bool) -> Iterator[tuple[Registry, Bundle, Spec]]:
    known = Registry(registry or where.registry_uri(Path.cwd()), debug=debug)
    bundle = Bundle.load(known.fetch(model))
    spec = Spec.from_text(bundle.schema["spec"], file=model, folder=Path(bundle.schema["base"]))
    with session(where, debug, STREAM_BYTES):
        yield known, bundle, spec


def _scored(
    bundle: Bundle, spec: Spec, where: Where, path: str, shapes: Mapping[str, drift.Histogram]
) -> tuple[Predictions, dict[str, int], dict[str, Any]]:
    """The scored rows, the rows dropped by their reason, and how many were in each bin of each column's training
    shape."""
    table, carried = read(spec, where, rows=path), put_bundle(bundle)
    maker, classes = table.row_builder, pa.array(bundle.schema["classes"], pa.string())
    edges, multiclass = bundle.schema["edges"], spec.task == "multiclass"

    def score_block(block: pa.Table) -> pa.Table:
        rows, counts = maker(block)
        names = name_slices(spec.slices, rows, edges, table)
        label = (
            pa.compute.index_in(rows[LABEL].cast(pa.string()), classes).cast(pa.float64())
            if multiclass
            else rows[LABEL]
        )
        columns = {f"slice:{name}": pa.array(values, pa.string()) for name, values in names.items()}
        score = list(carried.load().score(rows))
        scored = pa.table(
            {
                "key": rows[KEY],
                "label": label,
                "weight": rows[WEIGHT],
                "score": score,
                "cluster": clusters_of(rows, spec, table),
                **columns,
            }
        )
        told = {
            "scanned": counts.scanned,
            "where": counts.where,
            "null_label": counts.null_label,
            "shapes": {name: shape.count(rows[name]).tolist() for name, shape in shapes.items()},
        }
        return pa.table({"rows": pa.array([packed(scored)], pa.large_binary()), "told": [json.dumps(told)]})

    blocks = [entry for block in arrow_blocks(table.blocks(), score_block) for entry in block.to_pylist()]
    whole = [rows for entry in blocks if (rows := pa.ipc.open_stream(entry["rows"]).read_all()).num_rows]
    found = pa.concat_tables(whole) if whole else None
    if found is None or not found.num_rows:
        raise DataError(
            Problem(
                stage="evaluate",
                file=path,
                rows=0,
                found=f"0 of {table.num_rows:,} rows are left after `select` and the label rule",
                fix="name rows that have labels",
            )
        )
    if found["label"].null_count:
        raise DataError(
            Problem(
                stage="evaluate",
                file=path,
                rows=found["label"].null_count,
                found=f"{found['label'].null_count:,} rows have a class that the model does not know",
                fix=f"known classes: {', '.join(bundle.schema['classes'][:10])}",
            )
        )
    columns = {
        name.removeprefix("slice:"): found[name].to_numpy() for name in found.column_names if name.startswith("slice:")
    }
    scores = np.asarray(found["score"].to_pylist(), np.float64)
    scored = Predictions(
        spec.task,
        tuple(bundle.schema["classes"]),
        found["key"].to_numpy(),
        found["label"].to_numpy(),
        scores,
        found["weight"].to_numpy(),
        found["cluster"].to_numpy(),
        columns,
    )
    told = [json.loads(entry["told"]) for entry in blocks]
    sums = {name: sum(block[name] for block in told) for name in ("scanned", "where", "null_label")}
    by_scan = table.num_rows - table.out_of_range - sums["scanned"]
    dropped = {"null_label": sums["null_label"], "where": by_scan + sums["where"], "range": table.out_of_range}
    return scored, dropped, {name: np.sum([block["shapes"][name] for block in told], axis=0) for name in shapes}


def packed(table: pa.Table) -> bytes:
    """The table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
