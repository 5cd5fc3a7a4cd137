"""What every slice must do: name every row, the same whatever the order or the block, and read and write its own
form."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from ray_pipeline.components.choice import menu
from ray_pipeline.components.slices._base import Slice, clash
from ray_pipeline.errors import DataError

EXAMPLES: dict[str, Any] = {
    "value": "origin",
    "quantile": {"column": "distance", "bins": 3},
    "crossing": ["origin", {"column": "distance", "bins": 3}],
}
EDGES = {"distance": [2.0, 5.0]}
KINDS = pytest.mark.parametrize("kind", menu("slices"))


def table(origin: list[str | None], distance: list[float | None]) -> pa.Table:
    return pa.table({"origin": pa.array(origin, pa.string()), "distance": pa.array(distance, pa.float64())})


@KINDS
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_it_names_every_row_whatever_the_order(kind: str, data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["JFK", "LGA", "", None]), st.one_of(st.none(), st.floats(allow_infinity=False))),
            max_size=20,
        )
    )
    one, whole = Slice.parse(EXAMPLES[kind]), table([a for a, _ in rows], [b for _, b in rows])
    names = one.name_of(whole, EDGES)
    assert tuple(names) == one.columns
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=int)
    cut = data.draw(st.integers(0, len(rows)))
    blocks = pa.concat_tables([whole.take(order[:cut]), whole.take(order[cut:])])
    for column, again in one.name_of(blocks, EDGES).items():
        assert all(isinstance(name, str) for name in names[column])
        assert again.tolist() == names[column][order].tolist()


@KINDS
def test_what_is_written_is_what_is_read(kind: str) -> None:
    class Holder(BaseModel):
        model_config = ConfigDict(strict=True, frozen=True)
        slices: tuple[Slice, ...]

    holder = Holder.model_validate({"slices": (EXAMPLES[kind],)})
    assert holder.model_dump(mode="json") == {"slices": [EXAMPLES[kind]]}
    assert Holder.model_validate({"slices": tuple(holder.model_dump(mode="json")["slices"])}) == holder
    assert Holder.model_json_schema()["$defs"]["Slice"]["anyOf"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array(["UA", None, "null"]), ["UA", "null", "null"]),
        (pa.array(["UA", None, "UA"]).dictionary_encode(), ["UA", "null", "UA"]),
        (pa.array([1, 2, None], pa.int32()), ["1", "2", "null"]),
        (pa.array([1.5, float("nan"), None]), ["1.5", "null", "null"]),
        (pa.array([True, None, False]), ["true", "null", "false"]),
        (pa.array([None, None]), ["null", "null"]),
        (pa.array([0, None], pa.date32()), ["1970-01-01", "null"]),
    ],
)
def test_a_value_is_named_by_its_text_and_a_missing_one_null(values: pa.Array, names: list[str]) -> None:
    assert Slice.parse("c").name_of(pa.table({"c": values}), {})["c"].tolist() == names


def test_bins_are_named_by_their_edges_and_a_row_at_an_edge_goes_up() -> None:
    names = Slice.parse({"column": "distance", "bins": 3}).name_of(table([None] * 5, [1, 2, 4.9, 5, None]), EDGES)[
        "distance"
    ]
    assert names.tolist() == ["< 2", "[2, 5)", "[2, 5)", ">= 5", "null"]


def test_equal_edges_make_one_bin_and_close_ones_stay_apart() -> None:
    cut = Slice.parse({"column": "distance", "bins": 4})
    assert set(cut.name_of(table([None] * 3, [1, 2, 3]), {"distance": [2, 2, 2]})["distance"]) == {"< 2", ">= 2"}
    close = cut.name_of(table([None] * 3, [1, 1.00000001, 2]), {"distance": [1.0, 1.00000001]})["distance"]
    assert len(set(close)) == 2 and "1.00000001" in close[1]


def test_a_column_is_found_by_its_bare_name_where_that_is_unique() -> None:
    rows = pa.table({"weather.temp": ["a"], "planes.year": ["b"], "weather.year": ["c"]})
    assert Slice.parse("temp").name_of(rows, {})["temp"].tolist() == ["a"]
    with pytest.raises(DataError, match=r"it may be planes\.year or weather\.year"):
        Slice.parse("year").name_of(rows, {})


def test_an_absent_column_offers_the_nearest() -> None:
    with pytest.raises(DataError, match=r"there is no column 'orgin' to slice by.*did you mean 'origin'"):
        Slice.parse("orgin").name_of(table([None], [None]), {})


def test_text_cannot_be_cut_into_bins() -> None:
    with pytest.raises(DataError, match=r"holds string, which cannot be cut into bins.*slice by the value itself"):
        Slice.parse({"column": "origin"}).name_of(table(["JFK"], [1]), {"origin": [1.0]})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (7, "7 is not a slice; write a column"),
        ({"bins": 4}, "is not a slice; write a column"),
        ({"column": "a", "bins": 1}, "bins: Input should be greater than or equal to 2"),
        ({"column": "a", "binz": 3}, "binz: Extra inputs are not permitted"),
        (["a"], "at least 2 items"),
        (["a", "a"], "names each column once"),
        (["a", ["b", "c"]], r"a crossing of crossings is one list; write \[a, b, c\]"),
    ],
)
def test_what_is_no_slice_says_why(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Slice.parse(written)


def test_a_column_is_cut_in_one_way_only() -> None:
    assert (
        clash([Slice.parse(written) for written in ("a", ["a", "b"], {"column": "c"}, ["b", {"column": "c"}])]) is None
    )
    assert (
        clash([Slice.parse("a"), Slice.parse({"column": "a", "bins": 3})])
        == "'a' is sliced both by value and into 3 bins; slice a column in one way"
    )
