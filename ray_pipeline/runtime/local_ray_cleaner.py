"""A script for a process of its own: it waits until its parent has ended, then ends a local Ray and removes its folder.

Arguments: the folder, and `keep` if it must stay. It uses the standard library alone, so that it takes 8 MB.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_S = 3.0
"""What Ray's processes get to end by themselves."""
GONE_S = 10.0


def processes(folder: str, owner: int) -> list[int]:
    """The ids of the processes that write logs in the folder, without the owner.

    A process that has just been started has opened nothing, but still has the command line that names the folder; later
    its title replaces that.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(link.readlink()) for link in (path / "fd").iterdir()]
            starting = f"={folder}/".encode() in (path / "cmdline").read_bytes()
        except OSError:  # it belongs to somebody else, or has just ended
            continue
        writes = any(file.startswith(f"{folder}/") for file in opened)
        if (writes or starting) and int(path.name) != owner:
            found.append(int(path.name))
    return found


def clean(folder: str, owner: int, *, keep: bool) -> None:
    """End the processes of the folder, and remove it unless it must stay."""
    began = time.monotonic()
    while (left := processes(folder, owner)) and time.monotonic() - began < GONE_S:
        if time.monotonic() - began > GRACE_S:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        time.sleep(0.1)
    if not keep:
        remove(folder)


def remove(folder: str) -> None:
    """Remove the folder. A process that is about to end may add a file meanwhile: then it is tried again."""
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    while Path(folder).exists() and time.monotonic() - began < GRACE_S:
        time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parent = os.getppid()
    sys.stdin.buffer.read()  # the parent closes its end, or has died
    clean(sys.argv[1], parent, keep="keep" in sys.argv[2:])
