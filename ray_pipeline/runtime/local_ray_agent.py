"""A script that stands for an agent of a node, in a Ray of one process alone that uses neither of its two agents.

Each of Ray's own agents imports for most of a second, and `ray.init` waits for both. Instead of the dashboard's agent,
the script says that its ports are not used, as Ray's own does where the packages of the dashboard are absent. Instead
of the agent of runtime environments, it listens on that agent's port; if somebody connects, Ray's own takes its place,
and the raylet asks again. A raylet ends without its agents, and the script ends with the raylet.

Arguments: the file of Ray's own agent, and its options. It uses the standard library alone.
"""

import os
import select
import socket
import sys
from pathlib import Path

NOT_USED = "-1"
UNUSED_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""The ports of the dashboard's agent; each is the name of a file in the folder of the session."""
PORT = "runtime_env_agent_port"
PORT_OPTION = "--runtime-env-agent-port="
EVERY_S = 1.0


def write_port(name: str, port: str, options: dict[str, str]) -> None:
    """Tell the raylet a port; it waits for the file."""
    file = Path(options["session-dir"], f"{name}_{options['node-id']}")
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(port)
    unfinished.rename(file)


def main(arguments: list[str]) -> None:
    """Stand for the agent that the arguments start."""
    raylet = os.getppid()
    options = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
    waiting: list[socket.socket] = []
    if any(argument.startswith(PORT_OPTION) for argument in arguments):
        waiting.append(socket.create_server((options["node-ip-address"], int(options[PORT_OPTION[2:-1]]))))
        port = str(waiting[0].getsockname()[1])
        arguments = [PORT_OPTION + port if one.startswith(PORT_OPTION) else one for one in arguments]
        write_port(PORT, port, options)
    else:
        for name in UNUSED_PORTS:
            write_port(name, NOT_USED, options)
    while os.getppid() == raylet:
        if select.select(waiting, [], [], EVERY_S)[0]:
            waiting[0].close()
            os.execv(sys.executable, [sys.executable, "-u", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
