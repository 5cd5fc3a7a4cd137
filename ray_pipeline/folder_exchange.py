"""Put a folder in the place of another at once: whoever looks finds one of the two, also where the process ends."""

import ctypes
import os
import shutil
import uuid
from pathlib import Path

HERE, EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


def put_in_place(fresh: Path, folder: Path) -> None:
    """Rename `fresh` to `folder`, and remove the folder that was there before.

    On a file system that cannot exchange two names, such as NFS, there is none for a moment.
    """
    if not folder.exists():
        fresh.rename(folder)
    elif exchange(fresh, folder):
        shutil.rmtree(fresh, ignore_errors=True)
    else:
        old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old")
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    return renameat2 is not None and renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0
