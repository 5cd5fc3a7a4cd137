"""What every splitter must do: give each row one part that depends on the row alone; and what each of them promises
besides."""

import pickle
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh64_intdigest

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.splitters._base import DROPPED, TEST, TRAIN, VALIDATION, Splitter
from ray_pipeline.duration import parse_duration, write_duration
from ray_pipeline.errors import DataError

EVERY = menu("splitters")
START = np.datetime64("2024-01-01T00:00:00", "us")
MADE: dict[str, list[dict[str, Any]]] = {
    "random": [
        {},
        {"group": "team"},
        {"stratify": True},
        {"group": "team", "stratify": True},
        {"validation": 0.3, "test": 0.2, "seed": 9},
    ],
    "time": [
        {"validation": "2024-01-11", "test": "2024-01-16"},
        {"validation": "2024-01-11", "test": "2024-01-16", "gap": "12h"},
    ],
    "column": [{"column": "fold"}, {"column": "half"}, {"column": "half", "group": "team"}],
}
CASES = [
    pytest.param(word, fields, id=f"{word}-{'-'.join(fields) or 'plain'}") for word in EVERY for fields in MADE[word]
]


def rows_of(n: int = 3_000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "key": pa.array(rng.permutation(n * 5)[:n], pa.int64()),
            "time": pa.array(START + rng.integers(0, 20 * 24 * 60, n).astype("timedelta64[m]")),
            "label": pa.array((rng.random(n) < 0.2).astype(float)),
            "team": pa.array(rng.integers(0, 150, n), pa.int32()),
            "fold": rng.choice(["train", "validation", "test"], n, p=[0.6, 0.2, 0.2]),
            "half": rng.choice(["train", "test"], n),
        }
    )


def made(word: str, fields: dict[str, Any]) -> Splitter:
    return find("splitters", word).model_validate(fields)  # type: ignore[no-any-return]


def fitted(splitter: Splitter, rows: pa.Table) -> Splitter:
    return splitter.fit(rows.select(list(splitter.fit_columns()))) if splitter.fit_columns() else splitter


def test_every_splitter_of_the_folder_is_tried_here() -> None:
    assert set(EVERY) == set(MADE)


@pytest.mark.parametrize(("word", "fields"), CASES)
def test_every_row_is_in_exactly_one_part_and_no_part_is_empty(word: str, fields: dict[str, Any]) -> None:
    rows = rows_of()
    part = fitted(made(word, fields), rows).part_of(rows)
    assert part.dtype == np.int8 and part.shape == (rows.num_rows,)
    allowed = {TRAIN, VALIDATION, TEST} | ({DROPPED} if "gap" in fields else set())
    assert set(part.tolist()) == allowed


@pytest.mark.parametrize(("word", "fields"), CASES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(15, 700))
def test_neither_the_order_of_rows_nor_the_size_of_blocks_moves_a_row(
    word: str, fields: dict[str, Any], seed: int, size: int
) -> None:
    rows = rows_of(600)
    order = np.random.default_rng(seed).permutation(rows.num_rows)
    shuffled = rows.take(order)
    whole = fitted(made(word, fields), rows).part_of(rows)
    splitter = fitted(made(word, fields), shuffled)
    blocks = [splitter.part_of(shuffled.slice(at, size)) for at in range(0, rows.num_rows, size)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole[order])


@pytest.mark.parametrize(("word", "fields"), [case for case in CASES if "stratify" not in case.values[1]])
def test_appended_rows_move_no_row(word: str, fields: dict[str, Any]) -> None:
    rows = rows_of(4_000)
    first = rows.slice(0, 1_500)
    before, after = (fitted(made(word, fields), some).part_of(some) for some in (first, rows))
    np.testing.assert_array_equal(before, after[:1_500])


@pytest.mark.parametrize(("word", "fields"), CASES)
@pytest.mark.parametrize("type_", [pa.int32(), pa.uint32(), pa.float64(), pa.string(), pa.large_string()], ids=str)
def test_the_type_that_a_file_gives_a_whole_key_moves_no_row(
    word: str, fields: dict[str, Any], type_: pa.DataType
) -> None:
    rows = rows_of(500)
    other = rows.set_column(0, "key", rows["key"].cast(type_)).set_column(3, "team", rows["team"].cast(pa.int64()))
    np.testing.assert_array_equal(
        fitted(made(word, fields), rows).part_of(rows), fitted(made(word, fields), other).part_of(other)
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), validation=st.sampled_from([0.05, 0.15, 0.4]), test=st.sampled_from([0.1, 0.25]))
def test_random_shares_are_within_binomial_noise(seed: int, validation: float, test: float) -> None:
    n = 4_000
    part = made("random", {"validation": validation, "test": test, "seed": seed}).part_of(
        pa.table({"key": np.arange(n)})
    )
    for code, share in ((TEST, test), (VALIDATION, validation), (TRAIN, 1 - validation - test)):
        assert abs((part == code).sum() - n * share) < 5 * np.sqrt(n * share * (1 - share))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_a_row_s_part_is_the_xxhash_of_its_decimal_key(keys: list[int], seed: int) -> None:
    part = made("random", {"seed": seed}).part_of(pa.table({"key": pa.array(keys, pa.int64())}))
    for key, found in zip(keys, part, strict=True):
        position = (xxh64_intdigest(str(key).encode(), seed) >> 11) / 2**53
        assert found == (TEST if position < 0.15 else VALIDATION if position < 0.3 else TRAIN)


