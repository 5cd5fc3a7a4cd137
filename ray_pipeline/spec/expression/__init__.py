"""Expressions of labels and of `where`: `arr_delay > 15 and carrier != 'OO'`. Parsed, never evaluated as Python."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import and_
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.column_types import kind_of as value_kind
from ray_pipeline.column_types import plain_type
from ray_pipeline.spec.expression.arrow import Lowering, kind_of
from ray_pipeline.spec.expression.nodes import BOOLEANS, Column, Compare, Constant, In, Logical, Node, Scalar
from ray_pipeline.spec.expression.parser import parse

__all__ = ["Expression", "kind_of"]

Names = Mapping[str, str]


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Two are equal if their trees are.

    `resolve` maps names as written to the columns of a table, where they differ.
    """

    text: str = field(compare=False)
    tree: Node

    @classmethod
    def parse(cls, text: str) -> Self:
        """The expression of a text; raises `ValueError` with a hint.

        >>> Expression.parse("weather.temp * 2 > `odd name`").columns
        ('odd name', 'weather.temp')
        """
        expression = cls(text, parse(text))
        if not expression.columns:
            raise ValueError(f"{text!r} names no column; if it is the name of one, write it in backticks")
        return expression

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs, by their names as written, sorted."""
        return tuple(sorted({node.name for node in _nodes(self.tree) if isinstance(node, Column)}))

    @property
    def is_column(self) -> bool:
        """Whether it is a bare column."""
        return isinstance(self.tree, Column)

    @property
    def is_boolean(self) -> bool:
        """Whether its values are always true, false or null; those of a bare column may be."""
        return isinstance(self.tree, BOOLEANS)

    def evaluate(self, table: pa.Table, resolve: Names | None = None) -> pa.ChunkedArray:
        """One value for each row.

        Parameters
        ----------
        table
            The rows.
        resolve
            The table's names of columns, by the names as written.

        Returns
        -------
        pa.ChunkedArray
            Booleans, float64, or the type of a bare column, shape (rows,).

        Raises
        ------
        DataError
            A column is absent or of the wrong kind.
        """
        names = dict(resolve or {})
        lowering = Lowering(
            self.text, _as_written(table.schema, names), lambda name: table.column(names.get(name, name))
        )
        return lowering.lower(self.tree).values

    def implied(self, schema: pa.Schema, resolve: Names | None = None) -> pc.Expression | None:
        """A condition for a pyarrow scan that is true for every row for which the expression is true.

        It holds the parts of a conjunction that compare a column with constants. Only these are the same in a scan and
        in memory: Arrow answers `is null` from the null count of a footer, which does not count NaN, and the size of a
        scan's expression doubles wherever one of its values is used twice.

        Parameters
        ----------
        schema
            The table's columns as they are stored.
        resolve
            The table's names of columns, by the names as written.
        """
        names = dict(resolve or {})
        written = _as_written(schema, names)
        lowering = Lowering(self.text, written, lambda name: pc.field(names.get(name, name)), in_scan=True)
        parts = [lowering.boolean(part).values for part in _conjuncts(self.tree) if _is_comparison(part, written)]
        return reduce(and_, parts) if parts else None


def _conjuncts(node: Node) -> Iterator[Node]:
    """The conditions that `and` joins."""
    if isinstance(node, Logical) and node.op == "and":
        yield from (*_conjuncts(node.left), *_conjuncts(node.right))
    else:
        yield node


_HELD: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "float": (int, float),
    "text": (str,),
    "date": (str,),
    "timestamp": (str,),
}
"""The constants that a column of each kind is compared with without a cast of the column."""


def _is_comparison(node: Node, schema: pa.Schema) -> bool:
    """Whether the node compares a column in its own, plain type with constants; a scan casts statistics unsafely."""
    match node:
        case Compare(op, Column(name), Constant(value)) | Compare(op, Constant(value), Column(name)):
            values: tuple[Scalar, ...] = () if op == "!=" else (value,)
        case In(Column(name), values):
            pass
        case _:
            return False
    type_ = schema.field(name).type if name in schema.names else pa.null()
    held = _HELD.get(value_kind(type_), ())
    fitting = all(isinstance(one, held) and not isinstance(one, bool) for one in values)
    return bool(values) and fitting and plain_type(type_) == type_


def _as_written(schema: pa.Schema, resolve: Names) -> pa.Schema:
    """The schema under the names as written, in addition to its own."""
    fields = {one.name: one for one in schema}
    own = [one for one in schema if one.name not in resolve]
    return pa.schema([*own, *(fields[column].with_name(name) for name, column in resolve.items() if column in fields)])


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for one in fields(node):
        child = getattr(node, one.name)
        if isinstance(child, Node):
            yield from _nodes(child)
