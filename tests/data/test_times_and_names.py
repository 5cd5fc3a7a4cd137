"""Integer times, rows that do not count, and names that are unlike others, from files to rows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.data import split as split_stage
from ray_pipeline.data.check_tables import check_tables
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.hashing import hash_values
from ray_pipeline.profiling.profile import Profile, profile_rows
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROWS = 300
STEP = np.arange(ROWS) * 10
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def blocks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def map_here(made: Table, work: Callable[[pa.Table], pa.Table]) -> list[pa.Table]:
        return [work(piece()) for piece in made.labels.pieces(made.columns_read["labels"], 100, made.scan_filter)]

    monkeypatch.setattr(Table, "map_blocks", map_here)


def spec_of(folder: Path, labels: str, rest: str = "split: {by: random}", table: str = "") -> Spec:
    text = (
        f"name: t\ntask: binary\nfeatures:\n  labels: {{path: rows.parquet, {labels}}}\n{table}{rest}\nmodel: xgboost\n"
    )
    return Spec.from_text(text, file="t.yaml", folder=folder)


def write(folder: Path, **columns: Any) -> None:
    base = {"id": np.arange(ROWS), "x": RNG.normal(size=ROWS), "y": np.arange(ROWS) % 2, "t": STEP}
    pq.write_table(pa.table({**base, **columns}), folder / "rows.parquet", row_group_size=50)


def profiled(spec: Spec) -> tuple[pa.Table, Profile, Table]:
    table = split_stage.split(read(spec, Where()), spec)
    pieces = table.labels.pieces(table.columns_read["labels"], 100, table.scan_filter)
    rows = pa.concat_tables([table.row_builder(piece())[0] for piece in pieces])
    return rows, profile_rows(table, spec), table


STEPS = "label: y, key: id, time: t, time_unit: step, columns: [x]"


def test_steps_are_selected_split_and_joined_as_whole_numbers(tmp_path: Path, ray_local: None) -> None:
    write(tmp_path)
    vitals = pa.table({"one": [1, 1, 1], "t": [0, 1_000, 2_000], "v": [1.0, 2.0, 3.0]})
    pq.write_table(vitals, tmp_path / "vitals.parquet")
    write(tmp_path, one=np.ones(ROWS, np.int64))
    spec = spec_of(
        tmp_path,
        STEPS,
        "select: {from: 100, to: 2900}\nsplit: {by: time, validation: 1500, test: 2200, gap: 50}",
        "  vitals: {path: vitals.parquet, on: [one], time: t, time_unit: step, max_age: 600, columns: [v]}\n",
    )
    rows, profile, table = profiled(spec)
    steps = [int(step) for step in STEP if 100 <= step < 2900]
    kept = [step for step in steps if not (1450 <= step < 1500 or 2150 <= step < 2200)]
    assert table.out_of_range == ROWS - len(steps)
    assert [int(moment.timestamp()) for moment in pa.compute.assume_timezone(rows[TIME], "UTC").to_pylist()] == kept
    assert rows[PART].to_pylist() == [0 if step < 1500 else 1 if step < 2200 else 2 for step in kept]
    latest = [max(at for at in (0, 1_000, 2_000) if at <= step) for step in kept]
    expected = [None if step - at > 600 else 1.0 + at / 1_000 for step, at in zip(kept, latest, strict=True)]
    assert rows["vitals.v"].to_pylist() == expected
    assert profile.time_ranges == {"train": ["100", "1440"], "validation": ["1500", "2140"], "test": ["2200", "2890"]}


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)])
def test_integers_in_a_unit_are_moments(tmp_path: Path, unit: str, per_second: int) -> None:
    moments = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(ROWS)]
    epochs = [(moment - datetime(1970, 1, 1)) // timedelta(seconds=1) * per_second for moment in moments]
    write(tmp_path, t=pa.array(epochs, pa.int64()))
    labels = f"label: y, key: id, time: t, time_unit: {unit}, columns: [x]"
    rest = "select: {from: 2024-01-02, to: 2024-01-12T01:30:00}\n"
    rest += "split: {by: time, validation: 2024-01-06, test: 2024-01-09}"
    rows, _, table = profiled(spec_of(tmp_path, labels, rest))
    kept = [moment for moment in moments if datetime(2024, 1, 2) <= moment < datetime(2024, 1, 12, 1, 30)]
    assert rows[TIME].cast(pa.timestamp("us")).to_pylist() == kept
    assert table.out_of_range == ROWS - len(kept)


@pytest.mark.parametrize("counted", ["labels", "table"])
def test_integers_since_1970_are_joined_with_times_in_utc(tmp_path: Path, counted: str) -> None:
    moments, seconds = pa.array(STEP * 1_000_000, pa.timestamp("us", "UTC")), pa.array(STEP)
    times = {"labels": moments, "table": moments.slice(0, 3), counted: seconds if counted == "labels" else seconds[:3]}
    write(tmp_path, one=np.ones(ROWS, np.int64), t=times["labels"])
    pq.write_table(pa.table({"one": [1, 1, 1], "t": times["table"], "v": [1.0, 2.0, 3.0]}), tmp_path / "f.parquet")
    units = {name: ", time_unit: s" if name == counted else "" for name in ("labels", "table")}
    labels = f"label: y, key: id, time: t{units['labels']}, columns: [x]"
    spec = spec_of(tmp_path, labels, table=f"  f: {{path: f.parquet, on: [one], time: t{units['table']}}}\n")
    table = read(spec, Where())
    rows = pa.concat_tables([table.row_builder(block)[0] for block in table.tables()])
    assert rows["f.v"].to_pylist() == [1.0, 2.0, *[3.0] * (ROWS - 2)]


@pytest.mark.parametrize(
    ("labels", "rest", "table", "found"),
    [
        (STEPS, "split: {by: time, validation: 2024-01-06, test: 2024-01-09}", "", "is no step"),
        (STEPS, "select: {from: 2024-01-06}\nsplit: {by: random}", "", "is no step"),
        (STEPS, "split: {by: time, validation: 5, test: 9, gap: 1d}", "", "is no step"),
        ("label: y, time: t", "select: {from: 5}\nsplit: {by: random}", "", "5 is a number of steps"),
        (
            "label: y, time_unit: s",
            "split: {by: random}",
            "",
            "time_unit is for features.labels.time, which is not given",
        ),
        (
            STEPS,
            "split: {by: random}",
            "  f: {path: f, on: [id], time: t}\n",
            "the times of labels are steps, those of f",
        ),
        (STEPS, "split: {by: time, validation: 9, test: 5}", "", "validation (9) must be before test (5)"),
        (STEPS, "select: {from: 9, to: 5}\nsplit: {by: random}", "", "to (5) must be after from (9)"),
        (STEPS, "split: {by: time, validation: 5, test: 9, gap: 4}", "", "swallows validation"),
    ],
)
def test_steps_and_moments_do_not_mix(tmp_path: Path, labels: str, rest: str, table: str, found: str) -> None:
    with pytest.raises(SpecError) as raised:
        spec_of(tmp_path, labels, rest, table)
    assert any(found in problem.found for problem in raised.value.problems), raised.value


@pytest.mark.parametrize(
    ("time", "unit", "found"),
    [
        (pa.array(range(ROWS)), "", "is int64, and a time is date or timestamp"),
        (pa.array([str(i) for i in range(ROWS)]), "", "is string, and a time is date or timestamp"),
        (pa.array(range(ROWS), pa.timestamp("us")), ", time_unit: s", "and `time_unit` is for integers"),
    ],
)
def test_other_times_are_refused_before_rows_are_read(tmp_path: Path, time: pa.Array, unit: str, found: str) -> None:
    write(tmp_path, t=time)
    spec = spec_of(tmp_path, f"label: y, key: id, time: t{unit}, columns: [x]")
    assert [found in problem.found for problem in check_tables(spec, Where()).problems] == [True]
    with pytest.raises(DataError, match=found.replace("`", ".")):
        read(spec, Where())


def test_a_null_key_or_time_in_a_row_that_is_dropped_refuses_nothing(tmp_path: Path) -> None:
    x, y, key = RNG.normal(size=ROWS), [i % 2 for i in range(ROWS)], list(range(ROWS))
    time: list[Any] = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(ROWS)]
    x[5], y[6], key[5], key[6], time[5], time[6] = np.nan, None, None, None, None, None
    write(tmp_path, x=x, y=pa.array(y), id=pa.array(key), t=pa.array(time, pa.timestamp("us")))
    labels = "label: y, key: id, time: t, columns: [x]"
    rest = "select: {from: 2024-01-01, where: x is not null}\nsplit: {by: random}"
    rows, profile, table = profiled(spec_of(tmp_path, labels, rest))
    assert rows.num_rows == ROWS - 2 and table.out_of_range == 0
    assert (profile.counts.where, profile.counts.null_label, profile.counts.null_time) == (1, 1, 0)
    spec = spec_of(tmp_path, labels, "select: {from: 2024-01-01}\nsplit: {by: random}")
    with pytest.raises(DataError) as raised:
        profiled(spec)
    assert [(one.column, one.rows) for one in raised.value.problems] == [("id", 1), ("t", 1)]


def test_keys_that_differ_by_nanoseconds_are_not_duplicates(tmp_path: Path) -> None:
    key = pa.array(1_700_000_000_000_000_000 + np.arange(ROWS), pa.timestamp("ns"))
    write(tmp_path, id=key)
    rows, _, _ = profiled(spec_of(tmp_path, "label: y, key: id, columns: [x]"))
    assert rows[KEY].combine_chunks().equals(key)
    whole = pa.array([1_700_000_000_000_001_000], pa.timestamp("ns"))
    assert hash_values(whole) == hash_values(whole.cast(pa.timestamp("us")))


INTERNAL = ("__label", "__key", "__weight", "__part", "__time", "score", "", "index", "matrix:trees", "a.b", "rates.x")


def test_columns_of_any_name_are_features(tmp_path: Path) -> None:
    odd = {name: RNG.normal(size=ROWS) for name in INTERNAL}
    write(tmp_path, **odd)
    rows, profile, _ = profiled(spec_of(tmp_path, "label: y, key: id"))
    assert [*profile.types] == ["x", "t", *INTERNAL]
    for name, values in odd.items():
        assert rows[name].to_pylist() == values.tolist()
    assert rows[LABEL].to_pylist() == [float(i % 2) for i in range(ROWS)]


def test_a_name_that_exists_is_no_glob(tmp_path: Path) -> None:
    write(tmp_path, **{"f[0]": np.arange(ROWS) / 3, "f0": np.arange(ROWS) / 7, "f*": np.arange(ROWS) / 9})
    _, profile, _ = profiled(spec_of(tmp_path, "label: y, key: id, columns: ['f[0]', 'f*']"))
    assert [*profile.types] == ["f[0]", "f*"]
    _, profile, _ = profiled(spec_of(tmp_path, "label: y, key: id, columns: ['f[0-9]']"))
    assert [*profile.types] == ["f0"]


def test_a_label_column_with_the_name_of_a_joined_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"rates.v": np.arange(ROWS)})
    pq.write_table(pa.table({"id": [1], "v": [1.0]}), tmp_path / "rates.parquet")
    spec = spec_of(tmp_path, "label: y, key: id", table="  rates: {path: rates.parquet, on: [id]}\n")
    (problem,) = check_tables(spec, Where()).problems
    assert problem.found == "labels has a column 'rates.v', which is also the name of a feature table's column"
