"""Where a slot leaves steps for its workers, and the workers their answers.

It is an object of the slot, or an actor where the workers are other processes.
"""

import threading
from typing import Any

from ray_pipeline.tuning.trial_step import TrialState, TrialStep

WAIT_S = 5.0
"""How long one call waits at most; the caller calls again."""


class Mailbox:
    """One step at a time for a fixed number of workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.changed = threading.Condition()
        self.number, self.step = 0, None
        self.answers: dict[int, TrialState] = {}
        self.present_ranks: set[int] = set()
        self.closed = False

    def post(self, step: Any) -> int:
        """Leave a step for all workers; its number."""
        with self.changed:
            self.number, self.step, self.answers = self.number + 1, step, {}
            self.changed.notify_all()
            return self.number

    def receive(self, rank: int, after: int) -> tuple[int, TrialStep | None] | None:
        """The step after that number, `(after, None)` while there is none, or None when there will be no more."""
        with self.changed:
            self.present_ranks.add(rank)
            if not after and len(self.answers) < self.workers:
                self.answers = {}  # a worker died and this one is new: all must do the step together once more
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.closed or self._is_due(rank, after), WAIT_S)
            if self.closed:
                return None
            return (self.number, self.step) if self._is_due(rank, after) else (after, None)

    def _is_due(self, rank: int, after: int) -> bool:
        return self.number > after and rank not in self.answers

    def reply(self, rank: int, number: int, trial_state: TrialState) -> None:
        """Leave a worker's answer; a late answer to an older step is dropped."""
        with self.changed:
            if number == self.number:
                self.answers[rank] = trial_state
                self.changed.notify_all()

    def wait(self, number: int) -> dict[int, TrialState]:
        """The answers by rank, when all are there or `WAIT_S` has passed."""
        with self.changed:
            self.changed.wait_for(lambda: number != self.number or len(self.answers) == self.workers, WAIT_S)
            return dict(self.answers)

    def present(self) -> set[int]:
        """Ranks of the workers that have come, after at most `WAIT_S`."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.present_ranks) == self.workers, WAIT_S)
            return set(self.present_ranks)

    def close(self) -> None:
        """Tell the workers that there are no more steps."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


def call(mailbox: Any, method: str, *args: Any) -> Any:
    """Call a mailbox, be it an object or an actor."""
    if isinstance(mailbox, Mailbox):
        return getattr(mailbox, method)(*args)
    import ray

    return ray.get(getattr(mailbox, method).remote(*args))
