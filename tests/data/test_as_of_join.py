"""The as-of join against a brute-force oracle, on random tables, whatever the blocks."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.data.as_of_join import JoinOptions, JoinTable, as_of_table, lookup_table, prepare
from ray_pipeline.data.join_counts import JoinCounts, count_ages
from ray_pipeline.data.join_keys import TimeCodes, finest_unit
from ray_pipeline.data.partitioned_join import (
    JoinPlan,
    PartitionedTable,
    partition_of,
    partition_table,
    split_by_key,
)
from ray_pipeline.data.read import read
from ray_pipeline.errors import DataError
from ray_pipeline.hashing import hash_rows
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
US = pa.timestamp("us", "UTC")
hours = st.integers(0, 6)
maybe = st.one_of(st.none(), hours)
key = st.one_of(st.none(), st.sampled_from("abc"))
feature_row = st.fixed_dictionaries(
    {"k": key, "j": st.one_of(st.none(), st.integers(0, 1)), "time": maybe, "known": maybe, "value": st.integers(0, 3)}
)
label_row = st.fixed_dictionaries({"k": key, "j": st.one_of(st.none(), st.integers(0, 1)), "time": hours})


def at(hour: int | None) -> datetime | None:
    return None if hour is None else START + hour * HOUR


def features(rows: list[dict]) -> pa.Table:
    columns = {"k": pa.string(), "j": pa.int32(), "time": US, "known": US, "value": pa.int64()}
    plain = [{**row, "time": at(row["time"]), "known": at(row["known"])} for row in rows]
    return pa.Table.from_pylist(plain, schema=pa.schema(columns))


def labels(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(
        [{**row, "time": at(row["time"])} for row in rows],
        schema=pa.schema({"k": pa.string(), "j": pa.int64(), "time": US}),
    )


def oracle(
    row: dict, rows: list[dict], content: list[int], on: tuple[str, ...], bitemporal: bool, max_age: int | None
) -> tuple[int | None, str]:
    """The contract's sentence, word by word, one label row at a time."""
    if any(row[k] is None for k in on):
        return None, "null_key"
    usable = [
        (r["time"], r["known"] if bitemporal else r["time"], content[i], r["value"])
        for i, r in enumerate(rows)
        if r["time"] is not None and (r["known"] is not None or not bitemporal) and all(r[k] == row[k] for k in on)
    ]
    seen = any(all(r[k] == row[k] for k in on) for r in rows)
    known = [r for r in usable if r[0] <= row["time"] and r[1] <= row["time"]]
    if not known:
        return None, "not_yet_known" if seen else "never_seen"
    time, _, _, value = max(known)
    return (None, "too_old") if max_age is not None and row["time"] - time > max_age else (value, "matched")


@settings(max_examples=400, deadline=None)
@given(
    st.lists(feature_row, max_size=14),
    st.lists(label_row, max_size=10),
    st.sampled_from([("k",), ("k", "j")]),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 4)),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_join_equals_the_oracle_whatever_the_blocks_and_the_plan(
    rows, label_rows, on, bitemporal, max_age, block, partitions
):
    table = features(rows)
    content = hash_rows(table).tolist()
    options = JoinOptions(
        name="f",
        on=on,
        columns=["value"],
        time="time",
        known_at="known" if bitemporal else None,
        max_age=None if max_age is None else max_age * HOUR,
    )
    prepared = as_of_table(table, options)
    if partitions > 1:
        prepared = partitioned([as_of_table(one, options) for one in split_by_key(table, on, partitions)])
    expected = [oracle(row, rows, content, on, bitemporal, max_age) for row in label_rows]
    spine, values, counts = labels(label_rows), [], JoinCounts()
    for start in range(0, max(len(label_rows), 1), block):
        part = spine.slice(start, block)
        joined, added = prepared.join([part[k] for k in on], part["time"])
        values += joined["f.value"].to_pylist()
        counts = counts + added
    assert values == [value for value, _ in expected]
    for why in ("matched", "too_old", "not_yet_known", "never_seen", "null_key"):
        assert getattr(counts, why) == sum(result == why for _, result in expected), why
    assert counts.rows == len(label_rows)


