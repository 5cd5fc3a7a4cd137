"""What the data was: SHA-256 of every file and of every column that the run reads, over the bytes in the files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.components.sources._files import root_of
from ray_pipeline.data.table import Table
from ray_pipeline.errors import listed
from ray_pipeline.heartbeat import beat
from ray_pipeline.runtime.tasks import task

if TYPE_CHECKING:
    import pyarrow as pa

TASK_BYTES = 256 << 20
HERE_BYTES = 32 << 20
"""Hashed in 50 ms; another worker process takes 2 s of CPU time to start."""
READ_BYTES = 16 << 20
MAGIC = b"PAR1"
Chunks = dict[str, str]
"""SHA-256 of a file's chunks, by column."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The fingerprint of one table, by file and by column: both views hash the same column chunks."""

    files: Mapping[str, str]
    """SHA-256 by the path below the table's root."""
    columns: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """SHA-256 of the whole table."""
        return _sha256(f"{name} {digest}" for name, digest in (*self.files.items(), *self.columns.items()))

    def as_json(self) -> dict[str, Any]:
        """The object of the manifest."""
        return {"fingerprint": self.sha256, "file_sha256": dict(self.files), "column_sha256": dict(self.columns)}


def fingerprint(table: Table) -> dict[str, Fingerprint]:
    """The fingerprint of every table of the run.

    Each byte of the columns is read once, on whichever node has time.
    """
    files = [(name, file) for name, footers in table.footers.items() for file in footers.files]
    groups = list(_groups(files, table.footers))
    asked = [[(table.footers[name].path, file, table.columns_read[name]) for name, file in group] for group in groups]
    hashed: dict[tuple[str, str], Chunks] = {}
    for group, chunks in zip(groups, _hash_groups(asked, sum(table.bytes_read.values())), strict=True):
        hashed |= dict(zip(group, chunks, strict=True))
    return {
        name: _combine({_under_root(footers.path, file): hashed[name, file] for file in footers.files})
        for name, footers in table.footers.items()
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two fingerprints of one table.

    Parameters
    ----------
    before, now
        The fingerprints as JSON.

    Returns
    -------
    str
        One phrase for each kind of change; empty if nothing differs.

    Examples
    --------
    >>> before = Fingerprint(files={"a": "1"}, columns={"x": "1"}).as_json()
    >>> changes(before, Fingerprint(files={"a": "1"}, columns={"x": "2", "y": "1"}).as_json())
    '1 of 2 columns changed (x), 1 of 2 columns added (y)'
    """
    phrases = []
    for noun in ("file", "column"):
        old, new = (one.get(f"{noun}_sha256", {}) for one in (before, now))
        for verb, names in (
            ("changed", [name for name in new if name in old and new[name] != old[name]]),
            ("added", [name for name in new if name not in old]),
            ("removed", [name for name in old if name not in new]),
        ):
            if names:
                phrases.append(f"{len(names)} of {len(new)} {noun}s {verb} ({listed(names)})")
    return ", ".join(phrases)


def _groups(files: Iterable[tuple[str, str]], footers: Mapping[str, Footers]) -> Iterator[list[tuple[str, str]]]:
    """Groups of files, so that a task has about `TASK_BYTES` to hash."""
    group, size = list[tuple[str, str]](), 0
    for name, file in files:
        group.append((name, file))
        size += footers[name].num_bytes // max(len(footers[name].files), 1)
        if size >= TASK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _hash_groups(groups: Sequence[Sequence[tuple[str, str, Sequence[str]]]], num_bytes: int) -> list[list[Chunks]]:
    """The digests of the files of each group: by tasks, or here where all of it is less than starting a worker."""
    import ray

    if num_bytes <= HERE_BYTES:
        return [_hash_files(group) for group in groups]
    hashing = task(_hash_files)
    hashed: list[list[Chunks]] = ray.get([hashing.remote(group) for group in groups])
    return hashed


def _hash_files(files: Sequence[tuple[str, str, Sequence[str]]]) -> list[Chunks]:
    return [hash_columns(path, file, columns) for path, file, columns in files]


def hash_columns(path: str, file: str, columns: Sequence[str]) -> Chunks:
    """SHA-256 of each column's chunks in one Parquet file, as they are stored: encoded and compressed.

    Parameters
    ----------
    path
        The table's path, which says where the file is stored.
    file
        The file's path.
    columns
        The columns to hash. The column of a hive partition is in no file.

    Returns
    -------
    dict of str to str
        By column. Another kind of file (CSV) is hashed as a whole, as the column `*`.
    """
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

    system = pafs.FileSystem.from_uri(path)[0] if "://" in path else pafs.LocalFileSystem()
    with system.open_input_file(file) as opened:
        if opened.read_at(len(MAGIC), 0) != MAGIC:
            return {"*": _whole_digest(opened)}
        metadata = pq.read_metadata(opened)
        digests = {name: hashlib.sha256() for name in columns}
        for group in range(metadata.num_row_groups):
            for position in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(position)
                path_in_schema = chunk.path_in_schema
                name = path_in_schema if path_in_schema in digests else path_in_schema.partition(".")[0]
                if name in digests:
                    start = min(offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset)
                    digests[name].update(opened.read_at(chunk.total_compressed_size, start))
                    beat()
        present = set(metadata.schema.to_arrow_schema().names)
    return {name: digest.hexdigest() for name, digest in digests.items() if name in present}


def _whole_digest(opened: "pa.NativeFile") -> str:
    digest = hashlib.sha256()
    for start in range(0, opened.size(), READ_BYTES):
        digest.update(opened.read_at(READ_BYTES, start))
        beat()
    return digest.hexdigest()


def _combine(files: Mapping[str, Chunks]) -> Fingerprint:
    """The fingerprint of a table from the digests of its files."""
    names = dict.fromkeys(name for chunks in files.values() for name in chunks)
    return Fingerprint(
        files={file: _sha256(f"{name} {digest}" for name, digest in chunks.items()) for file, chunks in files.items()},
        columns={
            name: _sha256(f"{file} {chunks[name]}" for file, chunks in files.items() if name in chunks)
            for name in names
        },
    )


def _under_root(path: str, file: str) -> str:
    """The file's path below the table's folder, which is the same on every machine."""
    root, below = root_of(path), PurePosixPath(file)
    return str(below.relative_to(root)) if below.is_relative_to(root) else below.name


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
