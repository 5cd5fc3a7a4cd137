"""One schema for the files of a table, which may differ; and the rows of a file in that schema."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ray_pipeline.column_types import kind_of, plain_column, plain_type
from ray_pipeline.errors import DataError, Problem, listed


@dataclass(frozen=True, kw_only=True)
class UnifiedSchema:
    """The columns of all files of a table."""

    schema: pa.Schema
    """Every column of any file; where the files differ, in the common type that loses nothing."""
    uneven: Mapping[str, Problem] = field(default_factory=dict)
    """A problem for each column that has no such type."""
    unified: Mapping[str, str] = field(default_factory=dict)
    """For each column that some files hold in another type, or lack: what the files hold, and how it is read."""
    partial: Mapping[str, int] = field(default_factory=dict)
    """Columns that some files lack, and how many files have them."""


def unify_schemas(table: str, files: Sequence[str], schemas: Sequence[pa.Schema]) -> UnifiedSchema:
    """One schema for all files.

    Parameters
    ----------
    table
        Name of the table, for messages.
    files, schemas
        The path and the schema of each file.

    Raises
    ------
    DataError
        A file has two columns of one name.
    """
    for file, schema in zip(files, schemas, strict=True):
        if repeated := [name for name, count in Counter(schema.names).items() if count > 1]:
            raise DataError(
                Problem(
                    stage="read",
                    file=file,
                    column=repeated[0],
                    found=f"{table}: {repeated[0]!r} appears twice",
                    fix="write the file with one column of that name",
                )
            )
    if all(schema.equals(schemas[0]) for schema in schemas[1:]):
        return UnifiedSchema(schema=schemas[0].remove_metadata())
    fields, uneven, unified, partial = list[pa.Field](), dict[str, Problem](), dict[str, str](), dict[str, int]()
    types_of = [{field.name: field.type for field in schema} for schema in schemas]
    for name in dict.fromkeys(name for of_file in types_of for name in of_file):
        types = [of_file.get(name) for of_file in types_of]
        counts = Counter(types)
        known = [type_ for type_ in counts if type_ is not None]
        common = known[0] if len(known) == 1 else common_type(known)
        fields.append(pa.field(name, common or known[0]))
        if len(counts) == 1:
            continue
        ranked = counts.most_common()
        each = listed(f"{'missing' if type_ is None else type_} in {n:,} files" for type_, n in ranked)
        if missing := counts[None]:
            partial[name] = len(files) - missing
        if common is None:
            uneven[name] = Problem(
                stage="read",
                file=files[types.index(next(type_ for type_, _ in reversed(ranked) if type_ is not None))],
                column=name,
                found=f"{table}: column {name!r} is {each}; no type holds the values of all files",
                fix="write it in one type that holds the values of every file, or leave it out of `columns`",
            )
        else:
            where = "; it is null where it is missing" if missing else ""
            unified[name] = f"{table}: column {name!r} is {each}; it is read as {common}{where}"
    return UnifiedSchema(schema=pa.schema(fields), uneven=uneven, unified=unified, partial=partial)


def common_type(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """The plain type that holds the values of all these types without loss, or None.

    Whether each whole number fits a float, and each time fits the finer unit, is decided when the values are read.

    Examples
    --------
    >>> common_type([pa.int32(), pa.int64()]), common_type([pa.null(), pa.large_string()])
    (DataType(int64), DataType(string))
    >>> common_type([pa.int64(), pa.string()])
    """
    plain = list(dict.fromkeys(plain_type(type_) for type_ in types))
    kinds = {kind_of(type_) for type_ in plain} - {"null"}
    if len(kinds) > 1 and kinds not in ({"integer", "float"}, {"integer", "decimal"}):
        return None
    if kinds == {"float", "integer"}:
        return pa.float64()
    try:
        unified = pa.unify_schemas([pa.schema([pa.field("", one)]) for one in plain], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None
    return plain_type(unified.field(0).type)


def conform(table: pa.Table, schema: pa.Schema, columns: Sequence[str], file: str) -> pa.Table:
    """The columns of one file in the types of the schema; a column that the file lacks is null.

    Raises
    ------
    DataError
        A value does not fit the common type.
    """
    given = set(table.column_names)
    return pa.table(
        [
            _conform(table[name], schema.field(name).type, name, file)
            if name in given
            else pa.chunked_array([pa.nulls(table.num_rows, schema.field(name).type)])
            for name in columns
        ],
        names=list(columns),
    )


def _conform(column: pa.ChunkedArray, to: pa.DataType, name: str, file: str) -> pa.ChunkedArray:
    if column.type == to:
        return column
    try:
        return plain_column(column).cast(to)
    except pa.ArrowInvalid as error:
        raise DataError(
            Problem(
                stage="read",
                file=file,
                column=name,
                found=f"{name!r} is {column.type} here and {to} in other files: {str(error).splitlines()[0]}",
                fix="write it in one type that holds the values of every file",
            )
        ) from None
