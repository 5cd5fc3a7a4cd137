"""One schema for the files of a table, which may differ."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from ray_pipeline.errors import DataError, Problem, listed


def unify_schemas(
    table: str, files: Sequence[str], schemas: Sequence[pa.Schema]
) -> tuple[pa.Schema, dict[str, Problem], dict[str, int]]:
    """The columns that at least half of the files have, each in its most common type.

    Parameters
    ----------
    table
        Name of the table, for messages.
    files, schemas
        The path and the schema of each file.

    Returns
    -------
    tuple of Schema, dict and dict
        The schema; a problem for each column that some files lack or have in another type; and the columns that fewer
        than half of the files have, with the number of these files.

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
        return schemas[0].remove_metadata(), {}, {}
    fields, uneven, extra = list[pa.Field](), dict[str, Problem](), dict[str, int]()
    for name in dict.fromkeys(name for schema in schemas for name in schema.names):
        types = [str(schema.field(name).type) if name in schema.names else "missing" for schema in schemas]
        counts = Counter(types)
        if counts["missing"] > len(files) / 2:
            extra[name] = len(files) - counts["missing"]
            continue
        usual = next(type_ for type_, _ in counts.most_common() if type_ != "missing")
        fields.append(schemas[types.index(usual)].field(name))
        if len(+counts) > 1:
            rarest = (+counts).most_common()[-1][0]
            each = listed(f"{type_} in {count} files" for type_, count in (+counts).most_common())
            uneven[name] = Problem(
                stage="read",
                file=files[types.index(rarest)],
                column=name,
                found=f"{table}: column {name!r} is {each}",
                fix=f"write it as {usual} in every file, or leave it out of `columns`",
            )
    return pa.schema(fields), uneven, extra
