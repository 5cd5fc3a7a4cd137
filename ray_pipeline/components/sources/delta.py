"""Delta Lake: the Parquet files that the newest version in the table's log names, read like any others."""

from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow.fs as pafs

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, Problem, StorageError

UNREAD_FEATURES = {
    "deletionVectors": "rewrite it with `REORG TABLE … APPLY (PURGE)`",
    "columnMapping": "rewrite it without column mapping",
}


class Delta(Parquet):
    """A Delta table: `path` is its folder or URI.

    The newest version is read. The files that it names are part of the fingerprint.
    """

    endings: ClassVar[tuple[str, ...]] = ()

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
        try:
            return DeltaTable(self.path)
        except TableNotFoundError:
            raise DataError(
                self._problem("there is no Delta table (no _delta_log)", "correct the path or `kind`")
            ) from None
        except (DeltaError, OSError) as error:
            raise StorageError(
                self._problem(str(error).splitlines()[0], "check the path and the credentials")
            ) from None

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        log = self._log
        if unread := {*(log.protocol().reader_features or ())} & set(UNREAD_FEATURES):
            feature = min(unread)
            raise DataError(self._problem(f"the table uses {feature}, which cannot be read", UNREAD_FEATURES[feature]))
        fs, root = pafs.FileSystem.from_uri(self.path) if "://" in self.path else (pafs.LocalFileSystem(), self.path)
        names = [unquote(uri).split("://")[-1] if "://" in uri else unquote(uri) for uri in log.file_uris()]
        paths = sorted(f"{root}/{name.rsplit(root.strip('/'), 1)[-1].strip('/')}" for name in names)
        if not paths:
            raise DataError(self._problem(f"version {log.version()} has no file", "name a table that has rows", rows=0))
        return fs, fs.get_file_info(paths)

    def _problem(self, found: str, fix: str, rows: int | None = None) -> Problem:
        return Problem(stage="read", file=self.path, rows=rows, found=f"{self.name}: {found}", fix=fix)