def partitioned(partitions: list[JoinTable]) -> PartitionedTable:
    """The partitions as one table; without a cluster each is its own reference."""
    return PartitionedTable(partitions=tuple(partitions), duplicates=0, without_time=0, granularity=None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def partitions_are_their_own_references(monkeypatch, request):
    if "ray_local" not in request.fixturenames:
        monkeypatch.setattr("ray.get", lambda partition: partition)


def test_keys_of_any_width_belong_to_one_partition_and_rows_keep_their_order():
    for values in ([1, 2, None, 900], ["a", "b", None, "ü"], [START, START + HOUR, None, START]):
        plain = pa.array(values)
        wider = plain.cast(pa.int32()) if isinstance(values[0], int) else plain.dictionary_encode()
        assert (
            partition_of([pa.chunked_array([plain])], 7).tolist()
            == partition_of([pa.chunked_array([wider])], 7).tolist()
        )
    table = pa.table({"k": [3, 1, 3, 2, 1], "v": range(5)})
    partition = partition_of([table["k"]], 3).tolist()
    assert [one["v"].to_pylist() for one in split_by_key(table, ["k"], 3)] == [
        [v for v in range(5) if partition[v] == number] for number in range(3)
    ]


def test_the_plan_follows_from_the_bytes_that_are_read(monkeypatch):
    monkeypatch.setattr("ray_pipeline.data.partitioned_join.BROADCAST_BYTES", 1_000)
    monkeypatch.setattr("ray_pipeline.data.partitioned_join.PART_BYTES", 400)
    assert (JoinPlan.of(1_000).how, JoinPlan.of(1_001).how) == ("broadcast", "partitioned")
    assert (JoinPlan.of(1_001).parts, JoinPlan.of(400_000).parts) == (3, 1_000)
    assert "3 parts by key hash" in JoinPlan.of(1_001).why


@pytest.mark.parametrize("time", ["time", None])
def test_a_partitioned_table_with_a_hot_key_is_joined_as_a_whole_one_on_ray(time, ray_local, tmp_path):
    import ray

    rng = np.random.default_rng(0)
    rows = 4_000 if time else 50
    key = (
        np.where(rng.random(rows) < 0.5, 7, rng.integers(0, 40, rows)) if time else np.arange(50)
    )  # half of the rows have one key
    table = pa.table({"k": key, "time": pa.array(rng.integers(0, 900, rows), US), "v": np.arange(rows)})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=300)
    source = Parquet(name="f", path=str(tmp_path))
    options = JoinOptions(name="f", on=["k"], columns=["v"], time=time)
    partitioned = partition_table(source.pieces(source.footers(), table.column_names, 1), options, 5)
    keys, at_ = (
        pa.chunked_array([rng.integers(-1, 45, 3_000)]),
        pa.chunked_array([pa.array(rng.integers(0, 1_000, 3_000), US)]),
    )
    ours, counts = ray.get(ray.put(partitioned)).join([keys], at_ if time else None)
    whole, expected = prepare(table, options).join([keys], at_ if time else None)
    assert ours.to_pydict() == whole.to_pydict()
    assert counts == expected
    assert (partitioned.duplicates, partitioned.granularity) == (prepare(table, options).duplicates, None)


def test_a_repeated_key_in_a_partition_is_reported_as_in_a_whole_table(ray_local, tmp_path):
    pq.write_table(pa.table({"k": [1, 2, 1], "v": [1, 2, 3]}), tmp_path / "f.parquet")
    source = Parquet(name="planes", path=str(tmp_path))
    with pytest.raises(DataError, match="planes: 1 rows repeat a key"):
        pieces = source.pieces(source.footers(), ["k", "v"], 2)
        partition_table(pieces, JoinOptions(name="planes", on=["k"], columns=["v"]), 2)


