"""A profile of rows at hand, made by the very functions that the pass over blocks uses, without Ray."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.join_counts import JoinCounts
from ray_pipeline.data.rows import KEY, LABEL, LABEL_INPUT, PART, TIME, WEIGHT, RowCounts
from ray_pipeline.profiling.block_summary import BlockSummary, SummaryOptions, read_summary, summarize
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.profiling.row_hashes import RowHashes
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS


def profile_of(
    columns: Mapping[str, Any],
    label: Any,
    part: Any = None,
    *,
    task: str = "binary",
    time: Any = None,
    group: str | None = None,
    label_inputs: Mapping[str, Any] | None = None,
    unlabelled: Mapping[str, int] | None = None,
    null_label: int = 0,
    time_granularity: Mapping[str, str] | None = None,
    blocks: int = 3,
    extra: Sequence[str] = (),
    share: float = 1.0,
    footers: Mapping[str, Footers] | None = None,
) -> Profile:
    """The profile of these rows; all in train unless `part` (0, 1, 2 a row) says otherwise. `extra` columns are no
    features."""
    rows = len(label)
    made = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    roles = {
        KEY: np.arange(rows),
        LABEL: label,
        WEIGHT: np.ones(rows),
        PART: pa.array(np.zeros(rows) if part is None else part, pa.int8()),
    }
    roles |= {TIME: time} if time is not None else {}
    table = pa.table({**made, **roles, **{LABEL_INPUT + name: values for name, values in (label_inputs or {}).items()}})
    features = tuple(name for name in made if name not in extra)
    options = SummaryOptions(
        features=features, group=group, classify=task != "regression", sample_rows=10_000, hash_share=share
    )
    total, row_hashes = BlockSummary(), []
    for start in range(0, rows, max(rows // blocks, 1)):
        block = summarize(table.slice(start, max(rows // blocks, 1)), RowCounts(), options)
        summary, _, block_hashes = read_summary(block.to_pylist()[0])
        total, row_hashes = total + summary, [*row_hashes, block_hashes]
    counts = RowCounts(
        null_label=null_label,
        unlabelled=unlabelled or {},
        joins={name: JoinCounts(rows=rows, matched=rows) for name in time_granularity or {}},
    )
    return Profile(
        types={name: made[name].type for name in features},
        columns=total.columns,
        counts=counts,
        parts=total.parts,
        labels=total.labels,
        classes=("0", "1") if task == "binary" else (),
        sample=total.sampled(0),
        time_ranges=total.time_ranges,
        evaluation_samples={name: total.sampled(code) for code, name in enumerate(PARTS) if code},
        row_hashes=RowHashes.concat(row_hashes, share),
        time_granularity=time_granularity or {},
        footers=footers or {},
    )


def spec_of(
    task: str = "binary", label: str = "y > 0", features: str = "", split: str = "{by: random}", more: str = ""
) -> Spec:
    """A spec of that task over one table."""
    text = (
        f"name: seen\ntask: {task}\nfeatures:\n  labels: {{path: rows.parquet, label: '{label}', key:"
        f" id{features}}}\nsplit: {split}\nmodel: xgboost\n{more}"
    )
    return Spec.from_text(text, file="seen.yaml")
