"""What a person sees during a run: one live view on a terminal, lines with the time elsewhere, nothing if quiet.

Everything goes to standard error. Any thread may report counters, as often as it likes. A run never fails because
progress cannot be shown.
"""

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from ray_pipeline.decimal_text import decimal_text
from ray_pipeline.duration import clock

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live

STAGES = ("read", "split", "profile", "encode", "search", "fit", "predict", "evaluate", "judge", "register")
P = ParamSpec("P")
R = TypeVar("R")
BAR_FROM = 70
"""Columns that a terminal needs for the bars."""
LINE_EVERY_S = 2.0
"""Counters are written this often if there is no terminal."""


@dataclass
class _Stage:
    """One line of the view: the progress of a stage."""

    name: str
    state: Literal["waiting", "running", "done", "stopped"] = "waiting"
    started: float = 0.0
    before: float = 0.0  # seconds of earlier visits
    done: float = 0.0
    total: float | None = None
    counted: str = ""
    left: str = ""

    def seconds(self, now: float) -> float:
        return self.before + (now - self.started if self.state == "running" else 0.0)


@dataclass
class Progress:
    """The progress of a run.

    Parameters
    ----------
    quiet
        Shows nothing.
    stages
        The names of the stages, in their order.

    Attributes
    ----------
    seconds
        How long each stage has taken so far, in the order in which they started.
    """

    quiet: bool = True
    stages: Sequence[str] = STAGES
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _lines: list[_Stage] = field(default_factory=list, repr=False)
    _current: _Stage | None = field(default=None, repr=False)
    _live: "Live | None" = field(default=None, repr=False)
    _line_at: float = field(default=float("-inf"), repr=False)

    def __post_init__(self) -> None:
        self._lines = [_Stage(name) for name in self.stages]

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """While it lasts, functions marked with `stage` show here when they start."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def stage(self, name: str) -> None:
        """Ends the present stage and starts another one; an unknown name is added below the others."""
        with self._lock:
            if self._current is not None and self._current.name == name:
                return
            self._finish("done")
            line = next((line for line in self._lines if line.name == name), None)
            if line is None:
                self._lines.append(line := _Stage(name))
            line.state, line.started, self._current = "running", time.monotonic(), line
            self.seconds.setdefault(name, 0.0)
            self._line_at = float("-inf")
        self._say(name, "started")

    @property
    def last_stage(self) -> str:
        """The stage that began last; `start` before the first."""
        return next(reversed(self.seconds), "start")

    def done(self, name: str) -> None:
        """Ends a stage, if it is the present one."""
        with self._lock:
            if self._current is not None and self._current.name == name:
                self._finish("done")

    def finished(self) -> dict[str, float]:
        """Ends the present stage, if there is one, and returns the seconds of every stage."""
        with self._lock:
            self._finish("done")
            return dict(self.seconds)

    def rows(self, done: int, total: int | None = None) -> None:
        """Shows how many rows the present stage has seen, of how many, and the rate."""
        with self._lock:
            line = self._current
            if line is None:
                return
            line.done, line.total = done, total
            rate = done / max(line.seconds(time.monotonic()), 1e-3)
            line.counted = f"{done:,}{f'/{total:,}' if total is not None else ''} rows, {rate:,.0f} rows/s"
        self._count(line)

    def trial(
        self,
        done: int,
        total: int | None,
        best: float | None,
        metric: str,
        left_s: float | None = None,
    ) -> None:
        """Shows the progress of the search.

        Parameters
        ----------
        done, total
            Trials that have ended, and all trials; None if only time ends the search.
        best, metric
            The best value so far, and the name of its metric.
        left_s
            Seconds that the search will still take; by default estimated from the trials so far.
        """
        with self._lock:
            line = self._current
            if line is None:
                return
            line.done, line.total = done, total
            if left_s is None and done and total:
                left_s = line.seconds(time.monotonic()) / done * max(total - done, 0)
            parts = [f"{done}{f'/{total}' if total is not None else ''} trials"]
            parts += [f"best {metric} {decimal_text(best)}"] if best is not None else []
            line.counted = ", ".join(parts)
            line.left = f", {clock(left_s)} left" if left_s is not None and done != total else ""
        self._count(line)

    def note(self, text: str) -> None:
        """Writes a line that stays: above the live view, or with the time like all others."""
        with self._lock:
            name = self._current.name if self._current else ""
        self._say(name, text, above=True)

    def _finish(self, state: Literal["done", "stopped"]) -> None:
        line, now = self._current, time.monotonic()
        if line is None:
            return
        self.seconds[line.name] = line.before = line.seconds(now)
        line.state, line.left, self._current = state, "", None
        words = "done in" if state == "done" else "stopped after"
        self._say(line.name, "; ".join(filter(None, (line.counted, f"{words} {clock(line.before)}"))))

    def _count(self, line: _Stage) -> None:
        """Writes the counters, if the last line is old enough."""
        with self._lock:
            now = time.monotonic()
            if self._live is not None or now - self._line_at < LINE_EVERY_S:
                return
            self._line_at = now
            text = line.counted + line.left
        self._say(line.name, text)

    def _say(self, name: str, text: str, above: bool = False) -> None:
        if self.quiet:
            return
        with contextlib.suppress(OSError, ValueError):  # whoever read the output has gone; the run goes on
            if self._live is None:
                print(
                    f"{datetime.now():%Y-%m-%d %H:%M:%S} {_plain(name):<8} {_plain(text)}", file=sys.stderr, flush=True
                )
            elif above:
                from rich.text import Text

                self._live.console.print(Text(_plain(text)))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield _view(self, options.max_width)


_CURRENT: ContextVar[Progress] = ContextVar("progress")


def note(text: str) -> bool:
    """Write a line that stays to the progress of the run that goes on in this context; False if there is none."""
    if progress := _CURRENT.get(None):
        progress.note(text)
    return progress is not None


def stage(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function as the beginning of a stage, by the word that progress, journal and `seconds` use for it."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def started(*args: P.args, **kwargs: P.kwargs) -> R:
            if progress := _CURRENT.get(None):
                progress.stage(name)
            return function(*args, **kwargs)

        return started

    return decorate


@contextlib.contextmanager
def progress(quiet: bool = False, stages: Sequence[str] = STAGES, of: type[Progress] = Progress) -> Iterator[Progress]:
    """Shows the progress of the block; however that ends, the terminal is restored and the present stage is marked.

    Parameters
    ----------
    quiet
        Shows nothing.
    stages
        The names of the stages, in their order.
    of
        How it is shown; `JsonProgress` writes events for machines.
    """
    show = of(quiet=quiet, stages=tuple(stages))
    try:
        if not quiet and of is Progress and _is_terminal():
            show._live = _live(show)
            show._live.start(refresh=True)
        yield show
    except BaseException:
        with show._lock:
            show._finish("stopped")
        raise
    finally:
        with show._lock:
            show._finish("done")
        if show._live is not None:
            with contextlib.suppress(OSError, ValueError):
                show._live.stop()
            show._live = None


def _is_terminal() -> bool:
    from rich.console import Console

    try:
        return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal
    except ValueError:  # closed
        return False


def _live(show: Progress) -> "Live":
    from rich.console import Console
    from rich.live import Live

    # Standard output is shown above the view only if it goes to the same terminal; what goes to a pipe stays there.
    return Live(show, console=Console(stderr=True), refresh_per_second=8, redirect_stdout=sys.stdout.isatty())


def _view(show: Progress, columns: int) -> "RenderableType":
    """A line for each stage: mark, name, counters, bar and seconds; no bar where the terminal is narrow."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    marks = {"waiting": Text("·", "dim"), "done": Text("✓", "green"), "stopped": Text("✗", "red")}
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
    if columns >= BAR_FROM:
        grid.add_column(width=16)
    grid.add_column(justify="right", no_wrap=True)
    grid.expand = True
    with show._lock:
        now = time.monotonic()
        for line in show._lines:
            bar: RenderableType = ""
            mark: RenderableType = _spinner(line) if line.state == "running" else marks[line.state]
            if line.state == "running" and line.total:
                bar = ProgressBar(total=line.total, completed=min(line.done, line.total), width=16)
            said = line.counted + line.left
            style = "dim" if line.state == "waiting" else "bold" if line.state == "running" else ""
            seconds = "" if line.state == "waiting" else clock(line.seconds(now))
            bars = [bar] if columns >= BAR_FROM else []
            grid.add_row(mark, Text(_plain(line.name), style), Text(_plain(said)), *bars, Text(seconds, "dim"))
    return grid


def _spinner(line: _Stage) -> "RenderableType":
    from rich.text import Text

    frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    return Text(frames[int((time.monotonic() - line.started) * 10) % len(frames)], "cyan")


def _plain(text: str) -> str:
    """Text without control characters: names come from data and must not control the terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)
