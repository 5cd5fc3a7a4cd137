"""One hash for every decision about a row: xxh64 of the canonical UTF-8 of a value, so that int32 and int64, files and blocks agree."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh64_intdigest


def canonical(values: pa.Array | pa.ChunkedArray) -> list[bytes | None]:
    """The canonical UTF-8 of each value: decimal integers, ISO times in UTC microseconds, strings as they are; null is None."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return canonical(values.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif pa.types.is_floating(kind):  # value by value, never by block: the id 7 read as 7.0 (pandas, with nulls) stays 7
        return [None if x is None else (str(int(x)) if x.is_integer() else repr(x)).encode() for x in values.to_pylist()]
    return values.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()  # type: ignore[no-any-return]


def hash_values(values: pa.Array | pa.ChunkedArray, seed: int = 0) -> NDArray[np.uint64]:
    """xxh64 of each value's canonical UTF-8; shape (n,). A null hashes like the byte 0xff, which no UTF-8 text is."""
    return np.fromiter((xxh64_intdigest(b"\xff" if value is None else value, seed) for value in canonical(values)), np.uint64, len(values))


def hash_rows(table: pa.Table, seed: int = 0) -> NDArray[np.uint64]:
    """xxh64 of each row's whole content, columns in the order of their names; shape (n,)."""
    columns = [canonical(table[name]) for name in sorted(table.column_names)]
    separated = (b"\x1f".join(b"\xff" if value is None else value for value in row) for row in zip(*columns, strict=True))
    return np.fromiter((xxh64_intdigest(row, seed) for row in separated), np.uint64, table.num_rows)


def uniform(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits of each hash as a number in [0, 1); shape (n,)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
