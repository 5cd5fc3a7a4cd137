"""The nodes of an expression's tree, small and frozen."""

from dataclasses import dataclass
from typing import Literal

Scalar = bool | int | float | str
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Column:
    """A column by its name as written, backticks removed."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A number, a string, true or false."""

    value: Scalar


@dataclass(frozen=True)
class Arithmetic:
    """Two numbers make a number, which is a float64."""

    op: Literal["+", "-", "*", "/"]
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Compare:
    """Two values make a boolean."""

    op: Comparison
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class In:
    """Whether a value is one of a list."""

    operand: "Node"
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class IsNull:
    """Whether a value is missing; never itself null."""

    operand: "Node"


@dataclass(frozen=True)
class Logical:
    """Three-valued `and` / `or`."""

    op: Literal["and", "or"]
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Not:
    """Three-valued `not`."""

    operand: "Node"


Node = Column | Constant | Arithmetic | Compare | In | IsNull | Logical | Not
BOOLEANS = (Compare, In, IsNull, Logical, Not)
