"""Expressions of labels and of `where`: `arr_delay > 15 and carrier != 'OO'`. Parsed, never evaluated as Python."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.spec.expression.arrow import Lowering, kind_of
from ray_pipeline.spec.expression.nodes import BOOLEANS, Column, Node
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
            raise ValueError(f"{text!r} names no column")
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

    def to_arrow(self, schema: pa.Schema, resolve: Names | None = None) -> pc.Expression:
        """The predicate for a pyarrow scan: it keeps exactly the rows where `evaluate` is true."""
        names = dict(resolve or {})
        return _predicate(
            self, _as_written(schema, names), self.columns, *(pc.field(names.get(name, name)) for name in self.columns)
        )


def _predicate(expression: Expression, schema: pa.Schema, names: tuple[str, ...], *columns: Any) -> Any:
    lowering = Lowering(expression.text, schema, dict(zip(names, columns, strict=True)).__getitem__)
    return lowering.boolean(expression.tree, exact=False).values


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
