"""A run on a table whose row group is larger than a block of Ray Data: every scored row has its own label and slice."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline import pipeline
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROWS, COLUMNS = 900_000, 28
"""202 MB in memory. Ray Data cuts blocks of 192 MB and more, unless it is told not to; values repeat, so the file is
small."""
SPEC = """\
name: large
task: binary
features: {labels: {path: large.parquet, label: late, key: id, slice_only: [kind]}}
split: {by: random}
model: {xgboost: {num_boost_round: 3, max_depth: 3}}
search: {trials: 1}
evaluate: {draws: 100, slices: [kind]}
explain: {rows: 100}
register: false
"""


def test_every_scored_row_has_its_own_label_and_slice(ray_local: None, tmp_path: Path) -> None:
    draw, ids = np.random.default_rng(0), np.arange(ROWS)
    table = {f"x{number}": draw.integers(0, 50, ROWS).astype(np.float64) for number in range(COLUMNS)}
    late = (ids // 7 % 3 == 0) | (table["x0"] > 40)
    kind = pa.DictionaryArray.from_arrays((ids % 5).astype(np.int32), [f"kind {number}" for number in range(5)])
    pq.write_table(pa.table({"id": ids, "late": late, "kind": kind, **table}), tmp_path / "large.parquet")
    assert pq.read_metadata(tmp_path / "large.parquet").num_row_groups == 1

    release = pipeline.run(Spec.from_text(SPEC, folder=tmp_path), Where(storage=str(tmp_path / "runs")))

    scored = pq.read_table(Path(release.folder) / "predictions")
    keys = scored["key"].to_numpy()
    assert len(np.unique(keys)) == len(keys) == release.rows["test"]
    assert sum(release.rows[part] for part in ("train", "validation", "test")) == ROWS
    assert (scored["label"].to_numpy() == late[keys]).all()
    assert (np.asarray(scored["kind"].to_pylist()) == np.char.add("kind ", (keys % 5).astype(str))).all()
