"""The meaning of an expression: its tree becomes pyarrow.compute calls, which take arrays and scan expressions alike.

Logic is three-valued (Kleene), and NaN is null. Constants are cast to the column's type once.
"""

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Literal, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.duration import EPOCH, PER_SECOND
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec.expression.nodes import (
    Arithmetic,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Logical,
    Node,
    Not,
    Scalar,
)
from ray_pipeline.values import users_names

Kind = Literal["number", "string", "boolean", "time", "other"]
KERNELS = {
    "+": pc.add,
    "-": pc.subtract,
    "*": pc.multiply,
    "/": pc.divide,
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "and": pc.and_kleene,
    "or": pc.or_kleene,
}
FLOAT, INTEGER = pa.float64(), pa.int64()
TYPES: dict[Any, pa.DataType] = {bool: pa.bool_(), str: pa.string(), int: INTEGER, float: FLOAT}


@dataclass(frozen=True)
class Lowered:
    """Part of an expression as arrays, scalars or scan expressions, with the arrow type of its values."""

    values: Any
    type: pa.DataType
    plain: Scalar | None = None
    column: str | None = None

    @property
    def kind(self) -> Kind:
        """What may be done with the values."""
        return kind_of(self.type)

    def cast(self, to: pa.DataType) -> "Lowered":
        """The same values in another type; integers beyond 2^53 round to the nearest float instead of failing."""
        return self if self.type == to else Lowered(self.values.cast(to, safe=False), to, self.plain, self.column)


def kind_of(type: pa.DataType) -> Kind:
    """What an expression may do with a column of the type."""
    types = pa.types
    if types.is_dictionary(type):
        return kind_of(type.value_type)
    if types.is_integer(type) or types.is_floating(type) or types.is_decimal(type) or types.is_null(type):
        return "number"
    if types.is_string(type) or types.is_large_string(type) or types.is_string_view(type):
        return "string"
    if types.is_boolean(type):
        return "boolean"
    return "time" if types.is_timestamp(type) or types.is_date(type) else "other"


