"""What decisions cost that do not depend on slots: simulated searches, judged in order of trials and as results arrive.

A trial has a final score, which rises during the search, noisy scores at its first two rungs, and a length. In a search
in order, the proposal of a trial waits for the trials that are a window behind; in the other, for nothing.

usage: simulate_pruning.py [--searches 200] [--trials 32] [--slots 1 2 4 8] [--window N]   -> one JSON line: by slots,
the time of the search in order by that of the other, the share of its training that does not count, and the difference
of the best scores, in standard deviations of a trial's
"""

import argparse
import heapq
import json

import numpy as np

from ray_pipeline.tuning.pruner import Pruner
from ray_pipeline.tuning.search import MAX_WINDOW, MIN_WINDOW

ROUNDS = (1 / 9, 1 / 3, 1.0)
NOISE = (0.8, 0.4, 0.0)


class Search:
    """One simulated search on so many slots."""

    def __init__(self, seed: int, trials: int, slots: int, window: int | None) -> None:
        drawn = np.random.default_rng(seed)
        quality = drawn.normal(size=trials) + np.linspace(0, 1.5, trials)
        self.scores = np.stack([quality + drawn.normal(size=trials) * noise for noise in NOISE], axis=1)
        self.lengths = np.exp(drawn.normal(size=trials) * 0.5)
        self.trials, self.free = trials, slots
        self.window = window or trials
        self.pruner = Pruner(in_order=window is not None)
        self.now, self.trained, self.lost, self.begun = 0.0, 0.0, 0.0, 0
        self.training: list[tuple[float, int, int]] = []
        self.open, self.reached, self.completed = set[int](), dict[int, int](), set[int]()

    def run(self) -> "Search":
        """Run all trials."""
        self._begin()
        while self.training:
            self.now, trial, rung = heapq.heappop(self.training)
            self.trained += self._seconds(trial, rung)
            self._arrive(trial, rung)
            self._begin()
        return self

    def _begin(self) -> None:
        while self.free and self.begun < self.trials and not any(i in self.open for i in range(self._required())):
            self.free -= 1
            self.open.add(self.begun)
            self._train(self.begun, 0)
            self.begun += 1

    def _required(self) -> int:
        return max(0, self.begun - self.window + 1)

    def _train(self, trial: int, rung: int) -> None:
        heapq.heappush(self.training, (self.now + self._seconds(trial, rung), trial, rung))

    def _seconds(self, trial: int, rung: int) -> float:
        return float(self.lengths[trial] * (ROUNDS[rung] - (ROUNDS[rung - 1] if rung else 0.0)))

    def _arrive(self, trial: int, rung: int) -> None:
        """A trial comes to a rung."""
        if trial not in self.open:
            self.lost += self._seconds(trial, rung)
            self.free += 1
            return
        last = rung == len(ROUNDS) - 1
        self.reached[trial] = rung
        self.pruner.report(trial, float(self.scores[trial, rung]), ended=last)
        for stopped, at in self.pruner.judge():
            self.open.discard(stopped)
            self.completed.discard(stopped)
            self.lost += sum(self._seconds(stopped, later) for later in range(at + 1, self.reached[stopped] + 1))
            self.free += stopped == trial and not last
        if last:
            self.free += 1
            self.completed |= {trial} & self.open
        elif trial in self.open:
            self._train(trial, rung + 1)
        for ended in [one for one in self.open if self.reached.get(one) == len(ROUNDS) - 1]:
            self.open -= {ended} if self.pruner.is_judged(ended) else set()

    @property
    def best(self) -> float:
        """The best final score."""
        return float(max(self.scores[trial, -1] for trial in self.completed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--window", type=int, help="by default that of a search")
    asked = parser.parse_args()
    window, results = asked.window or min(MAX_WINDOW, max(MIN_WINDOW, asked.trials // 8)), {}
    for slots in asked.slots:
        ordered, free = (
            [Search(seed, asked.trials, slots, of).run() for seed in range(asked.searches)] for of in (window, None)
        )
        results[slots] = {
            "time": round(sum(one.now for one in ordered) / sum(one.now for one in free), 3),
            "lost": round(sum(one.lost for one in ordered) / sum(one.trained for one in ordered), 3),
            "best": round(float(np.mean([one.best for one in ordered]) - np.mean([one.best for one in free])), 3),
        }
    asked_for = {"trials": asked.trials, "searches": asked.searches, "window": window}
    print(json.dumps({"benchmark": "pruning", **asked_for, "slots": results}))


if __name__ == "__main__":
    main()
