"""Apache Iceberg: the Parquet files of the table's newest snapshot, read as any others, where they hold the rows as
they are.

A snapshot with delete files, or files written before a column was renamed, says more than its Parquet files: such a
table is refused, with its remedy.
"""

import re
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow.fs as pafs

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, Problem


class Iceberg(Parquet):
    """An Iceberg table: `path` is its folder or URI (with `metadata/` in it), or one of its metadata files, for a fixed
    version."""

    endings: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def _scan(self) -> Any:
        try:
            from pyiceberg.table import StaticTable
        except ImportError:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    found=f"{self.name}: the source iceberg needs pyiceberg",
                    fix="pip install 'ray-pipeline[iceberg]'",
                )
            ) from None
        fs, path = pafs.FileSystem.from_uri(self.path) if "://" in self.path else (pafs.LocalFileSystem(), self.path)
        if not path.endswith(".json"):
            infos = fs.get_file_info(pafs.FileSelector(f"{path}/metadata", allow_not_found=True))
            known = [info.path for info in infos if info.path.endswith(".metadata.json")]
            if not known:
                found = f"{self.name}: there is no Iceberg table (no metadata/*.metadata.json)"
                raise DataError(Problem(stage="read", file=self.path, found=found, fix="correct the path or `kind`"))
            path = max(known, key=_version)
        scheme = self.path.split("://")[0] + "://" if "://" in self.path else ""
        return StaticTable.from_metadata(
            scheme + path, properties={"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}
        ).scan()

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        tasks = list(self._scan.plan_files())
        deleted = sum(bool(task.delete_files) for task in tasks)
        if deleted:
            found = (
                f"{self.name}: rows of {deleted} of {len(tasks)} files are deleted by delete files, which cannot be"
                " read"
            )
            raise DataError(
                Problem(
                    stage="read", file=self.path, found=found, fix="compact the table: `CALL system.rewrite_data_files`"
                )
            )
        if not tasks:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    rows=0,
                    found=f"{self.name}: the newest snapshot holds no file",
                    fix="name a table that holds rows",
                )
            )
        uris = sorted(task.file.file_path for task in tasks)
        fs, _ = pafs.FileSystem.from_uri(uris[0]) if "://" in uris[0] else (pafs.LocalFileSystem(), "")
        infos = fs.get_file_info([re.sub(r"^[a-z0-9]+://", "", uri) for uri in uris])
        self._refuse_renamed(fs, infos)
        return fs, infos

    def _refuse_renamed(self, fs: pafs.FileSystem, infos: list[pafs.FileInfo]) -> None:
        """Columns are known by their ids: a file that has another name for one was written before a renaming."""
        names = {field.field_id: field.name for field in self._scan.projection().fields}
        for info in infos:
            for field in self._footer(fs, info).schema.to_arrow_schema():
                identity = (field.metadata or {}).get(b"PARQUET:field_id")
                if identity and names.get(int(identity), field.name) != field.name:
                    found = (
                        f"{self.name}: column {names[int(identity)]!r} was {field.name!r} when"
                        f" {PurePosixPath(info.path).name} was written"
                    )
                    raise DataError(
                        Problem(
                            stage="read",
                            file=info.path,
                            column=field.name,
                            found=found,
                            fix="rewrite the table's files after the renaming",
                        )
                    )


def _version(path: str) -> tuple[int, str]:
    number = re.match(r"v?(\d+)", PurePosixPath(path).name)
    return (int(number[1]) if number else -1, path)
