"""Digests name what a stage made: the same whatever the blocks and the clock were, another one for any other byte."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from bundle_fixture import train
from encoded_fixture import blocks, encoded

from ray_pipeline import encoded_block
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runs.digests import model_digest, split_digest, table_digest, trials_digest
from ray_pipeline.tuning.sampler import TrialResult

TRIAL = TrialResult(
    trial=0,
    family="xgboost",
    params={"max_depth": 3},
    rungs=((10, 0.7), (40, 0.8)),
    metric=0.8,
    rounds=40,
    seconds=1.5,
    status="completed",
)


def test_the_clock_and_a_librarys_words_are_not_in_the_digest_of_the_trials_and_all_else_is() -> None:
    digest = trials_digest([TRIAL])
    assert trials_digest([replace(TRIAL, seconds=9.0, why="other words")]) == digest
    others = [
        replace(TRIAL, trial=1),
        replace(TRIAL, params={"max_depth": 4}),
        replace(TRIAL, rungs=((10, 0.7), (40, 0.8000000001))),
        replace(TRIAL, metric=None),
        replace(TRIAL, status="stopped"),
    ]
    assert len({digest, *(trials_digest([other]) for other in others)}) == 6
    assert trials_digest([TRIAL, others[0]]) != trials_digest([others[0], TRIAL])


def test_a_tables_digest_does_not_depend_on_its_chunks_and_does_on_every_value() -> None:
    table = pa.table({"key": range(100), "score": [number / 7 for number in range(100)]})
    chunked = pa.concat_tables([table.slice(0, 33), table.slice(33)])
    assert chunked["key"].num_chunks == 2 and table_digest(chunked) == table_digest(table)
    assert table_digest(table.slice(1)) != table_digest(table)
    assert table_digest(table.rename_columns(["key", "label"])) != table_digest(table)
    assert table_digest(table.set_column(1, "score", pa.array([0.0] * 100))) != table_digest(table)


def test_a_models_digest_is_of_every_file_but_where_the_data_was(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    digest = model_digest(bundle)
    copied = Path(shutil.copytree(bundle.folder, tmp_path / "copy"))
    again = replace(bundle, folder=copied)
    for name in ("schema.json", "SHA256SUMS"):
        (copied / name).write_text("{}")
    assert model_digest(again) == digest
    for name in ("encoder.json", "model.ubj", "model.json", "calibration.json"):
        before = (copied / name).read_bytes()
        (copied / name).write_bytes(before + b" ")
        assert model_digest(again) != digest, name
        (copied / name).write_bytes(before)
    (copied / "calibration.json").rename(copied / "other.json")
    assert model_digest(again) != digest


@pytest.mark.ray
def test_a_splits_digest_is_of_keys_and_parts_whatever_the_order_and_the_blocks(ray_local: None) -> None:
    import ray

    rows = encoded(600, num_blocks=3)
    digest = split_digest(rows)
    whole = pa.concat_tables(blocks(600, 3))

    def as_blocks(*tables: pa.Table) -> EncodedRows:
        return replace(rows, blocks=tuple(ray.put(table) for table in tables))

    assert split_digest(as_blocks(whole)) == digest
    assert split_digest(as_blocks(whole.slice(200), whole.slice(0, 200), whole.slice(0, 0))) == digest
    assert split_digest(as_blocks(whole.slice(1))) != digest
    part = whole[encoded_block.PART].to_numpy().copy()
    part[0] = (part[0] + 1) % 3
    place = whole.column_names.index(encoded_block.PART)
    assert split_digest(as_blocks(whole.set_column(place, encoded_block.PART, pa.array(part)))) != digest
