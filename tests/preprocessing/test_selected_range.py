"""Whole files that `select` keeps nothing of, at each end and within, change no count and stop no stage."""

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline import encoded_block
from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.errors import DataError
from ray_pipeline.preprocessing.encode import encode_rows
from ray_pipeline.preprocessing.fit_encoders import fit_encoders
from ray_pipeline.profiling.table_profile import profile_table
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import PARTS

pytestmark = pytest.mark.ray
SPEC = """\
name: months
task: binary
features: {{labels: {{path: rows, key: id, label: bad, time: at, columns: [amount]}}}}
select: {select}
split: {split}
model: xgboost
evaluate: {{min_rows: 5}}
checks: {{fail_on: never}}
"""
SPLITS = {
    "time": "{by: time, validation: 2024-03-16, test: 2024-04-10}",
    "column": "{by: column, column: part}",
    "stratified": "{by: random, stratify: true}",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """Six files, one a month of 2024, 120 rows each."""
    folder, random, months = tmp_path_factory.mktemp("months"), np.random.default_rng(0), []
    (folder / "rows").mkdir()
    for month in range(1, 7):
        first = datetime.datetime(2024, month, 1, tzinfo=datetime.UTC)
        table = pa.table(
            {
                "id": np.arange(120) + 1000 * month,
                "bad": random.random(120) < 0.4,
                "at": [first + datetime.timedelta(hours=5 * hour) for hour in range(120)],
                "amount": random.normal(size=120),
                "part": random.choice(["train", "train", "validation", "test"], 120),
                "month": np.full(120, month),
            }
        )
        pq.write_table(table, folder / "rows" / f"{month}.parquet")
        months.append(table)
    return folder, pa.concat_tables(months)


def encoded(folder: Path, split_: str, select: str) -> Any:
    spec = Spec.from_text(SPEC.format(split=split_, select=select), folder=folder)
    table = split(read(spec, Where()), spec)
    profile = profile_table(table, spec)
    encoders = fit_encoders(profile, spec.encoders, table.own_encodings(spec))
    return SimpleNamespace(profile=profile, rows=encode_rows(table, profile, spec, encoders, {}))


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize(
    ("select", "months"),
    [
        ("{from: 2024-02-01, to: 2024-05-01}", {2, 3, 4}),
        ("{where: month != 3}", {1, 2, 4, 5, 6}),
        ("{to: 2024-05-01, where: 'month not in [1, 3]'}", {2, 4}),
    ],
    ids=["both ends", "within", "a range and a condition"],
)
def test_every_row_that_is_kept_is_encoded_once(
    ray_local: None, rows: tuple[Path, pa.Table], how: str, select: str, months: set[int]
) -> None:
    folder, table = rows
    made = encoded(folder, SPLITS[how], select)
    months_of = zip(table["id"].to_pylist(), table["month"].to_pylist(), strict=True)
    kept = sorted(key for key, month in months_of if month in months)
    blocks = [block for part in PARTS for block in made.rows.part(part, "trees")]
    keys = [key for block in blocks for key in block.rows[encoded_block.KEY].to_pylist()]
    assert sorted(keys) == kept
    assert sum(made.profile.parts.values()) == len(kept)
    assert all(sum(counts) for counts in made.rows.block_rows)


@pytest.mark.parametrize("how", SPLITS)
def test_a_condition_that_keeps_nothing_is_refused(ray_local: None, rows: tuple[Path, pa.Table], how: str) -> None:
    with pytest.raises(DataError) as refused:
        encoded(rows[0], SPLITS[how], "{where: month > 6}")
    assert "0 rows left of 720: 0 out of range, 720 by `where`" in str(refused.value)
