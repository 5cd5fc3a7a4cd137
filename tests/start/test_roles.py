"""Key, time, group and part are found by names and by the values of all rows; the split follows from them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ray_pipeline.start.label import Label
from ray_pipeline.start.roles import Roles, find_roles, with_panel
from ray_pipeline.start.split import propose_splits
from ray_pipeline.start.table import StartTable

ROWS = 1_000
DAY_US = 86_400_000_000
rng = np.random.default_rng(2)
PLACE, NUMBER = np.arange(ROWS), rng.normal(size=ROWS)
DAYS = pa.array(PLACE * DAY_US // 10, pa.timestamp("us", "UTC"))
LABEL = Label(text="y", columns=("y",), task="regression", why="")


def roles_of(folder: Path, **columns: Any) -> tuple[StartTable, Roles]:
    pq.write_table(pa.table({"y": NUMBER, **columns}), folder / "rows.parquet")
    table = StartTable.open("labels", str(folder / "rows.parquet"), folder)
    return table, find_roles(table, ("y",))


def named(roles: Roles) -> dict[str, str]:
    return {name: role.column for name in ("key", "time", "group", "part") if (role := getattr(roles, name))}


def test_an_id_that_never_repeats_is_the_key_and_says_why(tmp_path: Path) -> None:
    _, roles = roles_of(tmp_path, price=NUMBER + 9, order_id=rng.permutation(ROWS), x=NUMBER)
    assert named(roles) == {"key": "order_id"}
    assert roles.key and roles.key.why == "it differs in all 1,000 rows, and none is missing"


def test_rising_whole_numbers_are_a_key_without_the_name_of_one(tmp_path: Path) -> None:
    assert named(roles_of(tmp_path, line=PLACE * 3)[1]) == {"key": "line"}
    assert named(roles_of(tmp_path, cents=rng.permutation(ROWS))[1]) == {}


def test_an_id_with_one_repetition_or_one_gap_is_no_key(tmp_path: Path) -> None:
    assert named(roles_of(tmp_path, row_id=np.where(PLACE == 999, 0, PLACE))[1]) == {}
    assert named(roles_of(tmp_path, row_id=pa.array(PLACE, mask=PLACE == 5))[1]) == {}


def test_a_repeated_id_is_the_group(tmp_path: Path) -> None:
    table, roles = roles_of(tmp_path, patient=rng.integers(0, 50, ROWS).astype(str), id=PLACE)
    assert named(roles) == {"key": "id", "group": "patient"}
    first, *others = propose_splits(table, roles, LABEL)
    assert first.keys == {"by": "random", "validation": 0.15, "test": 0.2, "group": "patient"}
    assert first.why.startswith("1,000 rows belong to 50 values of patient, 20 to each")
    assert [one.keys for one in others] == [{"by": "random", "validation": 0.15, "test": 0.2}]


def test_a_repeated_column_that_is_called_id_is_the_group_but_a_number_is_not(tmp_path: Path) -> None:
    assert named(roles_of(tmp_path, id=rng.integers(0, 50, ROWS))[1]) == {"group": "id"}
    assert named(roles_of(tmp_path, number=rng.integers(0, 50, ROWS))[1]) == {}


def test_a_time_that_few_rows_lack_orders_the_others(tmp_path: Path) -> None:
    almost, half = (pa.array(DAYS.to_pylist(), DAYS.type, mask=rows > PLACE) for rows in (3, 500))
    table, roles = roles_of(tmp_path, played_at=almost, paid_at=half)
    assert named(roles) == {"time": "played_at"}
    assert roles.time and roles.time.missing == 3 and "a time in all but 3 rows" in roles.time.why
    assert next(propose_splits(table, roles, LABEL)).by == "time"


PANELS: dict[str, tuple[Any, bool]] = {
    "forty stores over months": (PLACE % 40, True),
    "texts": ((PLACE % 40).astype(str), True),
    "few rows of a value": (PLACE % 200, False),
    "values that later rows alone have": (PLACE // 12, False),
}


@pytest.mark.parametrize(("store", "is_feature"), PANELS.values(), ids=PANELS)
def test_an_id_is_a_feature_where_later_rows_have_values_that_were_learned(
    tmp_path: Path, store: Any, is_feature: bool
) -> None:
    table, roles = roles_of(tmp_path, sold_at=DAYS, store_id=store)
    split = next(propose_splits(table, roles, LABEL))
    found = with_panel(table, roles, split.keys["validation"])
    assert ((found.panel or found.group).column, bool(found.panel)) == ("store_id", is_feature)  # type: ignore[union-attr]
    assert ("store_id" in found.columns) != is_feature
    if found.panel:
        assert (
            "100% of the later rows have a value that earlier rows have too, with 25 rows to a value" in found.panel.why
        )


def test_one_row_without_a_time_is_one_row(tmp_path: Path) -> None:
    _, roles = roles_of(tmp_path, played_at=pa.array(DAYS.to_pylist(), DAYS.type, mask=PLACE < 1))
    assert roles.time and "a time in all but 1 row, from" in roles.time.why


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000), ("ns", 10**9)])
def test_whole_numbers_that_count_from_1970_are_times(tmp_path: Path, unit: str, scale: int) -> None:
    seconds = 1_700_000_000 + PLACE * 8_640
    table, roles = roles_of(tmp_path, timestamp=seconds * scale, amount=seconds)
    assert named(roles) == {"time": "timestamp", "key": "amount"}
    assert table.time_units == {"timestamp": unit}
    assert table.sample["timestamp"][0].as_py() == datetime(2023, 11, 14, 22, 13, 20)
    assert next(propose_splits(table, roles, LABEL)).by == "time"


def test_a_time_in_every_row_cuts_the_rows_at_midnight(tmp_path: Path) -> None:
    table, roles = roles_of(
        tmp_path, sold_at=DAYS, birth_date=DAYS, shipped_at=pa.array(DAYS.to_pylist(), DAYS.type, mask=PLACE < 9)
    )
    assert named(roles) == {"time": "sold_at"}
    first, _ = propose_splits(table, roles, LABEL)
    assert first.keys == {"by": "time", "validation": datetime(1970, 3, 7), "test": datetime(1970, 3, 22)}


def test_a_scheduled_time_comes_before_other_times(tmp_path: Path) -> None:
    assert named(roles_of(tmp_path, end_time=DAYS, time=DAYS, sched_time=DAYS)[1]) == {"time": "sched_time"}


@pytest.mark.parametrize("shift", [0, -5, 9], ids=["UTC", "New York", "Tokyo"])
def test_a_time_comes_before_the_date_of_the_same_moment(tmp_path: Path, shift: int) -> None:
    zoned = pa.array(pc.subtract(DAYS, pa.scalar(shift * 3_600_000_000, pa.duration("us"))), pa.timestamp("us", "UTC"))
    assert named(roles_of(tmp_path, day=DAYS.cast(pa.date32()), when=zoned)[1]) == {"time": "when"}


def test_a_date_stays_the_time_where_the_other_time_is_of_another_moment(tmp_path: Path) -> None:
    later = pa.array(PLACE * DAY_US // 10 + PLACE % 7 * DAY_US, pa.timestamp("us"))
    assert named(roles_of(tmp_path, day=DAYS.cast(pa.date32()), when=later)[1]) == {"time": "day"}
    assert named(roles_of(tmp_path, day=DAYS.cast(pa.date32()), end_time=DAYS)[1]) == {"time": "day"}


def test_rows_of_few_days_are_not_split_by_time(tmp_path: Path) -> None:
    table, roles = roles_of(tmp_path, time=pa.array(PLACE * 1_000_000, pa.timestamp("us")))
    assert [one.by for one in propose_splits(table, roles, LABEL)] == ["random"]


def test_a_column_that_names_the_parts_decides_and_the_group_clusters(tmp_path: Path) -> None:
    part = rng.choice(["train", "validation", "test"], ROWS)
    table, roles = roles_of(tmp_path, part=part, user_id=rng.integers(0, 50, ROWS), split=np.where(PLACE % 2, "a", "b"))
    assert named(roles) == {"group": "user_id", "part": "part"}
    first = next(propose_splits(table, roles, LABEL))
    assert (first.keys, first.cluster) == ({"by": "column", "column": "part"}, "user_id")


def test_rows_of_which_few_differ_need_a_key_and_it_is_told(tmp_path: Path) -> None:
    few = {"y": PLACE % 3, "x": PLACE % 2}
    split = next(propose_splits(*roles_of(tmp_path, **few), LABEL))
    assert "only 6 of 1,000 rows differ, and equal rows stay in one part" in split.why
    assert "equal rows" not in next(propose_splits(*roles_of(tmp_path, **few, id=PLACE), LABEL)).why


def test_a_rare_class_is_split_alone(tmp_path: Path) -> None:
    table, roles = roles_of(tmp_path, x=NUMBER)
    rare = Label(text="y", columns=("y",), task="multiclass", why="", counts={"a": 990, "b": 10})
    (split,) = propose_splits(table, roles, rare)
    assert split.keys["stratify"] is True and "the class 'b' has 10 rows" in split.why
