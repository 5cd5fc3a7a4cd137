"""Compare two runs by their plain files: what their specs ask for differently, and how the results differ."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ray_pipeline.report.run_files import JsonObject, RunFiles, flat, nested, number, objects_of

Pairs = list[dict[str, Any]]
SIDES = ("first", "second")
TABLES = ("spec", "data", "rows", "model", "versions", "seconds")
NOT_COMPARED = ("name", "register")  # keys of the spec
MAX_SLICES = 20


def compare(first: RunFiles, second: RunFiles) -> dict[str, Any]:
    """Return all that differs, as plain values; a number that is not known is None.

    `slices` has the slices with at least `evaluate.min_rows` rows in both runs, the largest difference first.
    `same_rows` says whether both runs were judged on the same test rows: only then is a difference in a metric a
    difference between the models.
    """
    both = (first, second)
    keys, tables = [_row_keys(files) for files in both], [_tables(files) for files in both]
    min_rows = [number(nested(files.spec, "evaluate").get("min_rows")) for files in both]
    most_rows = max((rows for rows in min_rows if math.isfinite(rows)), default=0.0)
    sliced = [
        [row for row in files.evaluation if row.get("slice") and number(row.get("rows")) >= most_rows] for files in both
    ]
    slices = [pair for pair in _pairs(*sliced) if pair["difference"] is not None]
    return {
        "first": first.run,
        "second": second.run,
        "same_rows": keys[0] is not None and keys[0] == keys[1],
        **{name: _differing(tables[0][name], tables[1][name]) for name in TABLES},
        "gates": _gates(first, second),
        "metrics": _pairs(first.overall.values(), second.overall.values()),
        "slices": sorted(slices, key=lambda pair: -abs(pair["difference"]))[:MAX_SLICES],
        "bias": _pairs(*([row for row in files.bias if row.get("reduction")] for files in both)),
    }


def _tables(files: RunFiles) -> dict[str, dict[str, Any]]:
    """The values of a run to compare, under dotted keys, for each of `TABLES`."""
    model = {key: files.model.get(key) for key in ("family", "rounds", "params", "validation")}
    spec = {key: value for key, value in files.spec.items() if key not in NOT_COMPARED}
    manifest = {name: nested(files.manifest, name) for name in ("data", "rows", "versions", "seconds")}
    return {name: dict(flat(value, ".")) for name, value in {"spec": spec, "model": model, **manifest}.items()}


def _pairs(first: Iterable[JsonObject], second: Iterable[JsonObject]) -> Pairs:
    """Each value of either run with its interval, and the difference, second less first."""
    by_name = [{_name(row): row for row in rows} for rows in (first, second)]
    pairs = []
    for metric, where in dict.fromkeys((*by_name[0], *by_name[1])):
        sides = {side: _interval(rows.get((metric, where))) for side, rows in zip(SIDES, by_name, strict=True)}
        difference = number(nested(sides, "second").get("value")) - number(nested(sides, "first").get("value"))
        pairs.append({"metric": metric, "slice": json.loads(where), **sides, "difference": _finite(difference)})
    return pairs


def _name(row: JsonObject) -> tuple[str, str]:
    """Metric and slice of a row; a gap has only its columns, since the furthest groups may differ between the runs."""
    where = dict.fromkeys(nested(row, "group"), "") if row.get("reduction") else nested(row, "slice")
    return str(row.get("metric") or row.get("measure")), json.dumps(where, ensure_ascii=False, default=str)


def _interval(row: JsonObject | None) -> dict[str, float | None] | None:
    return None if row is None else {key: _finite(number(row.get(key))) for key in ("value", "low", "high")}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gates(first: RunFiles, second: RunFiles) -> Pairs:
    by_text = [
        {
            str(row.get("gate")): {"passed": row.get("passed") is True, **(_interval(row) or {})}
            for row in objects_of(files.scorecard.get("gates"))
        }
        for files in (first, second)
    ]
    return [
        {"gate": gate, **{name: rows.get(gate) for name, rows in zip(SIDES, by_text, strict=True)}}
        for gate in dict.fromkeys((*by_text[0], *by_text[1]))
    ]


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Pairs:
    return [
        {"key": key, "first": first.get(key), "second": second.get(key)}
        for key in dict.fromkeys((*first, *second))
        if first.get(key) != second.get(key)
    ]


def _row_keys(files: RunFiles) -> str | None:
    """A fingerprint of the keys and labels of the test rows; None if the run has no predictions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    digest = hashlib.sha256()
    try:
        for path in sorted((files.folder / "predictions").glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(columns=["key", "label"]):
                rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                digest.update("\n".join(f"{key}\t{label}" for key, label in rows).encode())
    except (OSError, pa.ArrowException, KeyError):
        return None
    return digest.hexdigest()
