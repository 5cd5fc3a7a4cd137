"""Where scored rows are written: one file, or a folder with one file for each file that was read.

The ending says whether a file is Parquet or CSV. A file or folder appears once it is complete.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ray_pipeline.components.sources._files import filesystem, root_of
from ray_pipeline.components.sources.parquet import SUFFIXES
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, Problem, SpecError, StorageError

CSV = ".csv"
Files = Sequence[tuple[Path, int]]
"""Paths of files to write, each with its number of rows."""


def means_file(out: Path) -> bool:
    """Whether the path means one file: it ends as Parquet or CSV does. Otherwise it is a folder.

    Raises
    ------
    SpecError
        It has another ending.
    StorageError
        It means a folder, and there is a file, or a folder that is not empty.
    """
    ending = out.suffix.lower()
    if ending in (*SUFFIXES, CSV) and not out.is_dir():
        return True
    if ending and not out.is_dir():
        fix = "end it with .parquet or .csv, or name a folder without an ending"
        raise SpecError(Problem(key="--out", found=f"there is no kind of file {ending!r} for scores", fix=fix))
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        found = (
            "is a file, and no folder" if out.is_file() else f"holds {len([*out.iterdir()])} files or folders already"
        )
        raise StorageError(Problem(file=str(out), found=found, fix="name a new folder, or a file with its ending"))
    return False


def refuse_own_rows(out: Path, rows: str, files: Iterable[str]) -> None:
    """Raise `SpecError` where scores would replace the rows, or would be rows themselves the next time.

    Parameters
    ----------
    out
        Where scores are written.
    rows
        What is scored, as the user named it.
    files
        The files that it means.
    """
    at = out.resolve()
    if any(Path(file).resolve() == at for file in files):
        found = f"{out} is a file of --rows, and would be lost"
    elif Path(rows).is_dir() and at.is_relative_to(Path(rows).resolve()):
        found = f"{out} is in the folder of --rows: the next time, the scores would be read as rows"
    else:
        return
    raise SpecError(Problem(key="--out", found=found, fix="name another file or folder"))


def write_scores(blocks: Iterable[pa.Table], table: Table, out: Path) -> tuple[int, int]:
    """Write the scored blocks of a table, in file order; return the number of rows and of files.

    Raises
    ------
    DataError
        There are more or fewer rows than the table has, or a type that CSV cannot hold.
    StorageError
        The files cannot be written.
    """
    with _complete(out) as fresh:
        files = [(fresh, table.num_rows)] if means_file(out) else _one_for_each(table, fresh)
        written = _write(iter(blocks), files, out)
        if written != table.num_rows:
            found = f"{written:,} rows were scored, but the footers count {table.num_rows:,}"
            fix = "the files changed meanwhile; predict again"
            raise DataError(Problem(stage="predict", rows=written, found=found, fix=fix))
    return written, len(files)


@contextmanager
def _complete(out: Path) -> Iterator[Path]:
    """A path in a new folder beside `out` that takes its place at the end; after an error nothing is left of it."""
    with _writing(out, out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent)
    with folder:
        fresh = Path(folder.name, out.name)
        yield fresh
        with _writing(out, fresh):
            if out.is_dir():
                out.rmdir()
            fresh.replace(out)


@contextmanager
def _writing(out: Path, path: Path) -> Iterator[None]:
    """In the block, which reads nothing, a file of `out` is written."""
    try:
        yield
    except OSError as error:
        found = f"cannot write: {error.strerror or error}"
        raise StorageError(Problem(file=str(out), found=found, fix="name another --out")) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        found = f"{path.name}: {str(error).splitlines()[0]}"
        raise DataError(Problem(stage="predict", found=found, fix="write Parquet")) from error


def _one_for_each(table: Table, folder: Path) -> Files:
    """A file for each file of the label table, under its path below the table's folder."""
    footers, root = table.footers["labels"], PurePosixPath(root_of(table.labels.source.path))
    rows = footers.file_rows
    if len(rows) != len(footers.files):  # CSV: its rows are counted together
        kind, fields = type(table.labels.source), dict(table.labels.source)
        rows = tuple(kind(**fields | {"path": file}).footers().num_rows for file in footers.files)
    paths = [PurePosixPath(filesystem("labels", file)[1]) for file in footers.files]
    names = [
        str(path.relative_to(root)) if path.is_relative_to(root) else f"part-{number:05}{path.suffix}"
        for number, path in enumerate(paths)
    ]
    return [(folder / name, count) for name, count in zip(names, rows, strict=True)]


def _write(blocks: Iterator[pa.Table], files: Files, out: Path) -> int:
    """Cut the stream of blocks into files; return the number of rows in the stream."""
    if any(path.suffix.lower() == CSV for path, _ in files):
        blocks = map(_lists_as_text, blocks)
    rest, written = next(blocks, None), 0
    if rest is None:
        return 0
    schema = rest.schema
    for path, rows in files:
        with _writer(path, schema, out) as write:
            while rows and rest is not None:
                piece = rest.slice(0, rows)
                write(piece)
                written, rows = written + len(piece), rows - len(piece)
                rest = rest.slice(len(piece)) if len(piece) < len(rest) else next(blocks, None)
    return written + (len(rest) if rest is not None else 0) + sum(len(block) for block in blocks)


def _lists_as_text(table: pa.Table) -> pa.Table:
    """Sets as JSON: CSV has no lists."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [json.dumps(one, ensure_ascii=False) for one in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


@contextmanager
def _writer(path: Path, schema: pa.Schema, out: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Writes tables into a new file of `out`."""
    with _writing(out, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = (pacsv.CSVWriter if path.suffix.lower() == CSV else pq.ParquetWriter)(path, schema)

    def write(table: pa.Table) -> None:
        with _writing(out, path):
            file.write_table(table)

    try:
        yield write
    finally:
        with _writing(out, path):
            file.close()
