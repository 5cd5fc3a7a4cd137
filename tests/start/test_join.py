"""A feature table joins by the keys that match, as of the time that both have, and says how many rows match."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import write_tables

from ray_pipeline.errors import DataError
from ray_pipeline.start.join import JoinProposal, propose_join
from ray_pipeline.start.roles import find_roles
from ray_pipeline.start.table import StartTable

ROWS = 300
rng = np.random.default_rng(4)
SHOP, ITEM = rng.integers(0, 40, ROWS), rng.choice(list("abcde"), ROWS)


@pytest.fixture(scope="module")
def loans_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start_loans")
    write_tables(folder, rows=2_000)
    return folder


def opened(name: str, path: Path) -> StartTable:
    return StartTable.open(name, str(path), path.parent)


def joined(folder: Path, columns: dict[str, Any], own: Mapping[str, Any] = MappingProxyType({})) -> JoinProposal:
    sales = {"y": rng.normal(size=ROWS), "shop": SHOP, "item": ITEM, **own}
    pq.write_table(pa.table(sales), folder / "sales.parquet")
    pq.write_table(pa.table(columns), folder / "other.parquet")
    labels = opened("labels", folder / "sales.parquet")
    return propose_join(labels, find_roles(labels, ("y",)), ("y",), opened("other", folder / "other.parquet"))


def test_a_table_with_times_is_joined_as_of_the_label_time_and_knows_when_rows_were_known(loans_folder: Path) -> None:
    labels = opened("labels", loans_folder / "loans")
    join = propose_join(
        labels, find_roles(labels, ("loss",)), ("loss",), opened("rates", loans_folder / "rates.parquet")
    )
    assert (join.on, join.time, join.known_at, join.columns) == (("branch",), "hour", "known", ("rate",))
    assert join.counts.never_seen == sum(one == "z" for one in labels.sample["branch"].to_pylist())
    assert 0.9 < join.matched < 1 and "find a row that was known by then" in join.why
    assert join.old and "99 % of the joined rows are at most" in join.old


def test_a_table_without_times_is_a_lookup_by_its_key(loans_folder: Path) -> None:
    labels = opened("labels", loans_folder / "loans")
    table = opened("branches", loans_folder / "branches.parquet")
    join = propose_join(labels, find_roles(labels, ("loss",)), ("loss",), table)
    assert (join.on, join.time, join.columns, join.old) == (("branch",), None, ("size", "region"), None)
    assert join.rows.column_names == ["branches.size", "branches.region"]
    assert join.counts.rows == 2_000 and join.why == f"{join.matched:.0%} of 2,000 sampled rows find their row"


def test_a_key_of_two_columns_is_found(tmp_path: Path) -> None:
    pairs = {"shop": np.repeat(np.arange(40), 5), "item": np.tile(list("abcde"), 40)}
    join = joined(tmp_path, {**pairs, "stock": rng.integers(0, 9, 200)})
    assert (join.on, join.matched) == (("shop", "item"), 1.0)


HOURS = np.arange(ROWS) * 3_600_000_000
ZONED, PLAIN = pa.array(HOURS, pa.timestamp("us", "UTC")), pa.array(HOURS, pa.timestamp("us"))


def test_dates_of_labels_are_joined_with_times_that_have_a_zone(tmp_path: Path) -> None:
    days = pa.array(np.arange(ROWS, dtype=np.int32), pa.date32())
    join = joined(tmp_path, {"shop": SHOP, "seen": ZONED, "size": HOURS}, {"day": days})
    assert (join.on, join.time, join.columns) == (("shop",), "seen", ("size",)) and join.matched > 0.5


@pytest.mark.parametrize(
    ("own", "says", "fix"),
    [
        ({"at": PLAIN}, "every key repeats (shop), and other.seen has a zone, but labels.at has none", "both in UTC"),
        ({}, "every key repeats (shop), and labels has no time as of which a row counts", "one row for each key"),
    ],
)
def test_the_reason_is_told_why_no_time_orders_the_rows(
    tmp_path: Path, own: dict[str, Any], says: str, fix: str
) -> None:
    with pytest.raises(DataError) as refused:
        joined(tmp_path, {"shop": SHOP, "seen": ZONED, "size": HOURS}, own)
    (problem,) = refused.value.problems
    assert says in problem.found and fix in problem.fix


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no common column": (
        {"store": [90, 91], "size": [1.5, 2.5]},
        "no key has the same name and type",
        "labels has shop",
    ),
    "no key at all": ({"size": [1.5, 2.5]}, "no key has the same name", "this table has no text and no whole number"),
    "another name": (
        {"store": np.arange(40), "size": np.ones(40)},
        "100% of labels.shop are in store",
        "rename 'store' to 'shop'",
    ),
    "another type": (
        {"shop": list("abc"), "size": [1.0, 2.0, 3.0]},
        "no key has the same name and type",
        "labels has shop",
    ),
    "nothing matches": ({"shop": [900, 901], "size": [1.0, 2.0]}, "by shop 0.0% of 300 sampled rows", "leave it out"),
    "repeated keys": ({"shop": [1, 1], "size": [1.0, 2.0]}, "every key repeats (shop)", "one row for each key"),
}


@pytest.mark.parametrize(("columns", "says", "fix"), BAD.values(), ids=BAD)
def test_a_table_that_cannot_be_joined_is_refused_with_a_remedy(
    tmp_path: Path, columns: dict[str, Any], says: str, fix: str
) -> None:
    with pytest.raises(DataError) as refused:
        joined(tmp_path, columns)
    (problem,) = refused.value.problems
    assert says in problem.found and fix in problem.fix and problem.key == "--features"
