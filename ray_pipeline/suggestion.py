"""The commands that messages suggest, as a shell takes them: spaces are quoted, the cluster file is named."""

import shlex

RESUME = "`ray-pipeline resume RUN`"
"""What code says that does not know its run; the run puts its own command in this place."""


def command(verb: str, *words: object, on: str | None = None) -> str:
    """Return the command line of a verb, with `--on` where the user gave it.

    Examples
    --------
    >>> command("resume", "loans-01234567-1", on="my cluster.yaml")
    "ray-pipeline resume loans-01234567-1 --on 'my cluster.yaml'"
    """
    cluster = ["--on", on] if on else []
    return shlex.join(["ray-pipeline", *verb.split(), *map(str, words), *cluster])