def test_a_damaged_file_of_a_partitioned_table_is_named(ray_local, tmp_path, monkeypatch):
    monkeypatch.setattr("ray_pipeline.data.partitioned_join.BROADCAST_BYTES", 0)
    pq.write_table(pa.table({"k": range(500), "y": range(500)}), tmp_path / "rows.parquet")
    pq.write_table(
        pa.table({"k": range(500), "v": range(500)}),
        tmp_path / "planes.parquet",
        use_dictionary=False,
        compression="none",
        write_page_checksum=True,
    )
    tables = {"labels": {"path": "rows.parquet", "label": "y"}, "planes": {"path": "planes.parquet", "on": ["k"]}}
    text = {"name": "x", "task": "regression", "features": tables, "split": {"by": "random"}, "model": "xgboost"}
    spec = Spec.from_text(json.dumps(text), folder=tmp_path)
    assert read(spec, Where()).plans["planes"].how == "partitioned"
    at = pq.read_metadata(tmp_path / "planes.parquet").row_group(0).column(1).data_page_offset
    content = bytearray((tmp_path / "planes.parquet").read_bytes())
    content[at + 500] ^= 1
    (tmp_path / "planes.parquet").write_bytes(content)
    with pytest.raises(DataError, match="planes: row group 0 of column 'v' cannot be read") as raised:
        read(spec, Where())
    assert raised.value.problems[0].file == str(tmp_path / "planes.parquet")


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), st.integers(), max_size=9),
    st.lists(st.tuples(key, st.one_of(st.none(), st.integers(0, 3))), max_size=10),
)
def test_lookup_equals_a_dict(known, label_keys):
    table = pa.table(
        {
            "k": pa.array([k for k, _ in known], pa.string()),
            "j": pa.array([j for _, j in known], pa.int32()),
            "v": pa.array([hash(v) % 1000 for v in known.values()], pa.int64()),
        }
    )
    prepared = lookup_table(table, JoinOptions(name="f", on=["k", "j"], columns=["v"]))
    joined, _ = prepared.join(
        [
            pa.chunked_array([pa.array([k for k, _ in label_keys], pa.string())]),
            pa.chunked_array([pa.array([j for _, j in label_keys], pa.int64())]),
        ],
        None,
    )
    assert joined["f.v"].to_pylist() == [hash(known[row]) % 1000 if row in known else None for row in label_keys]


def test_lookup_with_a_repeated_key_is_refused_with_the_key_and_its_count():
    table = pa.table({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    with pytest.raises(DataError) as raised:
        lookup_table(table, JoinOptions(name="planes", on=["k"], columns=["v"]))
    (problem,) = raised.value.problems
    assert problem.rows == 1
    assert "planes: 1 rows repeat a key (['a'])" in problem.found


def test_ties_are_counted_and_do_not_depend_on_the_order_of_rows():
    rows = [{"k": "a", "j": 0, "time": 1, "known": 1, "value": value} for value in (3, 1, 2)]
    found = set()
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        options = JoinOptions(name="f", on=["k"], columns=["value"], time="time")
        prepared = as_of_table(features([rows[i] for i in order]), options)
        values, _ = prepared.join([pa.chunked_array([["a"]])], pa.chunked_array([pa.array([START + 2 * HOUR], US)]))
        found.add(values["f.value"][0].as_py())
        assert prepared.duplicates == 2
    assert len(found) == 1


def test_units_are_compared_exactly():
    assert finest_unit(pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")) == "ns"
    table = pa.table({"k": ["a"], "time": pa.array([1_000_000_001], pa.timestamp("ns", "UTC")), "v": [7]})
    prepared = as_of_table(table, JoinOptions(name="f", on=["k"], columns=["v"], time="time", unit="ns"))
    for moment, expected in ((1_000_000, None), (1_000_001, 7)):
        values, _ = prepared.join(
            [pa.chunked_array([["a"]])], pa.chunked_array([pa.array([moment], pa.timestamp("us", "UTC"))])
        )
        assert values["f.v"].to_pylist() == [expected]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20),
    st.lists(st.integers(-(2**62), 2**62), max_size=20),
    st.sampled_from([1, 2**40]),
)
def test_time_codes_keep_the_order_of_times_however_far_apart_they_are(times, others, num_keys):
    known = np.array(times, np.int64)
    codes = TimeCodes.fit(known, num_keys)
    coded = codes.of(known)
    assert (np.sign(coded[:, None] - coded) == np.sign((known[:, None] > known) * 1 - (known[:, None] < known))).all()
    assert coded.min() > 0 and max(coded.tolist()) < codes.width and num_keys * codes.width < 2**63
    for time in others:  # a later time has the code of the last known one at or before it, or a greater one
        before = [int(code) for code, one in zip(coded, times, strict=True) if one <= time]
        after = [int(code) for code, one in zip(coded, times, strict=True) if one > time]
        assert max(before, default=0) <= int(codes.of(np.array([time]))[0]) < min(after, default=codes.width)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**13), max_size=60))
def test_ages_are_counted_to_half_a_percent(ages):
    counts = count_ages(np.array(ages, np.int64), "us")
    assert sum(counts.values()) == len(ages)
    for exact, counted in zip(sorted(ages), sorted(age for age, n in counts.items() for _ in range(n)), strict=True):
        assert abs(counted - exact / 1e6) <= 0.0052 * exact / 1e6


