"""Where the columns of a table are in one of its Parquet files, which may have other names, or lack some."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class FileColumns:
    """The columns of one file.

    Examples
    --------
    >>> of_file = FileColumns(constants={"day": "1"}, stored={"price": "my_x20price"})
    >>> [of_file.name_in({"my_x20price", "old"}, name) for name in ("price", "day", "old")]
    ['my_x20price', None, None]
    """

    constants: Mapping[str, object] = field(default_factory=dict)
    """Columns that have one value in all rows of the file, and are not read from it."""
    stored: Mapping[str, str] | None = None
    """The names in the file of the columns that it has; None where they are those of the table."""

    def name_in(self, names: Collection[str], column: str) -> str | None:
        """The name in a file with these names of a column of the table; None if it is not read from the file."""
        name = column if self.stored is None else self.stored.get(column)
        return name if name in names and column not in self.constants else None

    def without(self, names: Collection[str]) -> "FileColumns":
        """The same, where these columns have no constant."""
        return replace(self, constants={name: value for name, value in self.constants.items() if name not in names})

    def only(self, names: Collection[str]) -> "FileColumns":
        """The same for a reading of these columns: of a wide table a worker gets no more."""
        if self.stored is None:
            return self
        return replace(self, stored={name: self.stored[name] for name in names if name in self.stored})

    def are_plain(self, names: Collection[str], columns: Collection[str]) -> bool:
        """Whether a file with these names has these columns under their own names, or nothing that is called so."""
        return all(self.name_in(names, column) == (column if column in names else None) for column in columns)

    def in_table(self, schema: pa.Schema, declared: pa.Schema) -> pa.Schema:
        """The columns of the table that the file has or gives a value to, with the file's types.

        Parameters
        ----------
        schema
            Of the file.
        declared
            Of the table.
        """
        names, given = set(schema.names), []
        for column in declared:
            if column.name in self.constants:
                given.append(column)
            elif name := self.name_in(names, column.name):
                given.append(schema.field(name).with_name(column.name).remove_metadata())
        return pa.schema(given)


def field_ids(schema: pa.Schema) -> dict[int, str]:
    """The names of a file's columns by their ids; none for a file that another program wrote.

    Examples
    --------
    >>> field_ids(pa.schema([pa.field("a_x2eb", pa.int8(), metadata={"PARQUET:field_id": "7"})]))
    {7: 'a_x2eb'}
    """
    known = ((one.name, (one.metadata or {}).get(b"PARQUET:field_id")) for one in schema)
    return {int(identity): name for name, identity in known if identity is not None}
