"""The types in a footer, read byte by byte: those that Arrow reads, in long and short footers of several writers."""

import random
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.sources import _chunk_types
from ray_pipeline.components.sources._chunk_types import chunk_types

COLUMNS = {
    "whole": [1, None, 3],
    "real": [0.5, -1.0, None],
    "flag": [True, False, None],
    "text": ["x" * 200, "", None],
    "bytes": pa.array([b"ab", b"cd", None], pa.binary(2)),
    "list": [[1, 2], [], None],
    "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
    "ü": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
    "float": pa.array([1, 2, 3], pa.float32()),
    "small": pa.array([1, 2, 3], pa.int8()),
}


def footer_of(**options: Any) -> tuple[bytes, pq.FileMetaData]:
    sink = BytesIO()
    pq.write_table(pa.table(COLUMNS), sink, row_group_size=1, **options)
    content = sink.getvalue()
    length = int.from_bytes(content[-8:-4], "little")
    return content[-8 - length : -8], pq.read_metadata(BytesIO(content))


@pytest.mark.parametrize("long", [0, 10**9])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"version": "1.0", "use_deprecated_int96_timestamps": True, "write_statistics": False},
        {"write_page_index": True, "write_page_checksum": True, "use_dictionary": False},
        {"sorting_columns": [pq.SortingColumn(0)], "store_decimal_as_integer": True, "compression": "zstd"},
    ],
)
def test_the_types_are_those_that_arrow_reads(
    options: dict[str, Any], long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_chunk_types, "LONG", long)
    footer, metadata = footer_of(**options)
    types = [metadata.row_group(0).column(place).physical_type for place in range(metadata.num_columns)]
    assert len(set(types)) >= 6
    assert chunk_types(footer) == [types] * 3


def test_a_damaged_footer_ends_in_types_or_in_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    footer, _ = footer_of()
    rng = random.Random(0)
    for long in (0, 10**9):
        monkeypatch.setattr(_chunk_types, "LONG", long)
        for _ in range(300):
            made = bytearray(footer)
            for _ in range(rng.choice((1, 2, 8))):
                made[rng.randrange(len(made))] = rng.randrange(256)
            try:
                chunk_types(bytes(made[: rng.choice((len(made), rng.randrange(len(made))))]))
            except ValueError as error:
                assert "the footer cannot be read at byte" in str(error)
