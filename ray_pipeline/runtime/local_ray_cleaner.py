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
    """The ids of the processes that write logs in the folder, without the owner and the processes below it.

    (Not those with the folder in their environment or command line: Ray's processes overwrite both with their title.)
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(link.readlink()) for link in (path / "fd").iterdir()]
        except OSError:  # it belongs to somebody else, or has just ended
            continue
        if any(file.startswith(f"{folder}/") for file in opened) and owner not in ancestors(int(path.name)):
            found.append(int(path.name))
    return found


def ancestors(pid: int) -> list[int]:
    """The process, its parent, and so on."""
    found: list[int] = []
    while pid > 1:
        found.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
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
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parent = os.getppid()
    sys.stdin.buffer.read()  # the parent closes its end, or has died
    clean(sys.argv[1], parent, keep="keep" in sys.argv[2:])
