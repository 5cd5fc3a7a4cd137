"""A spec that Python wrote: a mapping becomes the plain values that a YAML file would hold."""

from collections.abc import Mapping
from datetime import date
from math import isfinite
from pathlib import PurePath
from typing import Any

import numpy as np

from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.spec.source_map import SourceMap
from ray_pipeline.spec.yaml_builder import MAX_DIGITS, MAX_NESTED

FILE = "spec"
"""The name in messages of a spec that is in no file."""


def source_of(written: Mapping[str, Any]) -> SourceMap:
    """The content of a mapping. No key has a line.

    Raises
    ------
    SpecError
        A key is not text, a text holds half of a character, a number is not finite or has over 308 digits, or the
        nesting is deeper than in a file.

    Examples
    --------
    >>> source_of({"select": {"from": date(2013, 1, 1)}, "gates": ["auc >= 0.7"], "seed": np.int64(3)}).data
    {'select': {'from': '2013-01-01'}, 'gates': ('auc >= 0.7',), 'seed': 3}
    """
    return SourceMap(file=FILE, data=_plain(written, 0), lines={})


def _plain(value: Any, depth: int) -> Any:
    """The value as YAML would give it: dates and paths are text, lists are tuples, numbers are Python's own."""
    if isinstance(value, Mapping | list | tuple) and depth >= MAX_NESTED:
        raise _refused(f"more than {MAX_NESTED} levels of nesting", "flatten it")
    if isinstance(value, Mapping):
        if other := [key for key in value if not isinstance(key, str)]:
            raise _refused(f"the key {other[0]!r} is not text", "write every key as text")
        return {_whole(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item, depth + 1) for item in value)
    if isinstance(value, np.generic):
        return _plain(value.item(), depth)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        raise _refused(f"{value} is not finite", "write a number")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise _refused(f"a whole number has more than {MAX_DIGITS} digits", "write a smaller number")
    return _whole(str(value)) if isinstance(value, PurePath | str) else value


def _whole(text: str) -> str:
    """The text, with the two halves of a character joined, as in a file."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _refused(f"{text!r:.80} holds half of a character", "write the whole character, or remove it") from None


def _refused(found: str, fix: str) -> SpecError:
    return SpecError(Problem(file=FILE, found=found, fix=fix))
