"""Which processes a command starts, when, and what they take: a line a process, a character for each half second.

A space is idle; `.`, `:` and `#` are up to a third, up to two thirds and more of one core.

usage: timeline.py COMMAND...   as in: timeline.py ray-pipeline run small.yaml --quiet
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

MARK = "RAY_PIPELINE_TIMELINE"
EVERY_S, CELL_S = 0.05, 0.5
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = {
    "own_process": "registry (MLflow)",
    "local_ray_cleaner": "cleaner of Ray's folder",
    "fork_server": "workers are forked from it",
    "local_ray_worker": "asks for a fork",
    "gcs_server": "Ray: GCS",
    "raylet/raylet": "Ray: raylet",
    "dashboard.py": "Ray: dashboard server",
    "log_monitor.py": "Ray: log forwarding",
    "monitor.py": "Ray: autoscaler",
    "local_ray_agent": "Ray: in place of an agent",
    "DashboardAgent": "Ray: node agent",
    "dashboard/agent": "Ray: node agent",
    "RuntimeEnvAgent": "Ray: runtime environments",
    "runtime_env": "Ray: runtime environments",
    "_StatsActor": "Ray Data: statistics",
    "_AutoscalingCoordinatorActor": "Ray Data: autoscaling",
    "SlotTrainable": "worker: slot of the search",
    "ray::": "worker: tasks",
    "default_worker": "worker",
    "rescore": "proof of the stored version",
}


@dataclass
class Process:
    """What is known of one process."""

    start: float
    end: float = 0.0
    seconds: float = 0.0
    name: str = ""
    cells: dict[int, float] = field(default_factory=dict)

    def see(self, now: float, seconds: float, command: str) -> None:
        cell = int(now / CELL_S)
        self.cells[cell] = self.cells.get(cell, 0.0) + seconds - self.seconds
        self.end, self.seconds = now, seconds
        known = next((name for part, name in NAMES.items() if part in command), "")
        if known and not (known == "worker: tasks" and self.name.startswith("worker: slot")):
            self.name = known


def sample(processes: dict[str, Process], ours: dict[str, bool], mark: bytes, now: float) -> None:
    for path in Path("/proc").glob("[0-9]*"):
        pid = path.name
        try:
            if pid not in ours:
                ours[pid] = mark in (path / "environ").read_bytes().split(b"\0")
            if not ours[pid]:
                continue
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        seconds = (int(fields[11]) + int(fields[12])) / TICKS
        processes.setdefault(pid, Process(now, name="driver" if not processes else "")).see(now, seconds, command)


def main() -> None:
    mark = f"{MARK}={os.getpid()}"
    began = time.monotonic()
    command = subprocess.Popen(sys.argv[1:], env={**os.environ, MARK: str(os.getpid())}, stdout=subprocess.DEVNULL)
    processes: dict[str, Process] = {}
    ours: dict[str, bool] = {}
    while command.poll() is None:
        sample(processes, ours, mark.encode(), time.monotonic() - began)
        time.sleep(EVERY_S)
    wall = time.monotonic() - began
    shown = [one for one in processes.values() if one.seconds >= 0.02]
    print(f"{wall:.1f} s, {sum(one.seconds for one in shown):.1f} s of processor time, {len(shown)} processes\n")
    for one in sorted(shown, key=lambda one: one.start):
        shares = [one.cells.get(cell, 0.0) / CELL_S for cell in range(int(wall / CELL_S) + 1)]
        line = "".join(
            " " if share < 0.04 else "." if share < 0.34 else ":" if share < 0.67 else "#" for share in shares
        )
        print(f"{one.name:<28} {one.start:5.1f} {one.end:5.1f} {one.seconds:5.2f} |{line}|")


if __name__ == "__main__":
    main()
