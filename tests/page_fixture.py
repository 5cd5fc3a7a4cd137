"""Runs a page of the documentation: its commands in a shell's place, its Python, its files, in the order of the page.

What the blocks of a page mean:

- `yaml`, `csv`, `text` or `python` with a title: a file of that name.
- `python` without a title: executed; all such blocks of a page share their names.
- `console`: lines after `$ ` are commands, the others what is printed: `…` is anything, a number is any number.
- `sh`: commands of a program that only some sites have. They are not executed.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.cli import main

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SITE_PROGRAMS = {
    "sbatch",
    "kubectl",
    "helm",
    "docker",
    "ray",
    "mlflow",
    "feast",
    "pip",
    "export",
    "git",
    "aws",
    "gcloud",
}
ANY_NUMBER = r"[-−+]?[\d.,:]*\d"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code on a page."""

    language: str
    title: str | None
    code: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a console block, and the output that the page shows."""

    line: str
    output: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks of code of a page."""
    return [Block(language=one[0], title=one[1] or None, code=one[2]) for one in BLOCK.findall(page.read_text())]


def commands_of(code: str) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        line, _, output = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield Command(line=re.sub(r"\s+# .*", "", line).strip(), output=output.strip("\n"))


def fits(shown: str, printed: str) -> bool:
    """Whether a page's output may stand for what was printed."""
    lines = [_line_pattern(line) for line in shown.splitlines() if line.strip()]
    pattern = "".join(rf"(?:{line})?" if line == ANYTHING else line for line in lines)
    return (
        re.search(pattern, "\n".join(line.rstrip() for line in printed.splitlines() if line.strip()) + "\n") is not None
    )


ANYTHING = r"(?:.*\n)*?"


def _line_pattern(line: str) -> str:
    if line.strip() == "…":
        return ANYTHING
    parts = [re.escape(part) for part in re.split(r"…", re.sub(rf"(?<![A-Za-z_]){ANY_NUMBER}", "\0", line.rstrip()))]
    return r"\s+".join(re.split(r"(?:\\ )+", ".*".join(parts))).replace(re.escape("\0"), ANY_NUMBER) + r"\s*?\n"


@dataclass
class PageRunner:
    """Runs the blocks of one page in a folder. `replaced` are commands that the test does itself, by their start."""

    folder: Path
    replaced: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    in_process: bool = True
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    names: dict[str, Any] = field(default_factory=dict)
    code: int = 0

    def run(self, page: Path) -> None:
        """Run every block; an error or another output than the page shows fails the test."""
        for block in blocks_of(page):
            if block.title:
                file = self.folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.code)
            elif block.language == "python":
                exec(compile(block.code, page.name, "exec"), self.names)
            elif block.language == "sh":
                assert_only_site_programs(block.code)
            elif block.language == "console":
                self._console(block.code)

    def _console(self, code: str) -> None:
        commands = list(commands_of(code))
        for place, command in enumerate(commands):
            if command.line == "echo $?":
                assert command.output == str(self.code)
                continue
            printed = self._call(command.line)
            asked = place + 1 < len(commands) and commands[place + 1].line == "echo $?"
            assert asked or self.code == 0, f"{command.line} ended with {self.code}:\n{printed[-3000:]}"
            assert fits(command.output, printed), f"$ {command.line}\n{command.output}\n--- printed:\n{printed[-3000:]}"

    def _call(self, line: str) -> str:
        for start, instead in self.replaced.items():
            if line.startswith(start):
                instead()
                self.code = 0
                return ""
        plain = not re.search(r"[|<>&;]", re.sub(r"'[^']*'", "", line))
        if line.startswith("ray-pipeline ") and plain and self.in_process:
            words = [found for word in shlex.split(line)[1:] for found in self._expanded(word)]
            return self._main(words)
        path = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        ran = subprocess.run(
            ["bash", "-c", line.replace("ray-pipeline ", f"{sys.executable} -m ray_pipeline ")],
            cwd=self.folder,
            env=self.environment | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        self.code = ran.returncode
        return ran.stdout

    def _expanded(self, word: str) -> list[str]:
        """The paths of a pattern, as a shell gives them; a word that fits no path is itself."""
        return (
            sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(word)) or [word]
            if "*" in word
            else [word]
        )

    def _forget_modules_of_other_tests(self) -> None:
        """A package that the page writes may have the name of one that another test has imported."""
        own = {path.name for path in self.folder.iterdir() if path.is_dir()}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name.partition(".")[0] in own and not (file and Path(file).is_relative_to(self.folder)):
                del sys.modules[name]

    def _main(self, arguments: list[str]) -> str:
        """The command in this process, so that it uses the Ray of the tests."""
        self._forget_modules_of_other_tests()
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["ray-pipeline", *arguments])
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    main()
                    self.code = 0
                except SystemExit as ended:
                    self.code = int(ended.code or 0)
        return printed.getvalue()


def assert_only_site_programs(code: str) -> None:
    """Only programs that some sites lack may stand in a block that is not executed."""
    lines = re.sub(r"\\\n", " ", code).splitlines()
    first = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    assert first <= SITE_PROGRAMS, first - SITE_PROGRAMS
