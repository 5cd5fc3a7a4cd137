"""JSON of plain values: numbers that are not finite become null, and equal values give equal digests."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_JSON_BYTES = 256 * 2**20
"""A larger JSON file is refused before it is read; the encoder of a column with a million categories takes 20 MB."""


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is no JSON, or is nested deeper than the interpreter's recursion limit.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(file: Path) -> Any:
    """The value in a JSON file that may come from somebody else.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is larger than `MAX_JSON_BYTES`, no JSON, or nested too deeply.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES:,} bytes")
    return parse_json(content)


def plain(value: object) -> Any:
    """The value as JSON can hold it: lists for tuples, text for keys, None for numbers that are not finite.

    >>> plain({"auc": float("nan"), 1: (2, 3)})
    {'auc': None, '1': [2, 3]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def json_digest(value: object) -> str:
    """SHA-256 of the value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(
        json.dumps(plain(value), sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()
