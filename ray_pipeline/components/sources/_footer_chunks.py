"""What every column chunk must have right, from the bytes of a Parquet footer (compact protocol of Thrift).

pyarrow 25 ends the process where a chunk has another type than its column, is encrypted, or has histograms of another
size than its column has levels (`RowGroupMetaData.column`, and in scans).
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

PHYSICAL = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
ROW_GROUPS, COLUMNS, META_DATA, CRYPTO_METADATA, TYPE, SIZE_STATISTICS = 4, 1, 3, 8, 1, 16
"""Fields of Parquet's FileMetaData, RowGroup, ColumnChunk (two) and ColumnMetaData (two)."""
TEXT_BYTES, REPETITION, DEFINITION = 1, 2, 3
"""Fields of SizeStatistics."""
BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 3, 7, 8, 9, 10, 11, 12
BOOLEANS, INTEGERS = (1, 2), (4, 5, 6)
LONG = 200_000
"""Bytes of a footer from which a regular expression pays: its making takes 20 ms; a chunk then takes 4 µs, not 25."""


class Chunk(NamedTuple):
    """A column chunk, as far as Arrow ends the process where it is wrong."""

    type: str | None
    """The physical type; None if there are no metadata, or an unknown type."""
    encrypted: bool = False
    text_bytes: bool = False
    """Whether the bytes of its texts are told, which only a chunk of texts has."""
    repetition: int = 0
    """Size of the histogram of repetition levels; 0 if there is none."""
    definition: int = 0
    """Size of the histogram of definition levels; 0 if there is none."""


def _head(*types: int) -> bytes:
    """The first byte of a field of these types."""
    return b"[%b]" % b"".join(re.escape(bytes([step << 4 | type_])) for type_ in types for step in range(1, 16))


def _repeated(type_: int, element: bytes, most: int) -> bytes:
    """A list of up to so many of these elements."""
    return b"|".join(re.escape(bytes([size << 4 | type_])) + element * size for size in range(most + 1))


@cache
def _usual_chunk() -> re.Pattern[bytes]:
    """A ColumnChunk as most writers write it; its group is the type."""
    integer = rb"[\x80-\xff]*+[\x00-\x7f]"
    text = b"(?:%b)" % b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(33))
    number = rb"%b%b" % (_head(*INTEGERS), integer)
    scalar = rb"%b|%b|%b%b" % (number, _head(*BOOLEANS), _head(BINARY), text)
    numbers = b"%b|%b" % (_repeated(5, integer, 6), _repeated(6, integer, 6))
    statistics = rb"(?![\x16\x19\x29\x39])(?:%b)*+\0" % scalar
    lists = b"|".join((numbers, _repeated(BINARY, text, 2), _repeated(STRUCT, rb"(?:%b)*+\0" % number, 5)))
    fields = b"(?:%b|%b%b|%b(?:%b))*+" % (scalar, _head(STRUCT), statistics, _head(LIST), lists)
    # SizeStatistics as Arrow writes it: the bytes of texts, then both histograms.
    histogram = _repeated(6, integer, 6)
    sizes = rb"(?:%b(\x16%b)?+[\x19\x29](%b)\x19(%b)\0)?+" % (_head(STRUCT), integer, histogram, histogram)
    chunk = rb"\x26%b\x1c\x15([\x00-\x7f])%b%b\0(?:%b)*+\0" % (integer, fields, sizes, number)
    return re.compile(chunk, re.DOTALL)


def footer_chunks(footer: bytes) -> list[list[Chunk]]:
    """The chunks of each row group.

    Parameters
    ----------
    footer
        The bytes of the FileMetaData.

    Raises
    ------
    ValueError
        The bytes are not in Thrift's compact protocol.
    """
    reader = _CompactReader(footer)
    try:
        groups = [reader.group() for _ in reader.elements_of(ROW_GROUPS)]
    except (IndexError, RecursionError) as error:
        raise ValueError(f"the footer cannot be read at byte {reader.at:,}") from error
    return groups


