"""The reference of the command line, from the functions that are its verbs."""

from collections.abc import Iterator

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from ray_pipeline.cli import build

SHARED = ("--json", "--quiet", "--debug", "--help")


def page() -> str:
    """The page."""
    lines = [HEAD]
    for words, command in commands():
        lines += _verb(words, command)
    return "\n".join(lines)


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """Every verb, with the words that call it."""
    yield from _of_group(typer.main.get_command(build()), "")  # type: ignore[arg-type]


def _of_group(group: TyperGroup, words: str) -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _of_group(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command  # type: ignore[misc]


def _verb(words: str, command: TyperCommand) -> list[str]:
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption) and one.opts[0] not in SHARED]
    usage = [f"ray-pipeline {words}", *(_argument(one) for one in arguments), *(["[OPTIONS]"] if options else [])]
    lines = [f"## {words}", "", " ".join((command.help or "").split()), "", "```text", " ".join(usage), "```", ""]
    if parameters := [*arguments, *options]:
        lines += ["| argument or option | meaning | default |", "|---|---|---|"]
        lines += [f"| {_name(one)} | {_cell(one.help or '')} | {_default(one)} |" for one in parameters]
    return [*lines, ""]


def _argument(one: TyperArgument) -> str:
    name = one.metavar or str(one.name).upper()
    return name if one.required else f"[{name}]"


def _name(one: TyperArgument | TyperOption) -> str:
    if isinstance(one, TyperArgument):
        return f"`{one.metavar or str(one.name).upper()}`"
    value = "" if one.is_flag else f" {one.metavar or str(one.name).upper()}"
    return ", ".join(f"`{name}{value}`" for name in [*one.opts, *one.secondary_opts])


def _default(one: TyperArgument | TyperOption) -> str:
    if one.required:
        return "**required**"
    return f"`{one.default}`" if one.default not in (None, False, [], ()) and not callable(one.default) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


HEAD = """# Reference: the command line

Every verb of `ray-pipeline`, from its own help. All verbs have these options:

| option | meaning |
|---|---|
| `--json` | Print one JSON object as the last line of standard output. |
| `--quiet` | Show no progress. |
| `--debug` | Show tracebacks, and the logs of Ray, Tune and MLflow. |
| `--help` | Show the help of the verb. |

The exit codes are on [a page of their own](exit-codes.md).
"""
