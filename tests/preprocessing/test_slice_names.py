"""Names of slices, their bin edges from training rows, and the cluster by which rows are drawn together."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from profile_fixture import profile_of, spec_of

from ray_pipeline.components.slices._base import Slice
from ray_pipeline.data.rows import KEY, TIME
from ray_pipeline.data.table import Table
from ray_pipeline.hashing import hash_values
from ray_pipeline.preprocessing.slice_names import clusters_of, name_slices, slice_edges
from ray_pipeline.spec import Spec

CANONICAL = {"region": "branches.region"}
ROWS = 1_000


def table_of(resolve: dict[str, str] | None = None) -> Table:
    """A table that knows the canonical names of columns and nothing else."""
    return cast(Table, SimpleNamespace(canonical=lambda name: (resolve or CANONICAL).get(name, name)))


def slices_of(*written: Any) -> list[Slice]:
    return [Slice.parse(one) for one in written]


def test_bins_are_cut_at_the_quantiles_of_training_rows_alone() -> None:
    part = np.repeat([0, 1], ROWS)
    amount = np.concatenate([np.arange(ROWS), np.full(ROWS, 1e9)]).astype(float)
    profile = profile_of({"amount": amount}, pa.array(np.arange(2 * ROWS) % 2 == 0), part)
    edges = slice_edges(slices_of({"column": "amount", "bins": 4}, "sex"), table_of(), profile)
    assert list(edges) == ["amount"]
    np.testing.assert_allclose(edges["amount"], np.quantile(np.arange(ROWS), [0.25, 0.5, 0.75]))


def test_rows_are_named_by_the_columns_as_the_user_wrote_them() -> None:
    rows = pa.table({"branches.region": ["n", None, "s"], "amount": [1.0, 5.0, None], "purpose": ["a", "b", "c"]})
    slices = slices_of("region", {"column": "amount", "bins": 2}, ["region", "purpose"])
    names = name_slices(slices, rows, {"amount": [3.0]}, table_of())
    assert set(names) == {"region", "amount", "purpose"}
    assert names["region"].tolist() == ["n", "null", "s"]
    assert names["purpose"].tolist() == ["a", "b", "c"]
    low, high, missing = names["amount"].tolist()
    assert missing == "null" and len({low, high, missing}) == 3


def rows_of(**columns: Any) -> pa.Table:
    times = np.datetime64("2024-01-01", "us") + np.arange(48) * np.timedelta64(1, "h")
    return pa.table({KEY: np.arange(48), TIME: pa.array(times), **columns})


def clusters(spec: Spec, rows: pa.Table) -> list[list[int]]:
    """The places of the rows of each cluster, by the first place."""
    found = clusters_of(rows, spec, table_of({}))
    assert found.dtype == np.uint64 and found.shape == (rows.num_rows,)
    return sorted(np.flatnonzero(found == one).tolist() for one in np.unique(found))


TIME_SPLIT = "{by: time, validation: 2024-01-18, test: 2024-01-24}"


def by_time(more: str = "") -> Spec:
    return spec_of(split=TIME_SPLIT, features=", time: asked", more=more)


def test_rows_of_one_step_are_one_cluster_where_the_times_are_steps() -> None:
    split = "{by: time, validation: 1990, test: 2000}"
    years = pa.array(np.repeat([1969, 1990, 1991], 2) * 1_000_000).cast(pa.timestamp("us"))
    rows = pa.table({KEY: np.arange(6), TIME: years})
    spec = spec_of(split=split, features=", time: year, time_unit: step")
    assert clusters(spec, rows) == [[0, 1], [2, 3], [4, 5]]


def test_rows_of_one_utc_day_are_one_cluster_under_a_split_by_time() -> None:
    assert clusters(by_time(), rows_of()) == [list(range(24)), list(range(24, 48))]
    shifted = rows_of().set_column(1, TIME, rows_of()[TIME].cast(pa.timestamp("us", "UTC")))
    assert clusters(by_time(), shifted) == [list(range(24)), list(range(24, 48))]


def test_a_row_is_its_own_cluster_under_a_random_split() -> None:
    rows = rows_of()
    assert clusters(spec_of(), rows) == [[place] for place in range(48)]
    np.testing.assert_array_equal(clusters_of(rows, spec_of(), table_of({})), hash_values(rows[KEY]))


@pytest.mark.parametrize(
    "spec",
    [
        spec_of(split="{by: random, group: who}"),
        spec_of(more="evaluate: {cluster: who}"),
        by_time("evaluate: {cluster: who}"),
    ],
    ids=["the group of the split", "the chosen cluster", "the chosen cluster before the day"],
)
def test_rows_of_one_group_are_one_cluster(spec: Spec) -> None:
    rows = rows_of(who=np.arange(48) % 5)
    assert clusters(spec, rows) == [list(range(place, 48, 5)) for place in range(5)]


def test_a_group_is_the_same_cluster_whatever_the_type_of_its_column() -> None:
    spec, who = spec_of(more="evaluate: {cluster: who}"), np.arange(48) % 5
    small, large = rows_of(who=pa.array(who, pa.int8())), rows_of(who=pa.array(who, pa.int64()))
    np.testing.assert_array_equal(clusters_of(small, spec, table_of({})), clusters_of(large, spec, table_of({})))