@pytest.mark.parametrize(
    "fields", [{"group": "team"}, {"group": "team", "seed": 4, "validation": 0.4}, {"group": "team", "stratify": True}]
)
def test_a_group_is_never_divided(fields: dict[str, Any]) -> None:
    rows = rows_of()
    part, team = fitted(made("random", fields), rows).part_of(rows), rows["team"].to_numpy()
    assert all(len(set(part[team == one].tolist())) == 1 for one in np.unique(team))
    carving = fitted(made("column", {"column": "half", "group": "team"}), rows)
    carved = carving.part_of(rows)
    assert all(len(set(carved[(team == one) & (carved != TEST)].tolist())) <= 1 for one in np.unique(team))


def test_stratify_gives_each_class_the_same_shares() -> None:
    rows = rows_of()
    part, label = (
        fitted(made("random", {"stratify": True, "validation": 0.2, "test": 0.1}), rows).part_of(rows),
        rows["label"].to_numpy(),
    )
    for value in (0.0, 1.0):
        n = int((label == value).sum())
        assert int((part[label == value] == TEST).sum()) == round(0.1 * n)
        assert abs(int((part[label == value] == VALIDATION).sum()) - 0.2 * n) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=1, max_size=120),
    st.sampled_from([0.1, 0.15, 0.4]),
    st.sampled_from([0.1, 0.2, 0.45]),
    st.integers(0, 99),
)
def test_stratified_groups_stay_whole_and_each_class_of_groups_has_its_shares(
    drawn: list[tuple[int, str]], validation: float, test: float, seed: int
) -> None:
    teams, labels = zip(*drawn, strict=True)
    rows = pa.table({"key": range(len(drawn)), "team": teams, "label": labels})
    fields = {"group": "team", "stratify": True, "validation": validation, "test": test, "seed": seed}
    parts = fitted(made("random", fields), rows).part_of(rows).tolist()
    part_of = dict(zip(teams, parts, strict=True))
    assert [part_of[team] for team in teams] == parts
    size, of_class = Counter(teams), dict[str, list[int]]()
    for team in sorted(size):
        of_team, everywhere = Counter(label for one, label in drawn if one == team), Counter(labels)
        most = [label for label in of_team if of_team[label] == max(of_team.values())]
        rarest = [label for label in most if everywhere[label] == min(everywhere[one] for one in most)]
        of_class.setdefault(min(rarest, key=lambda label: xxh64_intdigest(label.encode())), []).append(team)
    for mine in of_class.values():
        mine.sort(key=lambda team: xxh64_intdigest(str(team).encode(), seed))
        order = [(TEST, VALIDATION, TRAIN).index(part_of[team]) for team in mine]
        assert order == sorted(order) and order[-1] == 2
        rows_of_class, largest = sum(size[team] for team in mine), max(size[team] for team in mine)
        for last, share in ((0, test), (1, test + validation)):
            below = sum(size[team] for team, part in zip(mine, order, strict=True) if part <= last)
            possible = [sum(size[team] for team in mine[:end]) for end in range(len(mine))]
            assert abs(below - share * rows_of_class) <= largest
            assert abs(below - share * rows_of_class) == min(abs(end - share * rows_of_class) for end in possible)


