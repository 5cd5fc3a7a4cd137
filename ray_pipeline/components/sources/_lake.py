"""A table of Parquet files whose log says which files there are, and what the columns of the table are."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from ray_pipeline.column_types import plain_schema
from ray_pipeline.components.sources._file_columns import FileColumns
from ray_pipeline.components.sources._schemas import UnifiedSchema, declare
from ray_pipeline.components.sources.parquet import Parquet


class Lake(Parquet):
    """The table has the columns and types of its schema, whatever else its files hold."""

    endings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _declared(self) -> pa.Schema:
        """The schema of the version that is read."""

    @abstractmethod
    def _columns_of(self, file: str, schema: pa.Schema) -> FileColumns:
        """Where the columns of the table are in a file with this schema."""

    def _unify(
        self, files: Sequence[str], schemas: Sequence[pa.Schema], columns: Sequence[FileColumns]
    ) -> UnifiedSchema:
        """The table's own schema, for files that may be older than it."""
        declared = plain_schema(self._declared())
        given = [of_file.in_table(schema, declared) for of_file, schema in zip(columns, schemas, strict=True)]
        return declare(self.name, files, given, declared)