@dataclass(frozen=True)
class Lowering:
    """Turns a tree into calls.

    For a scan only rows where the result is true matter. NaN then stays as it is, since no comparison with it is true
    but `!=`, and a scan can skip row groups by their statistics.
    """

    text: str
    """The expression, for messages."""
    schema: pa.Schema
    """The type of each column, under its name as written."""
    load: Callable[[str], Any]
    """Brings a column by the same name."""
    in_scan: bool = False

    def lower(self, node: Node) -> Lowered:
        """The tree's values."""
        match node:
            case Column(name):
                return self._column(name)
            case Constant(value):
                value = _within_64_bits(value)
                return Lowered(_scalar(value), TYPES[type(value)], value)
            case Arithmetic(op, left, right):
                return self._arithmetic(op, self._number(left), self._number(right))
            case Compare(op, left, right):
                return _boolean(_call(op, *self._in_one_type(self._operand(left), self._operand(right))))
            case In(operand, values):
                return self._is_in(self._operand(operand), values)
            case IsNull(operand):
                return _boolean(pc.is_null(self.lower(operand).values))
            case Logical(op, left, right):
                return _boolean(_call(op, self.boolean(left), self.boolean(right)))
            case Not(operand):
                return _boolean(pc.invert(self.boolean(operand).values))

    def boolean(self, node: Node) -> Lowered:
        """The tree's values, which must be boolean."""
        found = self.lower(node)
        if found.kind != "boolean":
            self._fail(f"column {found.column!r} is {found.type}, not boolean", "compare it with a value", found.column)
        return found

    def _column(self, name: str) -> Lowered:
        if name not in self.schema.names:
            known = users_names(self.schema.names)
            self._fail(f"there is no column {name!r}", f"{nearest(name, known)}known: {listed(known, 20)}", name)
        type = self.schema.field(name).type
        found = Lowered(self.load(name), type, column=name)
        if pa.types.is_dictionary(type):
            found = found.cast(type.value_type)
        if pa.types.is_float16(found.type):
            found = found.cast(pa.float32())
        return found if self.in_scan else _nan_as_null(found)

    def _operand(self, node: Node) -> Lowered:
        """A side of a comparison."""
        found = self.lower(node)
        if found.kind == "other":
            self._fail(
                f"column {found.column!r} is {found.type}",
                "only numbers, strings, booleans and dates can be compared",
                found.column,
            )
        return found

    def _number(self, node: Node) -> Lowered:
        found = self.lower(node)
        if found.kind != "number":
            self._fail(f"column {found.column!r} is {found.type}", "+ - * / need numbers", found.column)
        return found.cast(FLOAT)

    def _arithmetic(self, op: str, left: Lowered, right: Lowered) -> Lowered:
        if op == "/":
            divisor = pc.if_else(pc.equal(right.values, _scalar(0.0)), pa.nulls(1, FLOAT)[0], right.values)
            right = Lowered(divisor, FLOAT)
        return _nan_as_null(Lowered(_call(op, left, right), FLOAT))

    def _in_one_type(self, left: Lowered, right: Lowered) -> tuple[Lowered, Lowered]:
        """Logical sides in one type, in which they compare as a person means it."""
        if pa.types.is_null(left.type) or pa.types.is_null(right.type):
            known = right.type if pa.types.is_null(left.type) else left.type
            return left.cast(known), right.cast(known)
        kinds = {left.kind, right.kind}
        if left.plain is not None and right.plain is None:
            right, left = self._in_one_type(right, left)
            return left, right
        if kinds == {"time", "string"} and isinstance(right.plain, str):
            return self._moment(left, right.plain)
        if kinds == {"time"}:
            return left.cast(pa.timestamp("us")), right.cast(pa.timestamp("us"))
        if kinds == {"string"}:
            common = left.type if right.plain is not None else pa.large_string()
            return left.cast(common), right.cast(common)
        if kinds == {"boolean"}:
            return left, right
        if not kinds <= {"boolean", "number"}:
            fix = "compare values of one kind; strings stand in quotes, numbers do not"
            self._fail(f"it compares {_described(left)} with {_described(right)}", fix, left.column or right.column)
        return _as_numbers(left, right)

    def _moment(self, column: Lowered, text: str) -> tuple[Lowered, Lowered]:
        """A date column and a quoted date in its type: UTC where the column has a zone, clipped to the type's range."""
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            self._fail(f"{text!r} is not a date", "write '2013-01-31' or '2013-01-31 18:30:00'", column.column)
        since = (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment) - EPOCH
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        type = column.type
        if pa.types.is_date(type) and not since.seconds and not since.microseconds:
            return column.cast(pa.date32()), Lowered(
                _scalar(since.days).cast(pa.int32()).cast(pa.date32()), pa.date32()
            )
        if pa.types.is_date(type) or microseconds % (1_000_000 // min(PER_SECOND[type.unit], 1_000_000)):
            type = pa.timestamp("us", getattr(type, "tz", None))
        ticks = microseconds * PER_SECOND[type.unit] // 1_000_000
        return column.cast(type), Lowered(_scalar(max(-(2**63) + 1, min(2**63 - 1, ticks))).cast(type), type)

    def _is_in(self, operand: Lowered, values: tuple[Scalar, ...]) -> Lowered:
        constants = [Lowered(pa.scalar(value), pa.scalar(value).type, value) for value in values]
        if operand.kind == "time":
            equal = [_call("==", *self._in_one_type(operand, constant)) for constant in constants]
            return _boolean(reduce(pc.or_kleene, equal))
        for constant in constants:
            self._in_one_type(operand, constant)
        if operand.kind == "boolean":
            operand = operand.cast(INTEGER)
        if operand.kind == "number" and not pa.types.is_integer(operand.type):
            operand = operand.cast(FLOAT)
        among = pc.is_in(operand.values, value_set=_value_set(values, operand.type))
        if self.in_scan:
            return _boolean(among)
        return _boolean(pc.if_else(pc.is_null(operand.values), pa.scalar(None, pa.bool_()), among))

    def _fail(self, found: str, fix: str, column: str | None) -> NoReturn:
        raise DataError(Problem(found=f"in {self.text!r}: {found}", fix=fix, column=column))


def _within_64_bits(value: Scalar) -> Scalar:
    """The constant; a whole number beyond 64 bits as the nearest float."""
    if not isinstance(value, int) or -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _scalar(value: Scalar) -> pa.Scalar:
    """The constant in its type. `pa.scalar` imports pandas, which takes 0.2 s; `check` does without."""
    buffers: list[bytes | None]
    if isinstance(value, str):
        text = value.encode()
        buffers = [None, struct.pack("<ii", 0, len(text)), text]
    elif isinstance(value, bool):
        buffers = [None, bytes([value])]
    else:
        buffers = [None, struct.pack("<q" if isinstance(value, int) else "<d", value)]
    kept = [None if one is None else pa.py_buffer(one) for one in buffers]
    return pa.Array.from_buffers(TYPES[type(value)], 1, kept)[0]


def _call(op: str, left: Lowered, right: Lowered) -> Any:
    """A kernel of two arguments. Beside a scan expression a scalar must be one, too."""
    both = (left.values, right.values)
    if any(isinstance(side, pc.Expression) for side in both):
        both = tuple(pc.scalar(side) if isinstance(side, pa.Scalar) else side for side in both)
    return KERNELS[op](*both)


def _boolean(values: Any) -> Lowered:
    return Lowered(values, pa.bool_())


def _nan_as_null(found: Lowered) -> Lowered:
    if not pa.types.is_floating(found.type):
        return found
    null = pa.nulls(1, found.type)[0]
    return Lowered(pc.if_else(pc.is_nan(found.values), null, found.values), found.type, found.plain, found.column)


def _as_numbers(left: Lowered, right: Lowered) -> tuple[Lowered, Lowered]:
    """Integers compare as integers wherever both fit, everything else as float64."""
    left, right = (side.cast(INTEGER) if side.kind == "boolean" else side for side in (left, right))
    plain = right.plain
    if isinstance(plain, float) and plain.is_integer() and abs(plain) <= 2**53 and pa.types.is_integer(left.type):
        right = Lowered(_scalar(int(plain)), INTEGER, int(plain))
    if isinstance(right.plain, int) and right.type == INTEGER and left.type == pa.uint64() and right.plain >= 0:
        right = right.cast(pa.uint64())
    both_integers = pa.types.is_integer(left.type) and pa.types.is_integer(right.type)
    if both_integers and (left.type == pa.uint64()) == (right.type == pa.uint64()):
        return left, right
    return left.cast(FLOAT), right.cast(FLOAT)


def _value_set(values: Iterable[Scalar], type: pa.DataType) -> pa.Array:
    """The listed values that the type can hold; the others can equal nothing in the column."""
    held = []
    for value in values:
        if pa.types.is_integer(type) and isinstance(value, float | bool):
            if value != int(value):
                continue
            value = int(value)
        try:
            held.append(pa.scalar(value, type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            continue
    return pa.array([scalar.as_py() for scalar in held], type)


def _described(side: Lowered) -> str:
    return (
        f"column {side.column!r} ({side.type})"
        if side.column
        else repr(side.plain)
        if side.plain is not None
        else f"a {side.kind}"
    )
