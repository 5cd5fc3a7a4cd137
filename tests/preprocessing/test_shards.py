"""Every row is in exactly one worker's shard, in order, whatever the number of workers and the blocks."""

import numpy as np
import pytest
from encoded_fixture import encoded

from ray_pipeline import encoded_block
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.values import Part

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def rows(ray_local: None) -> EncodedRows:
    return encoded(700, num_blocks=5)


def keys(shard: Shard) -> list[int]:
    return [key for block in shard for key in block.rows[encoded_block.KEY].to_pylist()]


@pytest.mark.parametrize("parts", [("train",), ("validation",), ("train", "validation")])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_every_row_of_the_parts_is_in_exactly_one_shard(rows: EncodedRows, parts: tuple[Part, ...], world: int) -> None:
    shards = [Shard(rows, "trees", *parts, rank=rank, world=world) for rank in range(world)]
    whole = keys(Shard(rows, "trees", *parts))
    assert [key for shard in shards for key in keys(shard)] == whole
    assert len(set(whole)) == len(whole) == sum(rows.rows[part] for part in parts)
    sizes = [shard.num_rows for shard in shards]
    assert sum(sizes) == len(whole) and max(sizes) - min(sizes) <= 1


def test_more_workers_than_rows_leave_some_without_any(ray_local: None) -> None:
    rows = encoded(12, num_blocks=2)
    shards = [Shard(rows, "trees", "test", rank=rank, world=50) for rank in range(50)]
    assert sum(shard.num_rows for shard in shards) == rows.rows["test"]
    assert {shard.num_rows for shard in shards} == {0, 1} and [len(shard) for shard in shards].count(0) > 30


def test_a_share_of_the_rows_is_every_so_many_of_each_block(rows: EncodedRows) -> None:
    whole, third = Shard(rows, "trees", "train"), Shard(rows, "trees", "train", every=3)
    assert third.num_rows == sum(len(block.label) for block in third) < whole.num_rows
    for full, sampled in zip(whole, third, strict=True):
        np.testing.assert_array_equal(sampled.matrix, full.matrix[::3])
        np.testing.assert_array_equal(sampled.label, full.label[::3])
        np.testing.assert_array_equal(sampled.weight, full.weight[::3])


def test_it_is_a_sequence(rows: EncodedRows) -> None:
    shard = Shard(rows, "trees", "train", "validation")
    assert len(shard) == len(list(shard)) == 10
    np.testing.assert_array_equal(shard[-1].label, list(shard)[-1].label)
    assert [len(block.label) for block in shard[2:5]] == [len(block.label) for block in list(shard)[2:5]]
