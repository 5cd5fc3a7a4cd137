"""`SHA256SUMS` of a folder: written as `sha256sum` writes it, and checked before any other file is parsed."""

import hashlib
from pathlib import Path

from ray_pipeline.errors import Problem, RegistryError

SUMS = "SHA256SUMS"


def sums(folder: Path) -> str:
    """Return the text of `SHA256SUMS` for every other file under the folder, sorted by path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / SUMS)
    return "".join(f"{_sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files)


def check_sums(folder: Path, names: set[str]) -> str:
    """Check that `SHA256SUMS` lists exactly these files and that each has its sum; return the SHA-256 of `SHA256SUMS`.

    Parameters
    ----------
    names
        Paths under the folder, with `/`.

    Raises
    ------
    RegistryError
        With one problem for each file that is missing, a link, unlisted or changed.
    """
    restore = "restore the folder from its source, or register the run again"
    expected = sorted({SUMS, *names})
    refuse(folder, [name for name in expected if (folder / name).is_symlink()], "is a link", restore)
    refuse(folder, [name for name in expected if not (folder / name).is_file()], "is missing", restore)
    content = (folder / SUMS).read_bytes()
    lines = [line.split("  ", 1) for line in content.decode(errors="replace").splitlines() if "  " in line]
    listed = {name: digest for digest, name in lines}
    refuse(folder, sorted(names ^ set(listed)), f"and {SUMS} do not agree: one of them lacks the other", restore)
    changed = [name for name in sorted(names) if _sha256(folder / name) != listed[name]]
    refuse(folder, changed, "was changed: its SHA-256 is not the one written with it", restore)
    return hashlib.sha256(content).hexdigest()


def refuse(folder: Path, names: list[str], found: str, fix: str) -> None:
    """Raise `RegistryError` with one problem for each of the names, if there are any."""
    if names:
        raise RegistryError([Problem(file=str(folder / name), found=found, fix=fix) for name in names])


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
