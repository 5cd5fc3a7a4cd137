"""What a run takes is arithmetic on footers: the numbers agree with the files, and the words with the numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import ROWS, write_spec

from ray_pipeline.errors import DataError
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.estimate import FLOAT_BYTES, ROLE_BYTES, Estimate, estimate
from ray_pipeline.tuning.stage_seconds import stage_seconds
from ray_pipeline.tuning.training_memory import CELL_BYTES, ROW_BYTES

LAYOUT = Layout(slots=4, workers=1, threads=2, gpus=0.0, fit_threads=8, memory=1e9)
COLUMNS = 7
"""amount, income, purpose, married; rate; size, region."""


@pytest.fixture(scope="module")
def spec(loans: Path) -> Spec:
    return Spec.from_file(write_spec(loans, "estimate.yaml"))


@pytest.fixture(scope="module")
def found(spec: Spec) -> Estimate:
    return estimate(spec, Where(), LAYOUT)


def test_rows_and_bytes_are_those_of_the_footers(found: Estimate, loans: Path) -> None:
    labels, files = found.tables["labels"], sorted((loans / "data/loans").iterdir())
    assert (labels.rows, labels.files) == (ROWS, 3)
    assert labels.bytes_on_disk == sum(file.stat().st_size for file in files)
    read = ("amount", "income", "purpose", "married", "sex", "branch", "loss", "loan_id", "asked")
    chunks = [
        group.column(place)
        for metadata in (pq.ParquetFile(file).metadata for file in files)
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups))
        for place in range(group.num_columns)
        if group.column(place).path_in_schema in read
    ]
    assert labels.bytes_read == sum(chunk.total_compressed_size for chunk in chunks)
    types = {field.name: field.type for field in pq.read_schema(files[0])}
    in_memory = [ROWS * (8 if pa.types.is_string(types[name]) else max(1, types[name].bit_width // 8)) for name in read]
    decoded = [sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == name) for name in read]
    assert labels.bytes_decoded == sum(map(max, in_memory, decoded))
    assert labels.join is None
    rates = found.tables["rates"].join
    assert rates is not None and (rates.how, rates.parts) == ("broadcast", 1)


def test_memory_is_the_arithmetic_on_rows_and_columns(found: Estimate) -> None:
    assert found.columns == COLUMNS
    assert found.encoded_bytes == ROWS * (COLUMNS * FLOAT_BYTES + ROLE_BYTES)
    assert found.worker_bytes == ROWS * (COLUMNS * CELL_BYTES + ROW_BYTES)
    assert not found.external


def test_two_families_with_encoders_of_their_own_are_encoded_twice(spec: Spec, found: Estimate) -> None:
    both = Spec.from_text(spec.render(), ["model=[xgboost, linear]"], file="both.yaml", folder=spec.folder)
    twice = estimate(both, Where(), LAYOUT)
    assert twice.encoded_bytes == ROWS * (2 * COLUMNS * FLOAT_BYTES + ROLE_BYTES)
    assert twice.worker_bytes == found.worker_bytes


def test_a_family_that_needs_more_memory_is_reckoned_with_it(spec: Spec, found: Estimate) -> None:
    both = Spec.from_text(spec.render(), ["model=[xgboost, catboost]"], file="both.yaml", folder=spec.folder)
    larger = estimate(both, Where(), LAYOUT)
    assert larger.worker_bytes == pytest.approx(2.7 * found.worker_bytes)
    assert "x 2.7 = " in "\n".join(larger.lines(trials=1))
    assert larger.total_bytes > found.total_bytes


def test_seconds_grow_with_rows_and_trials_and_end_at_the_time_of_the_search(spec: Spec) -> None:
    one = stage_seconds(10_000_000, 20, spec, LAYOUT)
    ten = stage_seconds(100_000_000, 20, spec, LAYOUT)
    assert ten["profile"] - 1 == pytest.approx(10 * (one["profile"] - 1), rel=0.05) and ten["read"] == one["read"]
    timed = Spec.from_text(spec.render(), ["search.time=60", "search.trials=1000"], file="t.yaml", folder=spec.folder)
    seconds = stage_seconds(1_000_000, 20, timed, LAYOUT)
    assert seconds["search"] + seconds["fit"] == pytest.approx(64, abs=0.2)


def test_workers_share_the_rows_and_what_does_not_fit_is_paged(spec: Spec, found: Estimate) -> None:
    shared = estimate(spec, Where(), replace(LAYOUT, workers=2))
    assert shared.worker_bytes == found.worker_bytes / 2
    limit = found.worker_bytes
    assert not replace(found, layout=replace(LAYOUT, memory=limit)).external
    assert replace(found, layout=replace(LAYOUT, memory=limit - 1)).external


def test_the_answer_of_the_verb_is_plain_json_of_the_same_numbers(found: Estimate) -> None:
    answer = json.loads(json.dumps(found.as_json()))
    assert (answer["rows"], answer["columns"], answer["external_memory"]) == (ROWS, COLUMNS, False)
    assert (answer["slots"], answer["workers"], answer["threads"], answer["fit_threads"]) == (4, 1, 2, 8)
    assert answer["encoded_bytes"] == found.encoded_bytes and answer["worker_memory"] == 1e9
    assert answer["tables"]["labels"]["join"] is None and answer["tables"]["branches"]["rows"] == 3
    assert answer["tables"]["rates"]["join"]["how"] == "broadcast"


def test_people_read_the_arithmetic(found: Estimate) -> None:
    lines = found.lines(trials=10)
    text = "\n".join(lines)
    assert f"labels     {ROWS:,} rows in 3 files; " in text and "branches   3 rows in 1 file; " in text
    assert f"{ROWS:,} rows x (7 columns x 4 bytes + {ROLE_BYTES}) = 408 kB, once a node" in text
    assert f"{ROWS:,} rows x (7 columns x 2.5 bytes + {ROW_BYTES}) = 417 kB, may hold 1 GB: in memory" in text
    assert "search     4 trials at once, each 1 worker x 2 CPUs; 10 trials in 3 turns" in text
    assert lines[-3] == "fit        1 worker x 8 CPUs"
    assert lines[-2] == "memory     about 946 MB in all"
    assert lines[-1].startswith("seconds    about read 2, profile 1, ")


def test_two_workers_that_page_their_rows_say_so(found: Estimate) -> None:
    layout = replace(LAYOUT, workers=2, threads=1, gpus=0.5, memory=10_000.0)
    text = "\n".join(replace(found, layout=layout).lines(trials=1))
    assert "/ 2 workers = " in text and "bins are paged from disk" in text
    assert "each 2 workers x 1 CPU and 0.5 GPU; 1 trial in 1 turn" in text


def test_every_problem_of_the_columns_is_told_at_once(loans: Path) -> None:
    path = write_spec(
        loans,
        "wrong.yaml",
        one="columns: [amount, income, purpose, married] => columns: [amount, incom, purpos, married]",
    )
    with pytest.raises(DataError) as refused:
        estimate(Spec.from_file(path), Where(), LAYOUT)
    text = str(refused.value)
    assert refused.value.exit_code == 3 and "incom" in text and "purpos" in text
