"""Odd tables through `check`, `plan` and the stages up to the profile: right, or refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from odd_tables import BASE, ODD_TABLES, ROWS, OddTable
from part_fixture import binary

from ray_pipeline.data import split as split_stage
from ray_pipeline.data.check_tables import check_tables
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import KEY, LABEL
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.evaluation.predict import prediction_tables
from ray_pipeline.profiling.profile import profile_rows
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.estimate import estimate

LAYOUT = Layout(slots=1, workers=1, threads=1, gpus=0, fit_threads=1)


@pytest.fixture(autouse=True)
def blocks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def map_here(made: Table, work: Callable[[pa.Table], pa.Table]) -> list[pa.Table]:
        return [work(piece()) for piece in made.labels.pieces(made.columns_read["labels"], 200, made.scan_filter)]

    monkeypatch.setattr(Table, "map_blocks", map_here)


@pytest.mark.parametrize("odd", ODD_TABLES, ids=lambda odd: odd.name)
def test_an_odd_table_is_right_or_refused_by_name(odd: OddTable, tmp_path: Path, ray_local: None) -> None:
    odd.write(tmp_path)
    spec = Spec.from_text(odd.spec(), file="odd.yaml", folder=tmp_path)
    early = check_tables(spec, Where()).problems
    assert [odd.refused in one.found for one in early] == [True] * bool(odd.refused), early
    if odd.refused:
        for stage in (lambda: estimate(spec, Where(), LAYOUT), lambda: read(spec, Where())):
            with pytest.raises(DataError, match=odd.refused):
                stage()
        return
    estimate(spec, Where(), LAYOUT)
    table = split_stage.split(read(spec, Where()), spec)
    profile = profile_rows(table, spec)
    pieces = table.labels.pieces(table.columns_read["labels"], 200, table.scan_filter)
    rows = pa.concat_tables([table.row_builder(piece())[0] for piece in pieces])
    keys = np.array(rows[KEY])
    assert np.array_equal(np.array(rows[LABEL]), np.array(BASE["y"])[keys])
    assert rows["x"].to_pylist() == BASE["x"].take(pa.array(keys)).to_pylist()
    assert rows.num_rows == ROWS - (odd.where or 0)
    assert odd.where is None or profile.counts.where == odd.where
    for counts in profile.counts.joins.values():
        assert counts.matched == odd.matched and counts.null_key == (odd.null_keys or 0)
    assert rows[list(profile.types)[-1]].null_count == odd.nulls


def test_slices_with_the_names_of_predictions_overwrite_nothing() -> None:
    names = ("score", "key", "label", "decision", "weight")
    rows = binary(n=50, columns={name: ["a", "b"] * 25 for name in names})
    (table,) = prediction_tables(rows)
    assert table.column_names == [*names[1:3], "score", "decision", "weight", *(f"slice.{name}" for name in names)]
    assert table["score"].to_pylist() == rows.score.tolist() and table["label"].to_pylist() == rows.label.tolist()
    assert all(table[f"slice.{name}"].to_pylist() == ["a", "b"] * 25 for name in names)


def test_a_share_of_310_digits_is_refused_by_the_spec_alone() -> None:
    text = ODD_TABLES[1].spec().replace("{by: random}", f"{{by: random, validation: 0.15, test: {'9' * 310}}}")
    with pytest.raises(SpecError, match=r"split\.test"):
        Spec.from_text(text)
