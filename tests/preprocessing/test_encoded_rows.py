"""A part is fetched as a filter of all blocks would give it, in file order, and nothing else comes with it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from encoded_fixture import blocks, encoded

from ray_pipeline import encoded_block
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.preprocessing import encoded_rows as module
from ray_pipeline.preprocessing.encoded_rows import EncodedRows, Select
from ray_pipeline.values import PARTS, Part

pytestmark = pytest.mark.ray
ENCODERS = ("trees", "nets")


@pytest.fixture(scope="module")
def rows(ray_local: None) -> EncodedRows:
    """Four blocks; the second has no test row, the third no row at all."""
    import ray

    made = encoded(1_200, 4, 5, *ENCODERS)
    tables = ray.get(list(made.blocks))
    tables[1] = tables[1].filter(pa.compute.less(tables[1][encoded_block.PART], 2))
    tables[2] = tables[2].slice(0, 0)
    counts = tuple(tuple(np.bincount(table[encoded_block.PART].to_numpy(), minlength=3).tolist()) for table in tables)
    return replace(made, blocks=tuple(ray.put(table) for table in tables), block_rows=counts)


def brute_force(rows: EncodedRows, part: Part) -> pa.Table:
    """Every row of the part, by a filter of every block."""
    import ray

    whole = pa.concat_tables(ray.get(list(rows.blocks)))
    return whole.filter(pa.compute.equal(whole[encoded_block.PART], PARTS.index(part)))


def check(found: list[EncodedBlock], expected: pa.Table, encoder: str) -> None:
    matrices = [name for name in expected.column_names if name.startswith(encoded_block.MATRIX)]
    unused = [name for name in matrices if name != encoded_block.MATRIX + encoder]
    tables, expected_tables = pa.concat_tables([block.rows for block in found]), expected.drop_columns(unused)
    assert tables.schema == expected_tables.schema
    for name in set(tables.column_names) - set(matrices):
        assert tables[name].equals(expected_tables[name]), name
    matrix = np.concatenate([block.matrix for block in found])
    expected_matrix = np.stack(expected[encoded_block.MATRIX + encoder].to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(matrix, expected_matrix)
    for name in ("label", "weight"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(block, name) for block in found]), expected[name].to_numpy()
        )


@pytest.fixture(params=["here", "elsewhere"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Blocks of this node, or blocks that count as those of another one."""
    if request.param == "elsewhere":
        monkeypatch.setattr(module, "_on_other_nodes", set)
    return str(request.param)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_part_is_what_a_filter_of_all_blocks_gives(rows: EncodedRows, part: Part, encoder: str, place: str) -> None:
    expected = brute_force(rows, part)
    assert expected.num_rows > 100
    check(rows.part(part, encoder), expected, encoder)


def selections() -> dict[str, Select]:
    """They travel to workers by value, hence they are local functions."""

    def every_third(table: pa.Table, first: int) -> pa.Table:
        return table.filter(pa.array(np.arange(first, first + table.num_rows) % 3 == 0))

    def first_row(table: pa.Table, first: int) -> pa.Table:
        return table.slice(0, 0 if first else 1)

    def none(table: pa.Table, first: int) -> pa.Table:
        return table.slice(0, 0)

    return {"every third": every_third, "first": first_row, "none": none}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["every third", "first"])
def test_a_selection_sees_the_place_of_each_row_in_its_part(
    rows: EncodedRows, part: Part, name: str, place: str
) -> None:
    select = selections()[name]
    check(rows.part(part, "trees", select), select(brute_force(rows, part), 0), "trees")


def test_a_selection_of_nothing_is_nothing(rows: EncodedRows, place: str) -> None:
    assert rows.part("test", "trees", selections()["none"]) == []


def test_blocks_without_a_row_of_the_part_are_not_touched(rows: EncodedRows, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    fetched, get = list[object](), ray.get

    def counting_get(refs: object) -> object:
        fetched.append(refs)
        return get(refs)

    monkeypatch.setattr(ray, "get", counting_get)
    rows.part("test", "trees")
    assert fetched == [rows.blocks[0], rows.blocks[3]]


def test_on_one_node_a_part_is_a_view_of_its_block(rows: EncodedRows) -> None:
    import ray

    block = ray.get(rows.blocks[0])
    (first, *_) = rows.part("train", "trees")
    whole = next(encoded_block.views([block], "trees", "train"))
    assert np.shares_memory(first.matrix, whole.matrix) and np.shares_memory(first.label, whole.label)


def test_what_comes_from_another_node_is_not_larger_than_the_rows_asked_for() -> None:
    (block,) = blocks(3_000, 1, 0, *ENCODERS)
    sent = module._rows_of_part_as_ipc(block, "test", "trees", selections()["every third"], 0)
    number = int((block[encoded_block.PART].to_numpy() == 2).sum())
    received = pa.ipc.open_stream(sent).read_all()
    assert received.num_rows == -(-number // 3)
    row_bytes = 3 * 4 + 4 * 8 + 1  # the matrix; label, weight, key and cluster; the part
    assert sent.size < received.num_rows * row_bytes + 4_000  # and a schema


@pytest.mark.long
def test_from_another_node_only_the_part_is_fetched() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "rows_run.py")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["elsewhere"] == 4, "all blocks are on the other node"
    assert answer["equal"] == ["train", "validation", "test"]
    assert answer["fetched"] == 0, "no block has come to this node"
