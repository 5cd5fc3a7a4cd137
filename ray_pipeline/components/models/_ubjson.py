"""Universal Binary JSON as XGBoost writes it: each text and array has its length, and numbers are big-endian.

What XGBoost does not write, such as a key that occurs twice, is refused: a document can then be read in one way only.
"""

import struct
from typing import Any

MAX_DEPTH = 32
Packed = tuple[int, bytes]
"""An array of numbers of one type: the type's marker and the numbers' bytes."""
NUMBERS = {ord(marker): struct.Struct(f">{code}") for marker, code in zip("iUIlLdD", "bBhiqfd", strict=True)}
"""How a number is written, by the marker of its type."""
_CONSTANTS = {ord("T"): True, ord("F"): False, ord("Z"): None}
_OBJECT, _END, _ARRAY, _TEXT = b"{}[S"
_LENGTH, _TEXT_LENGTH, _PACKED = struct.Struct(">q"), struct.Struct(">cq"), struct.Struct(">cB2sq")
Place = tuple[Any, int]
"""A value, and where it ends."""


def parse_ubjson(content: bytes) -> Any:
    """Return the value of a document: objects as dicts, arrays of one type as `Packed`, other arrays as lists.

    Raises
    ------
    ValueError
        It is no such document, or something follows it.
    """
    try:
        value, end = _value(content, 0, 0)
    except (IndexError, struct.error):
        raise ValueError(f"the document ends at byte {len(content):,}, in the middle of a value") from None
    if end != len(content):
        raise ValueError(f"the document has {len(content):,} bytes, and its value ends at byte {end:,}")
    return value


def _value(content: bytes, at: int, depth: int) -> Place:
    """The value whose marker is at this place."""
    marker = content[at]
    at += 1
    if marker == _ARRAY:
        return _array(content, at, depth)
    if marker == _TEXT:
        return _text(content, at)
    if marker == _OBJECT:
        return _object(content, at, depth)
    if marker in NUMBERS:
        number = NUMBERS[marker]
        return number.unpack_from(content, at)[0], at + number.size
    if marker in _CONSTANTS:
        return _CONSTANTS[marker], at
    raise ValueError(f"byte {at - 1:,} begins no value")


def _object(content: bytes, at: int, depth: int) -> Place:
    """The object whose first key is at this place."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    found: dict[str, Any] = {}
    while content[at] != _END:
        key, at = _text(content, at)
        if key in found:
            raise ValueError(f"the key {key[:40]!r} occurs twice")
        found[key], at = _value(content, at, depth + 1)
    return found, at + 1


def _array(content: bytes, at: int, depth: int) -> Place:
    """The array whose length, after the type where all values have the same, is at this place."""
    if content[at : at + 2] == b"#L":
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        (size,) = _LENGTH.unpack_from(content, at + 2)
        at += 10
        found = []
        for _ in range(_within(content, at, size) - at):  # each value takes a byte or more
            value, at = _value(content, at, depth + 1)
            found.append(value)
        return found, at
    kind, marker, sign, size = _PACKED.unpack_from(content, at)
    if kind != b"$" or sign != b"#L" or marker not in NUMBERS:
        raise ValueError(f"byte {at:,} begins no array")
    at += _PACKED.size
    end = _within(content, at, size * NUMBERS[marker].size)
    return (marker, content[at:end]), end


def _text(content: bytes, at: int) -> Place:
    """The text whose length is at this place."""
    sign, size = _TEXT_LENGTH.unpack_from(content, at)
    if sign != b"L":
        raise ValueError(f"byte {at:,} begins no length")
    at += _TEXT_LENGTH.size
    end = _within(content, at, size)
    return content[at:end].decode(), end


def _within(content: bytes, at: int, size: int) -> int:
    """Where so many bytes end."""
    if not 0 <= size <= len(content) - at:
        raise ValueError(f"byte {at:,} begins {size:,} bytes, and {len(content) - at:,} are left")
    return at + size
