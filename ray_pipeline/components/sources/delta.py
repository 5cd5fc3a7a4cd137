"""Delta Lake: the Parquet files that the table's log names today, read as any others; the log knows which are there,
and what partitions they are of."""

from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow.fs as pafs

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, Problem, StorageError

FEATURES = {
    "deletionVectors": "rewrite it with `REORG TABLE … APPLY (PURGE)`",
    "columnMapping": "rewrite it without column mapping",
}


class Delta(Parquet):
    """A Delta table: `path` is its folder or URI. The newest version is read; its number is part of the fingerprint by
    the files that it names."""

    endings: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def _log(self) -> Any:
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import DeltaError, TableNotFoundError
        except ImportError:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    found=f"{self.name}: the source delta needs deltalake",
                    fix="pip install 'ray-pipeline[delta]'",
                )
            ) from None
        try:
            return DeltaTable(self.path)
        except TableNotFoundError:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    found=f"{self.name}: there is no Delta table (no _delta_log)",
                    fix="correct the path or `kind`",
                )
            ) from None
        except (DeltaError, OSError) as error:
            raise StorageError(
                Problem(
                    stage="read",
                    file=self.path,
                    found=f"{self.name}: {str(error).splitlines()[0]}",
                    fix="check the path and the credentials",
                )
            ) from None

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        log = self._log
        asked = {*(log.protocol().reader_features or ())} & set(FEATURES)
        if asked:
            feature = min(asked)
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    found=f"{self.name}: the table uses {feature}, which cannot be read",
                    fix=FEATURES[feature],
                )
            )
        fs, root = pafs.FileSystem.from_uri(self.path) if "://" in self.path else (pafs.LocalFileSystem(), self.path)
        names = [unquote(uri).split("://")[-1] if "://" in uri else unquote(uri) for uri in log.file_uris()]
        paths = sorted(f"{root}/{name.rsplit(root.strip('/'), 1)[-1].strip('/')}" for name in names)
        if not paths:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    rows=0,
                    found=f"{self.name}: version {log.version()} holds no file",
                    fix="name a table that holds rows",
                )
            )
        return fs, fs.get_file_info(paths)
