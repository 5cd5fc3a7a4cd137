"""The chunks in a footer, read byte by byte: those that Arrow reads, in long and short footers of several writers."""

import base64
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from ray_pipeline.components.sources import _footer_chunks
from ray_pipeline.components.sources._footer_chunks import footer_chunks
from ray_pipeline.components.sources._parquet_footers import _misfit, read_footer
from ray_pipeline.errors import DataError

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
    monkeypatch.setattr(_footer_chunks, "LONG", long)
    footer, metadata = footer_of(**options)
    types = [metadata.row_group(0).column(place).physical_type for place in range(metadata.num_columns)]
    assert len(set(types)) >= 6
    chunks = footer_chunks(footer)
    assert [[chunk.type for chunk in group] for group in chunks] == [types] * 3
    assert not any(chunk.encrypted for group in chunks for chunk in group)
    assert _misfit(metadata, chunks) is None


@pytest.mark.parametrize("long", [0, 10**9])
def test_the_histograms_are_those_of_the_levels_and_only_texts_tell_their_bytes(
    long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_footer_chunks, "LONG", long)
    footer, metadata = footer_of()
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    for group in footer_chunks(footer):
        texts = [chunk.text_bytes for chunk in group]
        assert texts == [column.physical_type == "BYTE_ARRAY" for column in columns] and any(texts)
        assert {chunk.definition for chunk in group} >= {2, 3, 4}
        for chunk, column in zip(group, columns, strict=True):
            assert chunk.definition == column.max_definition_level + 1
            assert chunk.repetition in (0, column.max_repetition_level + 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "INT32"}, "column 'whole' is INT64, but its chunk in row group 1 is INT32"),
        ({"type": None}, "is of no known type"),
        ({"repetition": 2}, "has histograms of 2 and 2 levels"),
        ({"definition": 3}, "has histograms of 0 and 3 levels"),
        ({"text_bytes": True}, "tells the bytes of texts"),
    ],
)
def test_what_ends_the_process_in_arrow_is_found(change: dict[str, Any], reason: str) -> None:
    footer, metadata = footer_of()
    chunks = footer_chunks(footer)
    chunks[1][0] = chunks[1][0]._replace(**change)
    assert reason in (_misfit(metadata, chunks) or "")


def test_a_damaged_footer_ends_in_types_or_in_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    footer, _ = footer_of()
    rng = random.Random(0)
    for long in (0, 10**9):
        monkeypatch.setattr(_footer_chunks, "LONG", long)
        for _ in range(300):
            made = bytearray(footer)
            for _ in range(rng.choice((1, 2, 8))):
                made[rng.randrange(len(made))] = rng.randrange(256)
            try:
                footer_chunks(bytes(made[: rng.choice((len(made), rng.randrange(len(made))))]))
            except ValueError as error:
                assert "the footer cannot be read at byte" in str(error)


class OpenKeys(encryption.KmsClient):  # type: ignore[misc]
    """A key service that hides nothing."""

    def __init__(self, _: Any) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key: bytes, name: str) -> str:
        return base64.b64encode(key).decode()

    def unwrap_key(self, wrapped: str, name: str) -> bytes:
        return base64.b64decode(wrapped)


@pytest.mark.parametrize(
    ("plaintext_footer", "found"), [(True, "columns of the file are encrypted"), (False, "the file is encrypted")]
)
def test_an_encrypted_file_is_refused(plaintext_footer: bool, found: str, tmp_path: Path) -> None:
    table, file = pa.table(COLUMNS), tmp_path / "rows.parquet"
    keys = encryption.EncryptionConfiguration(
        "0" * 16, column_keys={"1" * 16: ["real"]}, plaintext_footer=plaintext_footer
    )
    factory = encryption.CryptoFactory(OpenKeys)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), keys)
    with pq.ParquetWriter(file, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    local = pafs.LocalFileSystem()
    with pytest.raises(DataError, match=f"rows: {found}.*write it without encryption"):
        read_footer("rows", local, local.get_file_info(str(file)))
