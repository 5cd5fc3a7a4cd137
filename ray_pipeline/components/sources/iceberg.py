"""Apache Iceberg: the Parquet files of a snapshot of the table, read like any others.

A snapshot with delete files, or with files from before a column was renamed, cannot be read from its Parquet files
alone. Such a table is refused, with what would help.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow.fs as pafs

from ray_pipeline.components.sources._files import filesystem
from ray_pipeline.components.sources._moments import PastMoment, milliseconds
from ray_pipeline.components.sources._parquet_footers import read_footer
from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, StorageError, listed


class Iceberg(Parquet):
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

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        scan = self._scan
        with self._metadata():
            tasks = list(scan.plan_files())
        if deleted := sum(bool(task.delete_files) for task in tasks):
            raise DataError(
                self._problem(
                    f"rows of {deleted} of {len(tasks)} files are deleted by delete files, which cannot be read",
                    "compact the table: `CALL system.rewrite_data_files`",
                )
            )
        if not tasks:
            raise DataError(self._problem("the snapshot has no file", "name a table that has rows", rows=0))
        uris = sorted(task.file.file_path for task in tasks)
        fs, _ = pafs.FileSystem.from_uri(uris[0]) if "://" in uris[0] else (pafs.LocalFileSystem(), "")
        infos = fs.get_file_info([re.sub(r"^[a-z0-9]+://", "", uri) for uri in uris])
        self._refuse_renamed(fs, infos)
        return fs, infos

    def _partitions(self, file: str, root: str) -> Mapping[str, object]:
        """None: Iceberg's files hold all columns, whatever their folders are called."""
        return {}

    def _refuse_renamed(self, fs: pafs.FileSystem, infos: list[pafs.FileInfo]) -> None:
        """Refuses files from before a column was renamed: they have another name for the column's id."""
        names = {field.field_id: field.name for field in self._scan.projection().fields}
        for info in infos:
            for field in read_footer(self.name, fs, info).schema.to_arrow_schema():
                identity = (field.metadata or {}).get(b"PARQUET:field_id")
                if identity and names.get(int(identity), field.name) != field.name:
                    file = PurePosixPath(info.path).name
                    found = f"column {names[int(identity)]!r} was {field.name!r} when {file} was written"
                    problem = self._problem(found, "rewrite the table's files after the renaming")
                    raise DataError(replace(problem, file=info.path, column=field.name))


def _version(path: str) -> tuple[int, str]:
    """The number at the start of a metadata file's name, and the path."""
    number = re.match(r"v?(\d+)", PurePosixPath(path).name)
    return (int(number[1]) if number else -1, path)
