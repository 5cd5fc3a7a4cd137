"""Delta Lake: the Parquet files that a version in the table's log names, read like any others.

The columns and their types come from the log too, as do the values of partitions; the names of folders say neither.
"""

from collections.abc import Mapping
from datetime import UTC
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
from pydantic import Field

from ray_pipeline.components.sources._file_columns import FileColumns, field_ids
from ray_pipeline.components.sources._files import filesystem
from ray_pipeline.components.sources._lake import Lake
from ray_pipeline.components.sources._moments import PastMoment, milliseconds
from ray_pipeline.errors import DataError, StorageError

MODE = "delta.columnMapping.mode"
PHYSICAL, IDENTITY = b"delta.columnMapping.physicalName", b"delta.columnMapping.id"


class Delta(Lake):
    """A Delta table: `path` is its folder or URI.

    The newest version is read, unless one is given. The files that it names are part of the fingerprint.
    """

    endings: ClassVar[tuple[str, ...]] = ()
    one_of: ClassVar[tuple[str, ...]] = ("version", "as_of")

    version: Annotated[int, Field(ge=0)] | None = None
    """The version to read; unless given the newest."""
    as_of: PastMoment | None = None
    """The version that was the newest at this moment."""

    def fixed(self) -> Mapping[str, Any]:
        """Return the number of the version that `version` or `as_of` means."""
        is_given = self.as_of is not None or self.version is not None
        return {"version": self._log.version()} if is_given else super().fixed()

    @cached_property
    def _log(self) -> Any:
        """The table's log, opened once."""
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import DeltaError, TableNotFoundError
        except ImportError:
            raise DataError(
                self._problem("the source delta needs deltalake", "pip install 'ray-pipeline[delta]'")
            ) from None
        fs, at = filesystem(self.name, self.path)
        try:
            if fs.get_file_info(at).is_file:
                raise TableNotFoundError
            log = DeltaTable(self.path)
            newest = log.version()
            if self.as_of is not None:
                self._refuse_before_the_first(fs, at)
                log.load_as_version(self.as_of)
            elif self.version is not None and self.version > newest:
                found = f"there is no version {self.version}; the newest is {newest}"
                raise DataError(self._problem(found, "correct `version`"))
            elif self.version is not None:
                log.load_as_version(self.version)
            return log
        except TableNotFoundError:
            raise DataError(
                self._problem("there is no Delta table (no _delta_log)", "correct the path or `kind`")
            ) from None
        except (DeltaError, OSError) as error:
            fix = "check the path and the credentials; copy a table with features that cannot be read to one without"
            raise StorageError(self._problem(str(error).splitlines()[0], fix)) from None

    def _refuse_before_the_first(self, fs: pafs.FileSystem, at: str) -> None:
        """Refuse a moment before the log's first file: the library reads version 0 then.

        A version is of the moment when its file of the log was written, as for the library and for Spark.
        """
        assert self.as_of is not None
        commits = [file for file in fs.get_file_info(pafs.FileSelector(f"{at}/_delta_log")) if file.extension == "json"]
        first = min(file.mtime for file in commits)
        if milliseconds(self.as_of) < milliseconds(first):
            began = first.astimezone(UTC).isoformat(timespec="milliseconds")
            found = f"there is no version as of {self.as_of.isoformat()}; the first file of the log is of {began}"
            raise DataError(self._problem(found, "correct `as_of`, or give the `version`"))

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        log = self._log
        self._refuse_deleted()
        if not self._added:
            raise DataError(self._problem(f"version {log.version()} has no file", "name a table that has rows", rows=0))
        fs, _ = filesystem(self.name, self.path)
        return fs, fs.get_file_info(sorted(self._added))

    @cached_property
    def _added(self) -> dict[str, dict[str, object]]:
        """The values of the partitions of each file."""
        _, root = filesystem(self.name, self.path)
        added = dict[str, dict[str, object]]()
        for action in pa.table(self._log.get_add_actions(flatten=True)).to_pylist():
            path = unquote(action["path"])
            values = {name: action[f"partition.{name}"] for name in self._log.metadata().partition_columns}
            place = path.split("://")[-1] if "://" in path else f"{root.rstrip('/')}/{path}"
            added[place] = {name: None if value != value else value for name, value in values.items()}  # NaN is null
        return added

    def _refuse_deleted(self) -> None:
        """Refuses files with deletion vectors. Features of tables that would mean more are refused by deltalake."""
        has_them = "deletionVectors" in (self._log.protocol().reader_features or ())
        if has_them and (deleted := pa.table(self._log.deletion_vectors()).num_rows):
            files = f"rows of {deleted:,} of {len(self._added):,} files"
            found = f"{files} are deleted by deletion vectors, which cannot be read"
            raise DataError(self._problem(found, "rewrite it with `REORG TABLE … APPLY (PURGE)`"))

    @cached_property
    def _schema(self) -> pa.Schema:
        """The schema of the version, as the log says."""
        return pa.schema(self._log.schema().to_arrow())

    def _declared(self) -> pa.Schema:
        """The schema of the version."""
        return self._schema

    def _columns_of(self, file: str, schema: pa.Schema) -> FileColumns:
        """The log has the values of partitions, and where columns are mapped, their names or ids in files."""
        constants, mode = self._added[file], self._log.metadata().configuration.get(MODE, "none")
        if mode == "none":
            return FileColumns(constants=constants)
        columns = [(one.name, one.metadata or {}) for one in self._schema]
        if mode == "name":
            return FileColumns(constants=constants, stored={name: of[PHYSICAL].decode() for name, of in columns})
        places = field_ids(schema)
        found = {name: places.get(int(of[IDENTITY])) for name, of in columns}
        return FileColumns(constants=constants, stored={name: at for name, at in found.items() if at is not None})