NS, FAR = pa.timestamp("ns"), datetime(9999, 12, 31)


@pytest.mark.parametrize("early", [datetime(1, 1, 1), datetime(1701, 6, 1), datetime(2023, 12, 30)])
def test_no_age_is_so_long_that_it_overflows(early):
    """A row of 1701 is too old for a label of 2000, in nanoseconds as well, in which 300 years exceed 63 bits."""
    moment = datetime(2024, 1, 1) if early.year > 1701 else datetime(2000, 1, 1)
    for unit in ("us", "ns"):
        table = pa.table({"k": ["a"], "time": pa.array([early], pa.timestamp("us")), "v": [1]})
        options = JoinOptions(name="f", on=["k"], columns=["v"], time="time", max_age=timedelta(days=1), unit=unit)
        at_ = pa.chunked_array([pa.array([moment], pa.timestamp("us" if unit == "us" else "ns"))])
        values, counts = as_of_table(table, options).join([pa.chunked_array([["a"]])], at_)
        assert (values["f.v"].to_pylist(), counts.too_old) == ([None], 1)


def test_a_row_that_is_known_in_the_far_future_is_not_known_beside_nanoseconds():
    table = pa.table(
        {
            "k": ["a", "a", "b"],
            "time": pa.array([datetime(2020, 1, 1), datetime(2021, 1, 1), FAR], pa.timestamp("us")),
            "known": pa.array([datetime(2020, 1, 2), FAR, FAR], pa.timestamp("us")),
            "v": [1, 2, 3],
        }
    )
    options = JoinOptions(name="f", on=["k"], columns=["v"], time="time", known_at="known", unit="ns")
    at_ = pa.chunked_array([pa.array([1_750_000_000_000_000_001] * 2, NS)])
    values, counts = as_of_table(table, options).join([pa.chunked_array([["a", "b"]])], at_)
    assert (values["f.v"].to_pylist(), counts.not_yet_known) == ([1, None], 1)


def test_a_label_beyond_the_range_of_nanoseconds_is_refused_beside_them():
    table = pa.table({"k": ["a"], "time": pa.array([1], NS), "v": [1]})
    prepared = as_of_table(table, JoinOptions(name="f", on=["k"], columns=["v"], time="time", unit="ns"))
    with pytest.raises(DataError, match="1 moments of prediction in one block are outside 1677-09-22 to 2262-04-11"):
        prepared.join([pa.chunked_array([["a"]])], pa.chunked_array([pa.array([FAR], pa.timestamp("us"))]))


def test_a_label_without_a_moment_gets_nothing():
    table = pa.table({"k": ["a"], "time": pa.array([0], US), "v": [1]})
    prepared = as_of_table(table, JoinOptions(name="f", on=["k"], columns=["v"], time="time"))
    values, counts = prepared.join([pa.chunked_array([["a", "a"]])], pa.chunked_array([pa.array([None, 5], US)]))
    assert (values["f.v"].to_pylist(), counts.null_key, counts.matched) == ([None, 1], 1, 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (pa.array([1.0, float("nan"), None, -0.0]), pa.array([float("nan"), 0.0, 1.0]), [2, None, None, 1]),
        (pa.array([7, None], pa.uint8()), pa.array([None, 7], pa.int64()), [1, None]),
        (pa.array(["7", "8"]), pa.array(["8", "7"]).dictionary_encode(), [1, 0]),
        (pa.array([1_001, 1_000], NS), pa.array([1], pa.timestamp("us")), [None, 0]),
        (pa.array([1_001, 1_000], NS), pa.array([1_000, 1_001], NS), [1, 0]),
        (pa.nulls(2), pa.array([1, 2]), [None, None]),
        (pa.array([b"a", b"\xff"]), pa.array([b"\xff", b"b"]), [None, 0]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_keys_match_as_a_person_means_it(ours, theirs, found):
    table = pa.table({"k": theirs, "v": list(range(len(theirs)))})
    joined, counts = lookup_table(table, JoinOptions(name="f", on=["k"], columns=["v"])).join(
        [pa.chunked_array([ours])], None
    )
    assert joined["f.v"].to_pylist() == found
    assert counts.null_key == sum(value is None or value != value for value in ours.to_pylist())
