"""The files that a path means: a file, a folder with all below it, or a glob; on a local disk or an object store."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import chain
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from ray_pipeline.errors import DataError, Problem, StorageError

ABSENT_FIX = "correct the path; it is relative to the spec's folder, or to `data:` of the cluster file"


def files_at(
    name: str, path: str, suffixes: tuple[str, ...], what: str, head: bytes | None = None
) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
    """The files of a table, sorted by path; hidden ones (`.x`, `_x`) are left out.

    Parameters
    ----------
    name
        Name of the table, for messages.
    path
        A file, a folder, a glob or a URI.
    suffixes
        The endings of the files that count, unless the path is a glob.
    what
        The kind of file, for messages.
    head
        How such files begin: one whose name has no ending, as Hive writes them, counts if it begins so.

    Raises
    ------
    DataError
        There is no such path, or no file of that kind below it, or a link to a file that is absent, or the files are
        those of a Delta or Iceberg table.
    StorageError
        The URI or the credentials cannot be used.
    """
    written = path
    fs, path = filesystem(name, path)
    try:
        root = _literal(fs, path)
        at = fs.get_file_info(root)
        if at.type == pafs.FileType.NotFound:
            raise DataError(
                Problem(
                    stage="read",
                    file=path,
                    found=f"{name}: there is no such file or folder",
                    fix=ABSENT_FIX,
                )
            )
        if at.type == pafs.FileType.File:
            return fs, [at]
        if at.type == pafs.FileType.Unknown:
            found = f"{name}: this is a pipe or a device, and rows are read more than once"
            raise DataError(Problem(stage="read", file=path, found=found, fix="save the rows in a file, and name it"))
        infos = _below(fs, root)
    except OSError as error:
        raise _unreachable(name, written, error) from None
    glob = PurePosixPath(path).relative_to(root).parts

    def meant(file: str, endings: tuple[str, ...] = suffixes) -> bool:
        return not _hidden(file, root) and _matches(PurePosixPath(file).relative_to(root).parts, glob, endings)

    visible = [info for info in infos if info.type == pafs.FileType.File and not _hidden(info.path, root)]
    files = [info for info in visible if meant(info.path)]
    if head and (bare := [one for one in visible if "." not in one.base_name and meant(one.path, ("",))]):
        known = {info.path for info in files}
        with ThreadPoolExecutor(16) as pool:
            begin = list(pool.map(lambda one: one.path not in known and _begins(fs, one, head), bare))
        files += [one for one, is_one in zip(bare, begin, strict=True) if is_one]
    _refuse_lakes(name, [info.path for info in infos], [info.path for info in files])
    if isinstance(fs, pafs.LocalFileSystem):
        _refuse_bad_links(name, root, [info.path for info in files], meant)
    if not files:
        raise DataError(
            Problem(
                stage="read",
                file=path,
                found=f"{name}: no {what} file here ({len(visible)} other files)",
                fix=f"name a folder with *{suffixes[0]} files, a file or a glob",
            )
        )
    return fs, sorted(files, key=lambda info: info.path)


def _begins(fs: pafs.FileSystem, info: pafs.FileInfo, head: bytes) -> bool:
    try:
        with fs.open_input_stream(info.path, compression=None) as stream:
            return bytes(stream.read(len(head))) == head
    except OSError:
        return False


def lake_at(name: str, path: str) -> str | None:
    """The kind of a folder whose log names its files: `delta` or `iceberg`; None for any other path.

    Raises
    ------
    StorageError
        The URI or the credentials cannot be used.
    """
    if has_magic(path):
        return None
    fs, at = filesystem(name, path)
    try:
        if fs.get_file_info(at).type != pafs.FileType.Directory:
            return None
        logs = [f"{at.rstrip('/')}/{inside}" for inside in ("_delta_log", "metadata")]
        delta, metadata = (fs.get_file_info(pafs.FileSelector(log, allow_not_found=True)) for log in logs)
    except OSError as error:
        raise _unreachable(name, path, error) from None
    if delta:
        return "delta"
    return "iceberg" if any(info.path.endswith(".metadata.json") for info in metadata) else None


def root_of(path: str) -> str:
    """The folder below which names of folders may be hive partitions."""
    fs, path = filesystem("", path)
    path = _literal(fs, path)
    return path if fs.get_file_info(path).type == pafs.FileType.Directory else str(PurePosixPath(path).parent)


def filesystem(name: str, path: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a table's path, and the path on it.

    Raises
    ------
    StorageError
        The URI or the credentials cannot be used.
    """
    try:
        return pafs.FileSystem.from_uri(path) if "://" in path else (pafs.LocalFileSystem(), path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreachable(name, path, error) from None


def _unreachable(name: str, path: str, error: Exception) -> StorageError:
    found, is_local = f"{name}: {str(error).splitlines()[0]}", "://" not in path
    fix = (
        "allow reading it, or name another path" if is_local else "check the URI and the credentials in the environment"
    )
    return StorageError(Problem(stage="read", file=path, found=found, fix=fix))


def _literal(fs: pafs.FileSystem, path: str) -> str:
    """The path itself where it exists, whatever signs it has; else its longest part before a glob."""
    while has_magic(path) and fs.get_file_info(path).type == pafs.FileType.NotFound:
        path = str(PurePosixPath(path).parent)
    return path


def _matches(path: Sequence[str], glob: Sequence[str], suffixes: tuple[str, ...]) -> bool:
    """Whether the glob names the file or one of its folders; `**` stands for any number of folders."""
    if not glob:
        return not path or path[-1].lower().endswith(suffixes)
    if glob[0] == "**" and _matches(path, glob[1:], suffixes):
        return True
    rest = glob if glob[0] == "**" else glob[1:]
    return bool(path) and (glob[0] == "**" or fnmatchcase(path[0], glob[0])) and _matches(path[1:], rest, suffixes)


def _below(fs: pafs.FileSystem, folder: str) -> list[pafs.FileInfo]:
    """All files and folders below a folder; of a local one without what is in hidden folders, which may be much."""
    if not isinstance(fs, pafs.LocalFileSystem):
        return list(fs.get_file_info(pafs.FileSelector(folder, recursive=True)))
    infos = list(fs.get_file_info(pafs.FileSelector(folder)))
    inside = [info.path for info in infos if info.type == pafs.FileType.Directory and not _hidden(info.path, folder)]
    return [*infos, *chain.from_iterable(_below(fs, path) for path in inside)]


def _log_at(path: str) -> tuple[str, str] | None:
    """The folder of a table and its kind, for the path of a Delta log or of a file of Iceberg's metadata."""
    parent, _, name = path.rpartition("/")
    folder, _, inside = parent.rpartition("/")
    if name == "_delta_log":
        return parent, "delta"
    return (folder, "iceberg") if inside == "metadata" and name.endswith(".metadata.json") else None


def _refuse_lakes(name: str, listed: Sequence[str], files: Sequence[str]) -> None:
    """Refuses the bare files of a Delta or Iceberg table: some of them may hold rows that were deleted or replaced."""
    for folder, kind in dict.fromkeys(filter(None, map(_log_at, listed))):
        if any(file.startswith(f"{folder}/") for file in files):
            what = {"delta": "a Delta table", "iceberg": "an Iceberg table"}[kind]
            found = f"{name}: this is {what}; only its log says which of its files hold rows"
            raise DataError(
                Problem(stage="read", file=folder, found=found, fix=f"write `kind: {kind}` beside the path")
            )


def _refuse_bad_links(name: str, root: str, files: Sequence[str], meant: Callable[[str], bool]) -> None:
    """Refuses links by which rows would be absent or be read many times.

    Arrow does not list a link whose file is absent, as git-annex and DVC leave them, and follows one that leads to a
    folder above it 40 times.
    """
    for link in _links(root):
        if meant(link) and not Path(link).exists():
            found, fix = "is a link to nothing", "fetch the file, or remove the link"
        elif _holds(link) and any(file.startswith(f"{link}/") for file in files):
            found, fix = "is a link to a folder that holds it", "remove the link"
        else:
            continue
        raise DataError(Problem(stage="read", file=link, found=f"{name}: this {found}", fix=fix))


def _holds(link: str) -> bool:
    """Whether the link leads to a folder above it."""
    return Path(link).parent.resolve().is_relative_to(Path(link).resolve())


def _links(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not _hidden(name, "")]
        for path in (os.path.join(folder, one) for one in (*folders, *files)):  # noqa: PTH118 (ten times faster)
            if os.path.islink(path):  # noqa: PTH114
                yield path


def _hidden(path: str, root: str) -> bool:
    """Whether the file or one of its folders below the root is hidden."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(path).relative_to(root).parts)
