"""Hive partitions: a folder named `year=2024` gives the rows of its files a column `year`."""

import re
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow as pa

from ray_pipeline.errors import DataError, Problem

NULL = "__HIVE_DEFAULT_PARTITION__"


def partitions(file: str, root: str, only: Collection[str] | None = None) -> dict[str, str | None]:
    """The values that the folders between a table's root and one of its files name; the value of a null is None.

    Parameters
    ----------
    file, root
        Their paths.
    only
        The columns that are wanted; None for all.

    Examples
    --------
    >>> partitions("/data/region=a%2Fb/code=01/x.parquet", "/data")
    {'region': 'a/b', 'code': '01'}

    Raises
    ------
    DataError
        Two folders name one column.
    """
    folders = PurePosixPath(file).relative_to(root).parts[:-1]
    values = dict[str, str | None]()
    for name, value in ((unquote(name), value) for name, equals, value in map(_split, folders) if equals and name):
        if only is not None and name not in only:
            continue
        if name in values:
            found, fix = f"two of its folders name a value of {name!r}", "rename one of them"
            raise DataError(Problem(stage="read", file=file, column=name, found=found, fix=fix))
        values[name] = None if value == NULL else unquote(value)
    return values


def partition_type(values: Sequence[str | None], wanted: pa.DataType | None = None) -> pa.DataType:
    """int64 if every value is written as Python writes a whole number, date32 if every value is a date, else text.

    A wanted type that holds every value goes before. Else `01` stays a text.

    Examples
    --------
    >>> partition_type(["1", "20", None]), partition_type(["01", "2"]), partition_type(["2024-01-31"])
    (DataType(int64), DataType(string), DataType(date32[day]))
    """
    known = [value for value in values if value is not None]
    if wanted is not None and _all_become(known, wanted):
        return wanted
    if known and all(re.fullmatch(r"0|-?[1-9]\d{0,17}", value) for value in known):
        return pa.int64()
    return pa.date32() if known and all(map(_is_date, known)) else pa.string()


def partition_value(value: object, type_: pa.DataType) -> pa.Scalar:
    """The value in the type of its column, from the text of a folder's name or from a value of a table's log."""
    return pa.scalar(value, pa.string()).cast(type_) if isinstance(value, str) else pa.scalar(value, type_)


def _split(folder: str) -> tuple[str, str, str]:
    return folder.partition("=")


def _all_become(values: Sequence[str], type_: pa.DataType) -> bool:
    try:
        pa.array(values, pa.string()).cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False
