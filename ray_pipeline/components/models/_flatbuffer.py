"""Read FlatBuffers, the format of CatBoost's files: tables whose fields are found by their number in the schema."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OFFSET, _SIGNED, _FIELD = struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<H")


class Table:
    """A table in a buffer. Every method raises `ValueError` where it would lead out of the buffer."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at
        self._vtable = at - self._number(_SIGNED, at)
        self._fields = self._number(_FIELD, self._vtable)

    @classmethod
    def root(cls, content: bytes) -> "Table":
        """The table that the buffer holds."""
        return cls(content, Table._number_of(content, _OFFSET, 0))

    def whole(self, field: int, default: int, form: str = "<i") -> int:
        """A number of the field, or the schema's default where the field is absent."""
        at = self._place(field)
        return default if at is None else self._number(struct.Struct(form), at)

    def table(self, field: int) -> "Table":
        """The table of the field."""
        at = self._place(field)
        if at is None:
            raise ValueError(f"a table lacks its field {field}")
        return Table(self._content, at + self._number(_OFFSET, at))

    def tables(self, field: int) -> "list[Table]":
        """The tables of the field, in their order; none where it is absent."""
        start, size = self._vector(field, 4)
        places = range(start, start + 4 * size, 4)
        return [Table(self._content, at + self._number(_OFFSET, at)) for at in places]

    def size(self, field: int) -> int:
        """How many items the field has; 0 where it is absent."""
        return self._vector(field, 1)[1]

    def numbers(self, field: int, kind: Any) -> NDArray[Any]:
        """The numbers or structs of the field; none where it is absent."""
        dtype = np.dtype(kind)
        start, size = self._vector(field, dtype.itemsize)
        return np.frombuffer(self._content, dtype, size, start) if size else np.array([], dtype)

    def _vector(self, field: int, itemsize: int) -> tuple[int, int]:
        """Where the items of the field begin, and how many there are."""
        at = self._place(field)
        if at is None:
            return 0, 0
        start = at + self._number(_OFFSET, at)
        size = self._number(_OFFSET, start)
        if start + 4 + size * itemsize > len(self._content):
            raise ValueError(f"the field {field} of a table leads out of the file")
        return start + 4, size

    def _place(self, field: int) -> int | None:
        """Where the field is; None where it is absent."""
        place = 4 + 2 * field
        offset = self._number(_FIELD, self._vtable + place) if place < self._fields else 0
        return self._at + offset if offset else None

    def _number(self, form: struct.Struct, at: int) -> int:
        return Table._number_of(self._content, form, at)

    @staticmethod
    def _number_of(content: bytes, form: struct.Struct, at: int) -> int:
        if not 0 <= at <= len(content) - form.size:
            raise ValueError(f"an offset leads to byte {at:,} of {len(content):,}")
        return int(form.unpack_from(content, at)[0])
