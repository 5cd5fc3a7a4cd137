"""Settings of the whole process, changed for a while: the last block to end restores what the first one found."""

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Overrides(Generic[K, V]):
    """One kind of setting that several blocks, also of different threads, may change at the same time.

    The block that came last decides. When it ends, the value of the one before it is set again; when all have ended,
    the value that the first one found. So no thread ever restores a value that another thread has set.

    Parameters
    ----------
    read
        Gives the present value of a setting, by its name.
    write
        Sets it.

    Examples
    --------
    >>> settings = {"level": 1}
    >>> overrides = Overrides(settings.__getitem__, settings.__setitem__)
    >>> with overrides.use({"level": 2}):
    ...     settings["level"]
    2
    >>> settings["level"]
    1
    """

    def __init__(self, read: Callable[[K], V], write: Callable[[K, V], object]) -> None:
        self._read, self._write = read, write
        self._lock = threading.RLock()
        self._found: dict[K, V] = {}
        self._layers: list[Mapping[K, V]] = []

    @contextmanager
    def use(self, values: Mapping[K, V]) -> Iterator[None]:
        """Sets the values for the block."""
        layer = dict(values)
        try:
            with self._lock:
                self._found = {name: self._read(name) for name in layer} | self._found
                self._layers.append(layer)
                for name, value in layer.items():
                    self._write(name, value)
            yield
        finally:
            with self._lock:
                self._layers = [other for other in self._layers if other is not layer]
                for name in layer:
                    self._restore(name)

    @contextmanager
    def keep(self, *names: K) -> Iterator[None]:
        """Leaves the settings as they are, and restores them after the block if something else has changed them."""
        with self.use({name: self._read(name) for name in names}):
            yield

    def _restore(self, name: K) -> None:
        above = [layer[name] for layer in self._layers if name in layer]
        if above:
            self._write(name, above[-1])
        elif name in self._found:
            self._write(name, self._found.pop(name))


def _set_variable(name: str, value: str | None) -> None:
    os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _file_mask(_: str) -> int:
    # `os.umask` tells the mask only by setting another one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)


def _is_ignored(module: str) -> bool:
    return _ignoring(module) in warnings.filters


def _set_ignored(module: str, ignored: bool) -> None:
    # Not `warnings.catch_warnings`: it replaces the whole list of filters, and is not made for threads.
    if ignored:
        warnings.filterwarnings("ignore", module=module)
    elif _is_ignored(module):
        warnings.filters.remove(_ignoring(module))  # type: ignore[attr-defined]


def _ignoring(module: str) -> tuple[object, ...]:
    """The filter that ignores all warnings of a module, as the interpreter's list of filters holds it."""
    return ("ignore", None, Warning, re.compile(module), 0)


def read_attribute(name: str) -> Any:
    """An attribute of a module or class: of a class the function, or the static method, and not what it is bound to."""
    owner, attribute = _owner(name)
    return owner.__dict__[attribute]


def _set_attribute(name: str, value: Any) -> None:
    setattr(*_owner(name), value)


def _owner(name: str) -> tuple[Any, str]:
    """The module or class that has an attribute, and the attribute's own name."""
    module, _, path = name.partition(":")
    owner: Any = import_module(module)
    *classes, attribute = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    return owner, attribute


attributes: Overrides[str, Any] = Overrides(read_attribute, _set_attribute)
"""Attributes of a library's modules and classes, as in `ray._private.node:Node.start_monitor`."""
environment: Overrides[str, str | None] = Overrides(os.environ.get, _set_variable)
"""Environment variables; None removes one."""
file_masks: Overrides[str, int] = Overrides(_file_mask, lambda _, mask: os.umask(mask))
"""The permissions that new files do not get; there is one setting, `umask`."""
log_levels: Overrides[str, int] = Overrides(
    lambda name: logging.getLogger(name).level, lambda name, level: logging.getLogger(name).setLevel(level)
)
"""Levels of loggers, by the logger's name."""
ignored_warnings: Overrides[str, bool] = Overrides(_is_ignored, _set_ignored)
"""Whether the warnings of a module are ignored, by a regular expression for the module's name."""