def test_a_splitter_of_stratified_groups_keeps_eight_bytes_for_each_group_held_out() -> None:
    rows = rows_of(20_000).set_column(3, "team", pa.array(np.arange(20_000) // 2))
    plain, splitter = made("random", {}), fitted(made("random", {"group": "team", "stratify": True}), rows)
    assert len(pickle.dumps(splitter)) - len(pickle.dumps(plain)) < 0.3 * 10_000 * 8 + 1_000
    again = pickle.loads(pickle.dumps(splitter))
    np.testing.assert_array_equal(again.part_of(rows), splitter.part_of(rows))
    assert splitter.model_dump() == made("random", {"group": "team", "stratify": True}).model_dump()


def test_nothing_is_held_out_of_no_rows() -> None:
    rows = rows_of(0)
    assert fitted(made("random", {"group": "team", "stratify": True}), rows).part_of(rows_of(3)).tolist() == [TRAIN] * 3


@pytest.mark.parametrize(("word", "fields"), CASES)
def test_fitting_leaves_the_splitter_and_earlier_fits_as_they_were(word: str, fields: dict[str, Any]) -> None:
    rows, splitter = rows_of(500), made(word, fields)
    first = fitted(splitter, rows)
    before = first.part_of(rows)
    fitted(splitter, rows.slice(0, 200)), fitted(first, rows.slice(200))
    np.testing.assert_array_equal(first.part_of(rows), before)
    assert splitter == made(word, fields)


def test_a_row_at_a_cut_goes_to_the_later_part_and_the_gap_is_dropped_exactly() -> None:
    cut, last = datetime(2024, 3, 1), datetime(2024, 4, 1)
    tick, gap = timedelta(microseconds=1), timedelta(hours=6)
    expected = {
        cut - gap - tick: TRAIN,
        cut - gap: DROPPED,
        cut - tick: DROPPED,
        cut: VALIDATION,
        last - gap - tick: VALIDATION,
        last - gap: DROPPED,
        last - tick: DROPPED,
        last: TEST,
        last + tick: TEST,
    }
    rows = pa.table({"time": pa.array(list(expected), pa.timestamp("us"))})
    assert made("time", {"validation": "2024-03-01", "test": "2024-04-01", "gap": "6h"}).part_of(rows).tolist() == list(
        expected.values()
    )
    without = made("time", {"validation": "2024-03-01", "test": "2024-04-01"}).part_of(rows).tolist()
    assert without == [TRAIN] * 3 + [VALIDATION] * 4 + [TEST] * 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.datetimes(datetime(2023, 12, 1), datetime(2024, 3, 1)), min_size=1, max_size=40),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 15)),
    st.datetimes(datetime(2024, 1, 16), datetime(2024, 2, 1)),
    st.integers(0, 14 * 24),
)
def test_time_parts_agree_with_comparing_each_row_by_itself(
    times: list[datetime], first: datetime, second: datetime, hours: int
) -> None:
    gap = timedelta(hours=hours)
    splitter = find("splitters", "time")(validation=first, test=second, gap=gap)

    def alone(time: datetime) -> int:
        if any(cut - gap <= time < cut for cut in (first, second)):
            return DROPPED
        return TRAIN if time < first else VALIDATION if time < second else TEST

    assert splitter.part_of(pa.table({"time": pa.array(times, pa.timestamp("us"))})).tolist() == [
        alone(time) for time in times
    ]


@pytest.mark.parametrize(
    "type_",
    [
        pa.timestamp("ms"),
        pa.timestamp("ns"),
        pa.timestamp("us", "America/New_York"),
        pa.timestamp("s", "UTC"),
        pa.date32(),
    ],
    ids=str,
)
def test_cuts_mean_utc_whatever_the_unit_and_zone_of_the_column(type_: pa.DataType) -> None:
    moments = [datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 2, tzinfo=UTC)]
    aware = pa.array(moments, pa.timestamp("us", "UTC"))
    rows = pa.table({"time": aware.cast(type_)})
    assert made("time", {"validation": "2024-03-01", "test": "2024-04-01"}).part_of(rows).tolist() == [
        TRAIN,
        VALIDATION,
        TEST,
    ]


def test_cut_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"validation \(2024-04-01\) must be before test \(2024-03-01\)"):
        made("time", {"validation": "2024-04-01", "test": "2024-03-01"})


def test_strange_values_of_a_split_column_are_reported_with_their_counts() -> None:
    rows = pa.table({"fold": ["train"] * 3 + ["Test"] * 2 + [None] * 4})
    with pytest.raises(DataError) as raised:
        fitted(made("column", {"column": "fold"}), rows)
    (problem,) = raised.value.problems
    assert raised.value.exit_code == 3 and (problem.stage, problem.column, problem.rows) == ("split", "fold", 6)
    assert (
        "6 rows name no part" in problem.found
        and "'Test' (2 rows)" in problem.found
        and "None (4 rows)" in problem.found
    )


def test_validation_is_carved_out_of_train_only_where_the_column_names_none() -> None:
    rows, code = rows_of(), {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    named = fitted(made("column", {"column": "fold"}), rows).part_of(rows)
    assert named.tolist() == [code[fold] for fold in rows["fold"].to_pylist()]
    carved, half = (
        fitted(made("column", {"column": "half", "validation": 0.25}), rows).part_of(rows),
        np.array(rows["half"].to_pylist()),
    )
    assert (carved[half == "test"] == TEST).all() and not (carved[half == "train"] == TEST).any()
    n = int((half == "train").sum())
    assert abs((carved == VALIDATION).sum() - n / 4) < 5 * np.sqrt(n * 3 / 16)
    encoded = rows.set_column(5, "half", rows["half"].combine_chunks().dictionary_encode())
    np.testing.assert_array_equal(
        fitted(made("column", {"column": "half", "validation": 0.25}), encoded).part_of(encoded), carved
    )


@given(st.integers(0, 10**7))
def test_a_duration_is_read_back_as_it_was_written(seconds: int) -> None:
    assert parse_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("wrong", ["", "6", "h", "-1d", "6 hours", 6, None])
def test_what_is_no_length_of_time_is_reported_with_the_accepted_form(wrong: object) -> None:
    with pytest.raises(ValueError, match="90s, 10m, 6h, 1d or 2w"):
        parse_duration(wrong)


@pytest.mark.parametrize("folds", [1, 21, -1, True, "five", 2.5])
def test_folds_are_auto_none_or_a_sensible_number(folds: Any) -> None:
    with pytest.raises(ValueError, match="expected auto, 0 or from 2 to 20 folds"):
        made("random", {"folds": folds})
    for good in ("auto", 0, 2, 20):
        assert made("random", {"folds": good}).folds == good
