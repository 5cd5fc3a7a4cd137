"""One schema for the files of a table, which may differ; and the rows of a file in that schema."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

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


def declare(table: str, files: Sequence[str], schemas: Sequence[pa.Schema], declared: pa.Schema) -> UnifiedSchema:
    """The schema that the log of a table declares, for files that may have older ones.

    Parameters
    ----------
    table
        Name of the table, for messages.
    files, schemas
        The path of each file, and its columns by their names in the table.
    declared
        Every column of the table, in a plain type. A nested column is read in the types of the files.
    """
    unified = unify_schemas(table, files, schemas)
    fields, uneven, notes, partial = (
        list[pa.Field](),
        dict(unified.uneven),
        dict(unified.unified),
        dict(unified.partial),
    )
    for name, wanted in zip(declared.names, declared.types, strict=True):
        if name not in unified.schema.names:
            fields.append(pa.field(name, wanted))
            partial[name] = 0
            notes[name] = f"{table}: column {name!r} is missing in all {len(files):,} files; it is null"
            continue
        found = unified.schema.field(name).type
        if kind_of(wanted) == "nested" or (plain_type(found) == wanted and name not in uneven):
            fields.append(pa.field(name, found))
            continue
        fields.append(pa.field(name, wanted))
        types = [schema.field(name).type if name in schema.names else None for schema in schemas]
        others = Counter(one for one in types if one is not None and plain_type(one) != wanted)
        each = listed(f"{one} in {count:,} files" for one, count in others.most_common())
        if unfit := [one for one in others if not _becomes(plain_type(one), wanted)]:
            uneven[name] = Problem(
                stage="read",
                file=files[types.index(unfit[0])],
                column=name,
                found=f"{table}: column {name!r} is {each}, and {wanted} in the schema of the table",
                fix="write the files again in the type of the table, or leave the column out of `columns`",
            )
        else:
            uneven.pop(name, None)
            where = "; it is null where it is missing" if name in partial else ""
            notes[name] = f"{table}: column {name!r} is {each}; it is read as {wanted}{where}"
    return UnifiedSchema(schema=pa.schema(fields), uneven=uneven, unified=notes, partial=partial)


def _becomes(type_: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a table may be declared so for files of that type; a time without a zone is then one of UTC."""
    if pa.types.is_timestamp(type_) and pa.types.is_timestamp(wanted):
        return bool(type_.tz is None or wanted.tz is not None)
    common = common_type([type_, wanted])
    return common is not None and bool(common == wanted)


def conform(
    table: pa.Table,
    schema: pa.Schema,
    columns: Sequence[str],
    file: str,
    constants: Mapping[str, pa.Scalar] = MappingProxyType({}),
) -> pa.Table:
    """The columns of one file in the types of the schema; one that the file lacks has its constant, or is null.

    Raises
    ------
    DataError
        A value does not fit the common type.
    """
    given, rows = set(table.column_names), table.num_rows

    def column(name: str) -> pa.ChunkedArray:
        type_ = schema.field(name).type
        if name in given:
            return _conform(table[name], type_, name, file)
        return pa.chunked_array([pa.repeat(constants[name], rows) if name in constants else pa.nulls(rows, type_)])

    return pa.table([column(name) for name in columns], names=list(columns))


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
                found=f"{name!r} is {column.type} here and {to} in the table: {str(error).splitlines()[0]}",
                fix="write it in one type that holds the values of every file",
            )
        ) from None
