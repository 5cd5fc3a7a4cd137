"""YAML files, read strictly: plain values with the line of every key."""

from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.spec.source_map import SourceMap
from ray_pipeline.spec.yaml_builder import YAMLBuilder

MAX_BYTES = 2**20


def read_yaml(path: Path, expected: str) -> SourceMap:
    """The content of a file.

    Parameters
    ----------
    path
        The file; at most 1 MiB.
    expected
        Some top-level keys, for the message where there are none.

    Raises
    ------
    SpecError
        With every problem that does not hide the others.
    """
    file = str(path)
    try:
        if path.is_dir():
            raise SpecError(Problem(file=file, found="this is a directory", fix="name the YAML file in it"))
        if path.exists() and not path.is_file():  # reading a pipe may never end
            raise SpecError(
                Problem(file=file, found="this is a pipe or a device", fix="write it to a file, and name it")
            )
        with path.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        near = sorted(one.name for one in path.parent.glob("*.y*ml"))[:5] if path.parent.is_dir() else []
        raise SpecError(
            Problem(
                file=file,
                found="there is no such file",
                fix=f"here are {', '.join(near)}" if near else "check the path",
            )
        ) from None
    except (OSError, ValueError) as error:
        raise SpecError(
            Problem(
                file=file.replace("\0", "\\0"),
                found=f"it cannot be read: {getattr(error, 'strerror', None) or error}",
                fix="check the path and its permissions",
            )
        ) from None
    if len(raw) > MAX_BYTES:
        raise SpecError(
            Problem(file=file, found="it is larger than 1 MiB", fix="a spec names data, it does not hold any")
        )
    return parse_yaml(raw, file, expected)


def parse_yaml(raw: bytes | str, file: str, expected: str) -> SourceMap:
    """The same for content that is in memory; `file` is its name in messages."""
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SpecError(
                Problem(
                    file=file,
                    line=line,
                    found=f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not UTF-8",
                    fix="save the file as UTF-8",
                )
            ) from None
    data, lines, problems = YAMLBuilder(file, raw).build()
    if not problems and not isinstance(data, dict):
        found = (
            "it is empty"
            if data is None
            else f"it is {'a list' if isinstance(data, tuple) else 'one value'} at the top level"
        )
        problems = [
            Problem(
                file=file,
                line=None if data is None else 1,
                found=found,
                fix=f"write a mapping with the keys {expected}",
            )
        ]
    if problems:
        raise SpecError(problems)
    return SourceMap(file=file, data=data, lines=lines)


def parse_value(written: str) -> Any:
    """One value as YAML, for `--set key=value`; raises `ValueError`."""
    data, _, problems = YAMLBuilder("", written).build()
    if problems:
        raise ValueError(problems[0].found)
    return data