class _CompactReader:
    """A place in bytes of Thrift's compact protocol; each method moves it on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.usual = _usual_chunk() if len(data) >= LONG else None

    def group(self) -> list[Chunk]:
        """The chunks of a RowGroup."""
        return [self.chunk() for _ in self.elements_of(COLUMNS)]

    def chunk(self) -> Chunk:
        """A ColumnChunk."""
        if self.usual and (usual := self.usual.match(self.data, self.at)):
            self.at = usual.end()
            type_, text_bytes, repetition, definition = usual.groups()
            sizes = (one[0] >> 4 if one else 0 for one in (repetition, definition))
            return Chunk(_name(type_[0]), False, text_bytes is not None, *sizes)
        found = Chunk(None)
        for field, type_ in self.fields():
            if (field, type_) == (META_DATA, STRUCT):
                found = self.column_metadata()._replace(encrypted=found.encrypted)
            else:
                found = found._replace(encrypted=found.encrypted or field == CRYPTO_METADATA)
                self.skip(type_)
        return found

    def column_metadata(self) -> Chunk:
        """A ColumnMetaData, whose first field is the type."""
        found = Chunk(None)
        if self.data[self.at] != TYPE << 4 | 5:
            self.skip(STRUCT)
            return found
        for field, type_ in self.fields():
            if field == TYPE:
                found = found._replace(type=_name(self.integer()))
            elif (field, type_) == (SIZE_STATISTICS, STRUCT):
                found = self.size_statistics(found)
            else:
                self.skip(type_)
        return found

    def size_statistics(self, chunk: Chunk) -> Chunk:
        """The chunk with what SizeStatistics has of it."""
        for field, type_ in self.fields():
            if (field, type_) == (REPETITION, LIST):
                chunk = chunk._replace(repetition=self.skip_list())
            elif (field, type_) == (DEFINITION, LIST):
                chunk = chunk._replace(definition=self.skip_list())
            else:
                chunk = chunk._replace(text_bytes=chunk.text_bytes or field == TEXT_BYTES)
                self.skip(type_)
        return chunk

    def elements_of(self, wanted: int) -> Iterator[int]:
        """The places of the elements of a struct's list of structs; whoever asks reads each before the next."""
        for field, type_ in self.fields():
            if (field, type_) == (wanted, LIST):
                size, _ = self.list_head()
                yield from range(size)
            else:
                self.skip(type_)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; whoever asks reads or skips its value before the next."""
        field = 0
        while head := self.byte():
            step = head >> 4
            if step:
                field += step
            else:
                written = self.integer()
                field = (written >> 1) ^ -(written & 1)
            yield field, head & 15

    def skip(self, type_: int, *, in_list: bool = False) -> None:
        """Moves over a value."""
        if type_ in INTEGERS:
            self.integer()
        elif type_ == BINARY:
            length = self.integer()
            self.at += length
        elif type_ in (LIST, SET):
            self.skip_list()
        elif type_ == STRUCT:
            for _, field_type in self.fields():
                self.skip(field_type)
        elif type_ == MAP:
            self.skip_map()
        elif type_ == DOUBLE:
            self.at += 8
        elif type_ == BYTE or in_list:
            self.at += 1
        elif type_ not in BOOLEANS:
            raise IndexError(type_)

    def skip_list(self) -> int:
        """Moves over a list; return its size."""
        size, of = self.list_head()
        for _ in range(size):
            self.skip(of, in_list=True)
        return size

    def skip_map(self) -> None:
        """Moves over a map."""
        size = self.integer()
        types = self.byte() if size else 0
        for _ in range(size):
            self.skip(types >> 4, in_list=True)
            self.skip(types & 15, in_list=True)

    def list_head(self) -> tuple[int, int]:
        """Size and type of a list's elements."""
        head = self.byte()
        return (self.integer() if head >> 4 == 15 else head >> 4), head & 15

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.data[self.at - 1]

    def integer(self) -> int:
        """The next variable-length integer, as it is written."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


def _name(number: int) -> str | None:
    """The type of a number as Thrift writes it: twice the value, where that is not negative."""
    return PHYSICAL[number // 2] if number % 2 == 0 and number // 2 < len(PHYSICAL) else None
