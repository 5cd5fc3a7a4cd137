"""Progress for machines: one JSON object on each line of standard error."""

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ray_pipeline.redaction import redacted
from ray_pipeline.runtime.progress import LINE_EVERY_S, Progress


@dataclass
class JsonProgress(Progress):
    """The progress of a run as events.

    Each has `time` (UTC), `event` and `stage`. The events are `started`; `done` and `stopped`, with `seconds`; `rows`,
    with `done` and `total`; `trials`, with `done`, `total`, `best`, `metric` and `left_s`; and `note`, with `text`.
    What is not known is null.
    """

    def stage(self, name: str) -> None:
        """See `Progress`."""
        with self._lock:
            before = self._current
            super().stage(name)
            if self._current is not before:
                self._write("started", name)

    def rows(self, done: int, total: int | None = None) -> None:
        """See `Progress`."""
        super().rows(done, total)
        self._write_count("rows", done, total)

    def trial(
        self,
        done: int,
        total: int | None,
        best: float | None,
        metric: str,
        left_s: float | None = None,
    ) -> None:
        """See `Progress`."""
        super().trial(done, total, best, metric, left_s)
        left = None if left_s is None else round(left_s, 1)
        self._write_count("trials", done, total, best=best, metric=metric, left_s=left)

    def note(self, text: str) -> None:
        """See `Progress`."""
        with self._lock:
            self._write("note", self._current.name if self._current else None, text=text)

    def _finish(self, state: Literal["done", "stopped"]) -> None:
        line = self._current
        super()._finish(state)
        if line is not None:
            self._write(state, line.name, seconds=round(line.before, 3))

    def _count(self, line: object) -> None:
        """Nothing: counters are events of their own."""

    def _say(self, name: str, text: str, above: bool = False) -> None:
        """Nothing: no line for people."""

    def _write_count(self, event: str, done: int, total: int | None, **facts: Any) -> None:
        """An event of counters, if the last one is old enough, or all is done."""
        with self._lock:
            now = time.monotonic()
            if self._current is None or (now - self._line_at < LINE_EVERY_S and done != total):
                return
            self._line_at = now
            self._write(event, self._current.name, done=done, total=total, **facts)

    def _write(self, event: str, stage: str | None, **facts: Any) -> None:
        if self.quiet:
            return
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": moment, "event": event, "stage": stage, **facts}, default=str)
        with contextlib.suppress(OSError, ValueError):  # whoever read the output has gone; the run goes on
            print(redacted(line), file=sys.stderr, flush=True)
