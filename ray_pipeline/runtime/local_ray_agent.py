"""A script that stands for the agent of a node in a Ray that has no servers: it says so, and lives as long as its node.

Ray's own agent does the same where the dashboard's packages are absent, but first imports for 1 s, for which `ray.init`
waits. A raylet without an agent ends. Arguments: those of Ray's agent. It uses the standard library alone.
"""

import os
import sys
import time
from pathlib import Path

UNUSED = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""The ports for which a raylet waits; each is the name of a file in the folder of the session."""
EVERY_S = 1.0


def write_ports(folder: Path, node: str) -> None:
    """Write -1, which is no port, for each port of the node."""
    for name in UNUSED:
        unfinished = folder / f"{name}_{node}.unfinished"
        unfinished.write_text("-1")
        unfinished.rename(unfinished.with_suffix(""))


if __name__ == "__main__":
    raylet = os.getppid()
    options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:] if argument.startswith("--"))
    write_ports(Path(options["session-dir"]), options["node-id"])
    while os.getppid() == raylet:
        time.sleep(EVERY_S)
