"""Python is parsed in one thread at a time: CPython 3.11 fails with `SystemError` where two do it (issue 106905).

Imports parse, too: `inspect.signature` does, of a function that is written in C.
"""

import ast
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray_pipeline.runtime.overrides import attributes


@contextmanager
def one_parser() -> Iterator[None]:
    """Let every call of `ast.parse` in this process wait, for the block, until no other thread parses."""
    parse, alone = ast.parse, threading.RLock()

    def parse_alone(*arguments: Any, **options: Any) -> Any:
        with alone:
            return parse(*arguments, **options)

    with attributes.use({"ast:parse": parse_alone}):
        yield
