"""Delta Lake: the Parquet files that a version in the table's log names, read like any others.

The values of partitions come from the log too, in the types of its schema; the names of folders say neither.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
from pydantic import Field

from ray_pipeline.components.sources._files import filesystem
from ray_pipeline.components.sources._moments import PastMoment, milliseconds
from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, StorageError

UNREAD_FEATURES = {
    "deletionVectors": "rewrite it with `REORG TABLE … APPLY (PURGE)`",
    "columnMapping": "rewrite it without column mapping",
}


class Delta(Parquet):
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
            raise StorageError(
                self._problem(str(error).splitlines()[0], "check the path and the credentials")
            ) from None

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
        if unread := {*(log.protocol().reader_features or ())} & set(UNREAD_FEATURES):
            feature = min(unread)
            raise DataError(self._problem(f"the table uses {feature}, which cannot be read", UNREAD_FEATURES[feature]))
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

    def _partitions(self, file: str, root: str) -> Mapping[str, object]:
        """The values of a file's partitions, as the log says."""
        return self._added[file]

    def _partition_type(self, name: str, values: Iterable[object]) -> pa.DataType:
        """The type of a partition column, as the log says."""
        return pa.schema(self._log.schema().to_arrow()).field(name).type
