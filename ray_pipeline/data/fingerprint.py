"""What the data was: SHA-256 of every file and of every column that the run reads, over the very bytes that stand in
the files."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.read import Table
from ray_pipeline.errors import listed
from ray_pipeline.spec import Spec

TASK_BYTES = 256 << 20
MAGIC = b"PAR1"
Chunks = dict[str, str]


@dataclass(frozen=True)
class Fingerprint:
    """Of one table. Both views are over the same column chunks, so that a change is told by its files and by its
    columns."""

    files: Mapping[str, str]
    """By the path under the table's root."""
    columns: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Of the whole table."""
        return _sha256(f"{name} {digest}" for name, digest in (*self.files.items(), *self.columns.items()))

    def as_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {"fingerprint": self.sha256, "file_sha256": dict(self.files), "column_sha256": dict(self.columns)}


def fingerprint(table: Table, spec: Spec) -> dict[str, Fingerprint]:
    """The fingerprint of every table of the run; each byte of its columns is read once, on whatever node has time."""
    import ray

    wanted = {name: _columns(name, table, spec) for name in table.footers}
    work = [(name, file) for name, footers in table.footers.items() for file in footers.files]
    hashed: dict[tuple[str, str], Chunks] = {}
    task = ray.remote(_hash_files)
    tasks = [
        task.remote([(table.footers[name].path, file, wanted[name]) for name, file in group])
        for group in _groups(work, table.footers)
    ]
    for group, found in zip(_groups(work, table.footers), ray.get(tasks), strict=True):
        hashed |= dict(zip(group, found, strict=True))
    return {
        name: _whole({_under_root(footers.path, file): hashed[name, file] for file in footers.files})
        for name, footers in table.footers.items()
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two fingerprints of one table (as JSON), in words; the empty string where nothing does."""
    said = []
    for what in ("file", "column"):
        old, new = (told.get(f"{what}_sha256", {}) for told in (before, now))
        changed = [name for name in new if name in old and new[name] != old[name]]
        for verb, names in (
            ("changed", changed),
            ("added", [n for n in new if n not in old]),
            ("removed", [n for n in old if n not in new]),
        ):
            if names:
                said.append(f"{len(names)} of {len(new)} {what}s {verb} ({listed(names)})")
    return ", ".join(said)


def _columns(name: str, table: Table, spec: Spec) -> tuple[str, ...]:
    """The table's columns that the run reads."""
    if name == "labels":
        return tuple(table.scanned)
    feature = spec.features.tables[name]
    names = [
        *table.maker.columns,
        *(table.canonical(written) for written in (spec.where_expression.columns if spec.where_expression else ())),
    ]
    own = [column.partition(".")[2] for column in names if column.startswith(f"{name}.")]
    return tuple(dict.fromkeys([*feature.on, *(column for column in (feature.time, feature.known_at) if column), *own]))


def _groups(work: Sequence[tuple[str, str]], footers: Mapping[str, Footers]) -> Iterator[list[tuple[str, str]]]:
    """Files together, so that a task has about `TASK_BYTES` to hash."""
    group, size = list[tuple[str, str]](), 0
    for name, file in work:
        group.append((name, file))
        size += footers[name].num_bytes // max(len(footers[name].files), 1)
        if size >= TASK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _hash_files(files: Sequence[tuple[str, str, Sequence[str]]]) -> list[Chunks]:
    return [hash_columns(path, file, columns) for path, file, columns in files]


def hash_columns(path: str, file: str, columns: Sequence[str]) -> Chunks:
    """SHA-256 of each column's chunks in one Parquet file, as they stand there, encoded and compressed; a partition's
    column is in no file.

    Another kind of file (CSV) is hashed whole, as the column `*`.
    """
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

    system = pafs.FileSystem.from_uri(path)[0] if "://" in path else pafs.LocalFileSystem()
    with system.open_input_file(file) as opened:
        if opened.read_at(len(MAGIC), 0) != MAGIC:
            return {"*": hashlib.sha256(opened.read_at(opened.size(), 0)).hexdigest()}
        metadata = pq.read_metadata(opened)
        digests = {name: hashlib.sha256() for name in columns}
        for group in range(metadata.num_row_groups):
            for position in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(position)
                name = (
                    chunk.path_in_schema if chunk.path_in_schema in digests else chunk.path_in_schema.partition(".")[0]
                )
                if name in digests:
                    start = min(offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset)
                    digests[name].update(opened.read_at(chunk.total_compressed_size, start))
        present = set(metadata.schema.to_arrow_schema().names)
    return {name: digest.hexdigest() for name, digest in digests.items() if name in present}


def _whole(chunks: Mapping[str, Chunks]) -> Fingerprint:
    names = dict.fromkeys(name for found in chunks.values() for name in found)
    return Fingerprint(
        {file: _sha256(f"{name} {digest}" for name, digest in found.items()) for file, found in chunks.items()},
        {name: _sha256(f"{file} {found[name]}" for file, found in chunks.items() if name in found) for name in names},
    )


def _under_root(path: str, file: str) -> str:
    """The file's path as it is on every machine: from the table's folder on."""
    root = path.partition("://")[2] if "://" in path else path
    while any(sign in root for sign in "*?["):
        root = str(PurePosixPath(root).parent)
    return (
        str(PurePosixPath(file).relative_to(root))
        if PurePosixPath(file).is_relative_to(root) and file != root
        else PurePosixPath(file).name
    )


def _sha256(lines: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
