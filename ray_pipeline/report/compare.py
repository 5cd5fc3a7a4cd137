"""Two runs side by side, from their plain files: what was asked for differently, and what came of it."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ray_pipeline.report.run_files import Row, RunFiles, number, rows_of, section

Pairs = list[dict[str, Any]]
NOT_ASKED = ("name", "register")
MAX_SLICES = 20
SIDES = ("first", "second")


def compare(first: RunFiles, second: RunFiles) -> dict[str, Any]:
    """All that differs, as plain values; numbers that are not there are None.

    `slices` are those of at least `evaluate.min_rows` rows in both, furthest apart first; `same_rows` says whether both
    were judged on the same test rows: only then is a difference of metrics one of the models.
    """
    both = (first, second)
    least = max(
        (least for files in both if math.isfinite(least := number(section(files.spec, "evaluate").get("min_rows")))),
        default=0.0,
    )
    return {
        "first": first.run,
        "second": second.run,
        "same_rows": _rows(first) is not None and _rows(first) == _rows(second),
        "spec": _differing(
            *({key: value for key, value in _flat(files.spec) if key.split(".")[0] not in NOT_ASKED} for files in both)
        ),
        "data": _differing(*(dict(_flat(section(files.manifest, "data"))) for files in both)),
        "rows": _differing(*(dict(_flat(section(files.manifest, "rows"))) for files in both)),
        "model": _differing(
            *(
                dict(_flat({key: files.model.get(key) for key in ("family", "rounds", "params", "validation")}))
                for files in both
            )
        ),
        "versions": _differing(*(dict(_flat(section(files.manifest, "versions"))) for files in both)),
        "seconds": _differing(*(dict(_flat(section(files.manifest, "seconds"))) for files in both)),
        "gates": _gates(*both),
        "metrics": _measured(first.evaluation, second.evaluation, lambda row: not row.get("slice")),
        "slices": _furthest(
            _measured(
                first.evaluation,
                second.evaluation,
                lambda row: bool(row.get("slice")) and number(row.get("rows")) >= least,
            )
        ),
        "bias": _measured(first.bias, second.bias, lambda row: bool(row.get("reduction"))),
    }


def _measured(first: Iterable[Row], second: Iterable[Row], wanted: Callable[[Row], bool]) -> Pairs:
    """Each measured value of either run with its interval, and the difference (second less first)."""
    found: list[dict[tuple[str, str], Row]] = [
        {_name(row): row for row in rows if wanted(row)} for rows in (first, second)
    ]
    pairs = []
    for metric, where in dict.fromkeys((*found[0], *found[1])):
        sides = {name: _interval(rows.get((metric, where))) for name, rows in zip(SIDES, found, strict=True)}
        change = number(section(sides, "second").get("value")) - number(section(sides, "first").get("value"))
        pairs.append(
            {
                "metric": metric,
                "slice": json.loads(where),
                **sides,
                "difference": change if math.isfinite(change) else None,
            }
        )
    return pairs


def _name(row: Row) -> tuple[str, str]:
    reduced = bool(
        row.get("reduction")
    )  # the two groups furthest apart may be others in the other run: only their columns name a gap
    where = dict.fromkeys(section(row, "group"), "") if reduced else section(row, "slice")
    return str(row.get("metric") or row.get("measure")), json.dumps(where, ensure_ascii=False, default=str)


def _interval(row: Row | None) -> dict[str, float | None] | None:
    if row is None:
        return None
    values = {key: number(row.get(key)) for key in ("value", "low", "high")}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _furthest(pairs: Pairs) -> Pairs:
    known = [pair for pair in pairs if pair["difference"] is not None]
    return sorted(known, key=lambda pair: -abs(pair["difference"]))[:MAX_SLICES]


def _gates(first: RunFiles, second: RunFiles) -> Pairs:
    found = [
        {str(row.get("gate")): row for row in rows_of(files.scorecard.get("gates")) if isinstance(row, Mapping)}
        for files in (first, second)
    ]
    return [
        {
            "gate": gate,
            **{
                name: (
                    None
                    if (row := rows.get(gate)) is None
                    else {"passed": row.get("passed") is True, **(_interval(row) or {})}
                )
                for name, rows in zip(SIDES, found, strict=True)
            },
        }
        for gate in dict.fromkeys((*found[0], *found[1]))
    ]


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Pairs:
    return [
        {"key": key, "first": first.get(key), "second": second.get(key)}
        for key in dict.fromkeys((*first, *second))
        if first.get(key) != second.get(key)
    ]


def _flat(value: Row, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _rows(files: RunFiles) -> str | None:
    """The fingerprint of the keys and labels that the run was judged on; None where it kept no predictions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        digest = hashlib.sha256()
        for path in sorted((files.folder / "predictions").glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(columns=["key", "label"]):
                digest.update(
                    "\n".join(
                        f"{key}\t{label}"
                        for key, label in zip(*(column.to_pylist() for column in batch.columns), strict=True)
                    ).encode()
                )
    except (OSError, pa.ArrowException, KeyError):
        return None
    return digest.hexdigest()
