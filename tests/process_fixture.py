"""The processes below a process, and which of them are left."""

import time
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """All processes below one, with their start times, because a process id may be used again."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(fields[1]), fields[19])
    below, grown = {pid}, True
    while grown:
        grown = bool(more := {child for child, (parent, _) in parents.items() if parent in below} - below)
        below |= more
    return {child: parents[child][1] for child in below - {pid}}


def alive(known: dict[int, str]) -> list[str]:
    """The commands of those processes that still run."""
    left = []
    for pid, started in known.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] == started and fields[0] not in "ZX":
                left.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:120])
        except OSError:
            continue
    return left


def left_after(known: dict[int, str], within: float) -> list[str]:
    """The commands of those processes that still run after so many seconds."""
    end = time.monotonic() + within
    while (left := alive(known)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
