"""One hash for every decision about a row: xxh64 of the canonical UTF-8 of a value.

So int32 and int64, files and blocks agree.
"""

from functools import reduce
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

PHI = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio: an odd number whose multiples are spread over all 64 bits."""
NULL = b"\xff"
"""What a null hashes like: a byte that no UTF-8 text has."""


def canonical(values: pa.Array | pa.ChunkedArray) -> list[bytes | None]:
    """The canonical UTF-8 of each value.

    Parameters
    ----------
    values
        Shape (rows,).

    Returns
    -------
    list of bytes or None
        Decimal text for whole numbers, also for floats that are whole; microseconds since 1970 (UTC) for timestamps,
        with the digits of nanoseconds where there are any; texts and bytes as they are; None for null.

    Examples
    --------
    >>> canonical(pa.array([7.0, 0.5, None]))
    [b'7', b'0.5', None]
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return canonical(values.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        values = _ticks(values)
    elif pa.types.is_binary(kind):
        return values.to_pylist()  # type: ignore[no-any-return]
    elif pa.types.is_floating(
        kind
    ):  # value by value, never by block: the id 7 read as 7.0 (pandas, with nulls) stays 7
        return [
            None if x is None else (str(int(x)) if x.is_integer() else repr(x)).encode() for x in values.to_pylist()
        ]
    return values.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()  # type: ignore[no-any-return]


def _ticks(times: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Timestamps as whole microseconds, or as text where a nanosecond is left."""
    micros = pc.cast(times, pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    if times.type.unit != "ns":
        return micros
    ticks = times.cast(pa.int64())
    rest = pc.subtract(ticks, pc.multiply(micros, 1_000))
    if not pc.any(pc.not_equal(rest, 0)).as_py():
        return micros
    with_unit = pc.binary_join_element_wise(ticks.cast(pa.string()), "ns", "")
    return pc.if_else(pc.equal(rest, 0), micros.cast(pa.string()), with_unit)


def hash_values(values: pa.Array | pa.ChunkedArray, seed: int = 0) -> NDArray[np.uint64]:
    """The xxh64 of each value's canonical UTF-8; shape (rows,).

    Examples
    --------
    >>> hash_values(pa.array([1, None], pa.int8())) == hash_values(pa.array(["1", None]))
    array([ True,  True])
    """
    hashes = (xxh64_intdigest(NULL if value is None else value, seed) for value in canonical(values))
    return np.fromiter(hashes, np.uint64, len(values))


def hash_code(package: str) -> str:
    """SHA-256 of the Python files of an importable package or module, in the order of their paths."""
    spec = find_spec(package)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    files = files or ([Path(spec.origin)] if spec and spec.origin else [])
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """The distinct numbers, ascending; shape (distinct,).

    `np.unique` hashes since numpy 2.3, which takes 40 times as long for two million 64-bit numbers.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def count_among(numbers: NDArray[Any], known: NDArray[Any]) -> int:
    """How many of the numbers occur among the known ones.

    Parameters
    ----------
    numbers
        Shape (n,); a repeated number counts each time.
    known
        Shape (m,).

    Examples
    --------
    >>> count_among(np.array([1, 1, 2]), np.array([1, 3]))
    2
    """
    numbers, known = np.sort(numbers), distinct(known)
    place = np.searchsorted(known, numbers)
    inside = place < len(known)
    return int((known[place[inside]] == numbers[inside]).sum())


def uniform(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits of each hash as a number in [0, 1); shape (rows,).

    Examples
    --------
    >>> uniform(np.array([0, 2**63], np.uint64)).tolist()
    [0.0, 0.5]
    """
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def drawn_places(count: int, most: int) -> NDArray[np.intp]:
    """About `most` of `count` places, by a hash of their number; all where there are fewer.

    Every second, third ... place might be one kind of several that come in turn.

    Examples
    --------
    >>> drawn_places(3, 5).tolist(), 400 < len(drawn_places(5_000, 500)) < 600
    ([0, 1, 2], True)
    """
    drawn = [np.empty(0, np.intp)]
    for low in range(0, count, 1 << 20):
        places = np.arange(low, min(low + (1 << 20), count))
        drawn.append(places[uniform(mix(places.astype(np.uint64))) < most / count])
    return np.concatenate(drawn)


def hash_rows(table: pa.Table) -> NDArray[np.uint64]:
    """A 64-bit hash of each row's content, whatever the order of the columns and the width of their types.

    Decimals count by the nearest float64. Unlike `hash_values`, it takes no text of each number, which is 60 times as
    fast (`benchmarks/bench_rows.py`).

    Parameters
    ----------
    table
        Of n rows.

    Returns
    -------
    ndarray
        Shape (n,).
    """
    start = np.full(table.num_rows, PHI, np.uint64)
    return reduce(lambda mixed, name: mix(mixed ^ _content(table[name])), sorted(table.column_names), start)


def mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number well mixed, one to one; the shape stays (the finaliser of SplitMix64: Steele, Lea & Flood, 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _content(values: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Each value as 64 bits, equal for equal values of any width; shape (rows,). A distinct text is hashed once."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        coded = values.cast(pa.large_string()).combine_chunks().dictionary_encode("encode")
        return hash_values(coded.dictionary)[coded.indices.to_numpy()] if len(coded) else np.zeros(0, np.uint64)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments(values.cast(kind))
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        return hash_values(values)
    floats = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy() + 0.0  # -0.0 is 0.0
    bits: NDArray[np.uint64] = np.where(np.isnan(floats), np.nan, floats).view(np.uint64) * PHI
    if pa.types.is_integer(kind) and kind.bit_width == 64:
        exact = pc.fill_null(values.cast(kind), 0).to_numpy().view(np.uint64)
        bits = np.where(np.abs(floats) > 2.0**53, mix(exact), bits)
    return bits


def _moments(values: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Dates and timestamps as 64 bits: equal moments are equal in every unit; shape (rows,)."""
    micros = pc.cast(values, pa.timestamp("us"), safe=False).cast(pa.int64())
    bits = pc.fill_null(micros, np.iinfo(np.int64).min).to_numpy().view(np.uint64) * PHI
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        rest = pc.subtract(values.cast(pa.int64()), pc.multiply(micros, 1_000))
        bits ^= pc.fill_null(rest, 0).to_numpy().view(np.uint64)
    return np.asarray(bits)
