"""The stage of profiling: one pass over the rows, the fingerprints of the files beside it, and the findings."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from ray_pipeline.data.fingerprint import fingerprint
from ray_pipeline.data.rows import RowCounts
from ray_pipeline.data.table import Table
from ray_pipeline.profiling.findings import check
from ray_pipeline.profiling.profile import Profile, profile_rows
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec

JOIN_COUNTS = ("rows", "matched", "too_old", "not_yet_known", "never_seen", "null_key")


@stage("profile")
def profile_table(table: Table, spec: Spec) -> Profile:
    """Profile the joined, split rows, and check them.

    Raises
    ------
    DataError
        A part is empty, a key repeats, or the label has one class.
    """
    with in_background(lambda: fingerprint(table)) as fingerprints:
        profiled = profile_rows(table, spec)
        data = {name: {**one.as_json(), **_sizes(name, table)} for name, one in fingerprints().items()}
    return replace(
        profiled,
        data=data,
        dropped={**dropped_rows(table, profiled.counts), "gap": profiled.counts.gap},
        joins={name: _join(name, table, profiled) for name in profiled.counts.joins},
        test_part=_test_part(table, spec),
        findings=check(profiled, spec),
    )


def _sizes(name: str, table: Table) -> dict[str, int]:
    footers = table.footers[name]
    return {
        "files": len(footers.files),
        "rows": footers.num_rows,
        "bytes": footers.num_bytes,
        "bytes_read": table.bytes_read[name],
    }


def dropped_rows(table: Table, counts: RowCounts) -> dict[str, int]:
    """Rows that the label rule, `where` and the range drop."""
    by_scan = table.num_rows - table.out_of_range - counts.scanned
    return {"null_label": counts.null_label, "where": by_scan + counts.where, "range": table.out_of_range}


def _join(name: str, table: Table, profiled: Profile) -> dict[str, Any]:
    """One table of joins.json."""
    counts, plan = profiled.counts.joins[name], table.plans[name]
    return {
        **{name: getattr(counts, name) for name in JOIN_COUNTS},
        "age_p50_s": counts.age(0.5),
        "age_p99_s": counts.age(0.99),
        "plan": plan.how,
        "why": plan.why,
        "table": dict(table.lookups[name]),
    }


def _test_part(table: Table, spec: Spec) -> str:
    """The name of the test part: data, label, selection and split; two runs with it judge on the same rows."""
    written = spec.as_data()
    label = written["features"]["labels"]["label"]
    parts = [table.footers["labels"].fingerprint, label, written["select"], written["split"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
