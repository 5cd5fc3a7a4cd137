"""JSON of plain values: numbers that are not finite become null, and equal values give equal digests."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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
