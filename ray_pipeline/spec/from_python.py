"""A spec that Python wrote: a mapping becomes the plain values that a YAML file would hold."""

from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

import numpy as np

from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.spec.source_map import SourceMap

FILE = "spec"
"""The name in messages of a spec that is in no file."""


def source_of(written: Mapping[str, Any]) -> SourceMap:
    """The content of a mapping. No key has a line.

    Raises
    ------
    SpecError
        A key is not text.

    Examples
    --------
    >>> source_of({"select": {"from": date(2013, 1, 1)}, "gates": ["auc >= 0.7"], "seed": np.int64(3)}).data
    {'select': {'from': '2013-01-01'}, 'gates': ('auc >= 0.7',), 'seed': 3}
    """
    return SourceMap(file=FILE, data=_plain(written), lines={})


def _plain(value: Any) -> Any:
    """The value as YAML would give it: dates and paths are text, lists are tuples, numbers are Python's own."""
    if isinstance(value, Mapping):
        if other := [key for key in value if not isinstance(key, str)]:
            raise SpecError(
                Problem(file=FILE, found=f"the key {other[0]!r} is not text", fix="write every key as text")
            )
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, PurePath) else value
