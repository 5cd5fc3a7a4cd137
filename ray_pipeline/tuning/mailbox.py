"""A mailbox between a slot and its workers: the slot posts steps, the workers reply with states.

It is an object of the slot, or an actor where the workers are other processes.
"""

import threading
from typing import Any

from ray_pipeline.tuning.trial_worker import TrialState, TrialStep

WAIT_S = 5.0
"""The longest wait of one call, in seconds; the caller then calls again."""


class Mailbox:
    """Passes one step at a time to a fixed number of workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.changed = threading.Condition()
        self.number, self.step = 0, None
        self.answers: dict[int, TrialState] = {}
        self.present_ranks: set[int] = set()
        self.actors: dict[int, Any] = {}
        self.closed = False

    def join(self, rank: int, actor: Any) -> None:
        """Keep the handle of a new worker's process."""
        self.actors[rank] = actor

    def unanswered(self) -> list[Any]:
        """Return the handles of the workers that have not answered the step; none before the first step."""
        with self.changed:
            return [actor for rank, actor in self.actors.items() if self.number and rank not in self.answers]

    def post(self, step: Any) -> int:
        """Post a step for all workers; return its number."""
        with self.changed:
            self.number, self.step, self.answers = self.number + 1, step, {}
            self.changed.notify_all()
            return self.number

    def receive(self, rank: int, after: int) -> tuple[int, TrialStep | None] | None:
        """Wait for the next step of a worker.

        Parameters
        ----------
        rank
            The number of the worker.
        after
            The number of the worker's last step; 0 for a new worker.

        Returns
        -------
        tuple or None
            Number and step; `(after, None)` while there is none, None once the mailbox is closed.
        """
        with self.changed:
            self.present_ranks.add(rank)
            if not after and len(self.answers) < self.workers:
                self.answers = {}  # a worker died and this one is new: all must repeat the step together
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.closed or self._is_due(rank, after), WAIT_S)
            if self.closed:
                return None
            return (self.number, self.step) if self._is_due(rank, after) else (after, None)

    def _is_due(self, rank: int, after: int) -> bool:
        return self.number > after and rank not in self.answers

    def reply(self, rank: int, number: int, trial_state: TrialState) -> None:
        """Answer a step; a late answer to an older step is dropped."""
        with self.changed:
            if number == self.number:
                self.answers[rank] = trial_state
                self.changed.notify_all()

    def wait(self, number: int) -> dict[int, TrialState]:
        """Return the answers by rank, once all are there or `WAIT_S` has passed."""
        with self.changed:
            self.changed.wait_for(lambda: number != self.number or len(self.answers) == self.workers, WAIT_S)
            return dict(self.answers)

    def present(self) -> set[int]:
        """Return the ranks of the workers that have started, once all have or `WAIT_S` has passed."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.present_ranks) == self.workers, WAIT_S)
            return set(self.present_ranks)

    def close(self) -> None:
        """Close the mailbox: there are no more steps."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


def call(mailbox: Any, method: str, *args: Any) -> Any:
    """Call a method of a mailbox that is an object or an actor."""
    if isinstance(mailbox, Mailbox):
        return getattr(mailbox, method)(*args)
    import ray

    return ray.get(getattr(mailbox, method).remote(*args))
