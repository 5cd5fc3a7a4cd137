"""Apache Iceberg: the Parquet files of a snapshot of the table, read like any others.

A column is the one with its id, whatever a file calls it; a file without ids has the names of the table's name mapping.
A snapshot with delete files cannot be read from its Parquet files alone. Such a table is refused, with what would help.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.fs as pafs

from ray_pipeline.components.sources._file_columns import FileColumns, field_ids
from ray_pipeline.components.sources._files import filesystem
from ray_pipeline.components.sources._iceberg_fields import constants_of
from ray_pipeline.components.sources._lake import Lake
from ray_pipeline.components.sources._moments import PastMoment, milliseconds
from ray_pipeline.errors import DataError, PipelineError, StorageError, listed

NAME_MAPPING = "schema.name-mapping.default"
EQUALITY_DELETES = "equality deletes"
"""Of what pyiceberg says that it plans no snapshot with these."""


class Iceberg(Lake):
    """An Iceberg table: `path` is its folder or URI (with `metadata/`), or one metadata file for a fixed version.

    The newest snapshot is read, unless one is given.
    """

    endings: ClassVar[tuple[str, ...]] = ()
    one_of: ClassVar[tuple[str, ...]] = ("snapshot", "as_of")

    snapshot: int | None = None
    """The id of a snapshot."""
    as_of: PastMoment | None = None
    """The snapshot that was the newest at this moment."""

    def fixed(self) -> Mapping[str, Any]:
        """Return the id of the snapshot that `snapshot` or `as_of` means."""
        is_given = self.as_of is not None or self.snapshot is not None
        return {"snapshot": self._scan.snapshot_id} if is_given else super().fixed()

    @cached_property
    def _scan(self) -> Any:
        """The scan of the snapshot, opened once."""
        try:
            from pyiceberg.table import StaticTable
        except ImportError:
            raise DataError(
                self._problem("the source iceberg needs pyiceberg", "pip install 'ray-pipeline[iceberg]'")
            ) from None
        fs, path = filesystem(self.name, self.path)
        if not path.endswith(".json"):
            with self._metadata():
                infos = fs.get_file_info(pafs.FileSelector(f"{path}/metadata", allow_not_found=True))
            known = [info.path for info in infos if info.path.endswith(".metadata.json")]
            if not known:
                raise DataError(
                    self._problem(
                        "there is no Iceberg table (no metadata/*.metadata.json)", "correct the path or `kind`"
                    )
                )
            path = max(known, key=_version)
        scheme = self.path.split("://")[0] + "://" if "://" in self.path else ""
        with self._metadata():
            table = StaticTable.from_metadata(
                scheme + path, properties={"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}
            )
        return table.scan(snapshot_id=self._snapshot_of(table))

    @contextmanager
    def _metadata(self) -> Iterator[None]:
        """In the block, the table's metadata is read. Where it is damaged, pyiceberg raises whatever its parsers do."""
        try:
            yield
        except PipelineError:
            raise
        except Exception as error:
            found = f"its metadata cannot be read: {(str(error) or repr(error)).splitlines()[0]}"
            raise StorageError(self._problem(found, "check the path and the credentials")) from None

    def _snapshot_of(self, table: Any) -> int | None:
        """The id of the snapshot to read; None for the newest."""
        if self.as_of is not None:
            found = table.snapshot_as_of_timestamp(milliseconds(self.as_of))
            if found is None:
                first = min((entry.timestamp_ms for entry in table.history()), default=None)
                began = (
                    "has none" if first is None else f"began {datetime.fromtimestamp(first / 1000, UTC).isoformat()}"
                )
                said = f"there is no snapshot as of {self.as_of.isoformat()}; the history {began}"
                raise DataError(self._problem(said, "correct `as_of`"))
            return int(found.snapshot_id)
        if self.snapshot is not None and table.snapshot_by_id(self.snapshot) is None:
            known = [entry.snapshot_id for entry in table.snapshots()]
            said = f"there is no snapshot {self.snapshot}; it may have expired. Known: {listed(known) or 'none'}"
            raise DataError(self._problem(said, "correct `snapshot`"))
        return self.snapshot

    @cached_property
    def _planned(self) -> dict[str, Any]:
        """What the manifests say of each file, by its path."""
        scan = self._scan
        with self._metadata():
            try:
                tasks = list(scan.plan_files())
            except ValueError as error:
                if EQUALITY_DELETES not in str(error):
                    raise
                raise self._deleted(f"rows are deleted by {EQUALITY_DELETES}") from None
        if deleted := sum(bool(task.delete_files) for task in tasks):
            raise self._deleted(f"rows of {deleted} of {len(tasks)} files are deleted by delete files")
        if not tasks:
            raise DataError(self._problem("the snapshot has no file", "name a table that has rows", rows=0))
        return {_path(task.file.file_path): task.file for task in tasks}

    def _deleted(self, found: str) -> DataError:
        fix = "compact the table: `CALL system.rewrite_data_files`"
        return DataError(self._problem(f"{found}, which cannot be read", fix))

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        fs, _ = filesystem(self.name, self.path)
        return fs, fs.get_file_info(sorted(self._planned))

    @cached_property
    def _schema(self) -> Any:
        """The schema of the snapshot."""
        return self._scan.projection()

    def _declared(self) -> pa.Schema:
        """The schema of the snapshot, as Arrow has it."""
        return self._schema.as_arrow()

    def _columns_of(self, file: str, schema: pa.Schema) -> FileColumns:
        """Where the columns are in a file: by their ids, or by the table's name mapping where it has none."""
        ids = field_ids(schema) or self._mapped(file, schema.names)
        names = {field.field_id: field.name for field in self._schema.fields}
        return FileColumns(
            stored={names[one]: at for one, at in ids.items() if one in names},
            constants=constants_of(self._planned[file], self._scan.table_metadata, self._schema, ids),
        )

    def _mapped(self, file: str, names: Sequence[str]) -> dict[int, str]:
        """The columns of a file without ids, by the ids that the table's name mapping gives to their names."""
        mapping = self._scan.table_metadata.name_mapping()
        if mapping is None:
            without = f"its {len(names)} columns have no field ids, and the table no `{NAME_MAPPING}` for their names"
            fix = f"set the property `{NAME_MAPPING}` of the table, or rewrite its files"
            raise DataError(replace(self._problem(without, fix), file=file))
        found = dict[int, str]()
        for one in mapping:
            for at in (name for name in names if name in one.names and one.field_id is not None):
                if one.field_id in found:
                    twice = f"its columns {found[one.field_id]!r} and {at!r} are one column in `{NAME_MAPPING}`"
                    fix = "write the file again with one of them"
                    raise DataError(replace(self._problem(twice, fix), file=file, column=at))
                found[one.field_id] = at
        return found


def _path(uri: str) -> str:
    """The path of a file on the table's file system; Spark writes `s3a://bucket/x` and `file:/x`."""
    return re.sub(r"^[a-z0-9]+:(//)?", "", uri)


def _version(path: str) -> tuple[int, str]:
    """The number at the start of a metadata file's name, and the path."""
    number = re.match(r"v?(\d+)", PurePosixPath(path).name)
    return (int(number[1]) if number else -1, path)
