"""What an Iceberg table's metadata say of the columns of one of its files."""

from collections.abc import Collection
from typing import Any

import pyarrow as pa

from ray_pipeline.column_types import plain_column


def constants_of(file: Any, table: Any, schema: Any, stored: Collection[int]) -> dict[str, object]:
    """The values of the columns that a file lacks, where the metadata have one.

    It is that of the file's partition, as in tables that came from Hive; else what the column was when it was added.

    Parameters
    ----------
    file
        What the manifest says of the file.
    table, schema
        The metadata of the table, and the schema of the snapshot.
    stored
        The ids of the columns that the file has.
    """
    from pyiceberg.transforms import IdentityTransform

    fields = table.specs()[file.spec_id].fields
    partition = {
        one.source_id: file.partition[place]
        for place, one in enumerate(fields)
        if isinstance(one.transform, IdentityTransform)
    }
    values = {
        one: partition.get(one.field_id, one.initial_default) for one in schema.fields if one.field_id not in stored
    }
    return {one.name: _plain(value, one) for one, value in values.items() if value is not None}


def _plain(value: object, field: Any) -> object:
    """The value as the column has it: the manifests hold dates and times as numbers."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    type_ = schema_to_pyarrow(field.field_type)
    return plain_column(pa.chunked_array([pa.array([value], type_)]))[0].as_py()
