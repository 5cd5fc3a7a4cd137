"""A value that every worker reads: in Ray's object store, or in this process where no Ray runs.

This module does not import Ray.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import ray

T = TypeVar("T")


@dataclass(frozen=True)
class Here(Generic[T]):
    """A value in this process."""

    value: T


def share(value: T) -> "Here[T] | ray.ObjectRef[T]":
    """Put a value where every worker of this process can read it.

    >>> shared(share([1, 2]))
    [1, 2]
    """
    running = sys.modules.get("ray")
    return running.put(value) if running is not None and running.is_initialized() else Here(value)


def shared(reference: "Here[T] | ray.ObjectRef[T]") -> T:
    """Return the value behind a reference that `share` made."""
    if isinstance(reference, Here):
        return reference.value
    import ray

    return ray.get(reference)  # type: ignore[no-any-return]
