"""The search's memory, on the driver: hands out trials, takes in where they stand, and writes finished ones to the
journal. Knows nothing of Tune."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray_pipeline.components.choice import find
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.sampler import Proposal, Rung, TrialResult
from ray_pipeline.tuning.trial_worker import TrialState

Tell = Callable[[int, int, float | None], None]


class TrialStore:
    """Between the slots and the proposals; the one writer of the run's folder while the search is on."""

    def __init__(
        self,
        spec: Spec,
        proposals: FamilyAllocation,
        rungs: Callable[[int], tuple[Rung, ...]],
        folder: RunFolder,
        tell: Tell,
    ) -> None:
        """`rungs` makes a trial's rungs of its budget in rounds."""
        self.spec, self.proposals, self.rungs_of, self.folder, self.tell = spec, proposals, rungs, folder, tell
        self.running: dict[int, Proposal] = {}
        self.evaluations: dict[int, list[tuple[int, float]]] = {}
        self.ahead: list[Proposal] = []
        self.begun = time.monotonic()
        self.sign = 1.0 if proposals.better == "higher" else -1.0

    def pending(self) -> bool:
        """Whether there is a trial to run now, after those of the journal have been replayed."""
        if not self.ahead and (proposal := self._next()) is not None:
            self.ahead.append(proposal)
        return bool(self.ahead)

    def ask(self) -> dict[str, Any] | None:
        """The next trial's configuration for a slot, or None while it must wait."""
        if not self.pending():
            return None
        proposal = self.ahead.pop(0)
        self.running[proposal.trial] = proposal
        model, search = find("models", proposal.family), self.spec.search
        return {
            "trial": proposal.trial,
            "family": proposal.family,
            "params": dict(proposal.params),
            "rungs": self.rungs_of(int(proposal.params[model.budget])),
            "seed": search.seed * 100_003 + proposal.trial,
            "seconds": self.seconds_left,
            "trial_seconds": math.inf if search.trial_seconds is None else float(search.trial_seconds),
            "timed": search.latency_ms is not None,
            "rung": 0,
            "before": [],
        }

    @property
    def seconds_left(self) -> float:
        """Of `search.time`; infinite where there is no limit."""
        limit = self.spec.search.time
        return math.inf if limit is None else float(limit) - (time.monotonic() - self.begun)

    @property
    def over(self) -> bool:
        """Whether no further trial will be proposed: all are, or the time is up, or the target is reached."""
        target, best = self.spec.search.target, self.proposals.best
        reached = (
            target is not None
            and best is not None
            and best.metric is not None
            and self.sign * best.metric >= self.sign * target
        )
        return self.proposals.exhausted or self.seconds_left <= 0 or reached

    def report(self, trial: int, rung: int, trial_state: TrialState) -> bool:
        """Takes in where a trial stands after a rung; whether it goes on."""
        if trial_state.failed:
            self.failed(trial, trial_state.failed)
            return False
        value = self.sign * trial_state.best
        self.evaluations.setdefault(trial, []).append((trial_state.rounds, value))
        if not trial_state.ended and self.proposals.goes_on(trial, rung, value):
            return True
        too_much = self._too_much(trial_state)
        # A trial that the end of `search.time` cut short has had all the time there was, and competes.
        why = too_much or ("search.time was up" if trial_state.late else "")
        self._finish(trial, "completed" if trial_state.ended and not too_much else "stopped", trial_state, why)
        return False

    def _too_much(self, trial_state: TrialState) -> str:
        """Which of the spec's limits on a single trial it has gone beyond, if any."""
        search = self.spec.search
        if trial_state.late and trial_state.seconds >= float(search.trial_seconds or math.inf):
            return "it took longer than search.trial_seconds"
        if trial_state.row_ms > float(search.latency_ms or math.inf):
            return f"a row takes {trial_state.row_ms:g} ms, more than search.latency_ms"
        return ""

    def failed(self, trial: int, why: str) -> None:
        """Takes in that a trial failed, with its cause."""
        self._finish(trial, "failed", TrialState(), why)

    def ask_again(self, trial: int) -> None:
        """Takes back a trial that no slot has begun; it is handed out next."""
        self.ahead.insert(0, self.running.pop(trial))

    def finalists(self) -> set[int]:
        """The trials whose models are kept: the best of each family."""
        return {result.trial for result in self.proposals.finalists.values()}

    def _finish(self, trial: int, status: Any, trial_state: TrialState, why: str = "") -> None:
        metric = self.sign * trial_state.best if status != "failed" and math.isfinite(trial_state.best) else None
        proposal = self.running.pop(trial)
        result = TrialResult(
            trial,
            proposal.family,
            proposal.params,
            tuple(self.evaluations.pop(trial, [])),
            metric,
            trial_state.best_rounds,
            round(trial_state.seconds, 3),
            status,
            why,
        )
        before = self.finalists()
        self.proposals.finish(result)
        now, best = self.finalists(), self.proposals.best
        if trial in now:
            self.folder.write(_model_file(result), trial_state.model)
        digest = hashlib.sha256(trial_state.model).hexdigest() if trial in now else None
        self.folder.record(f"trial-{trial:04d}", {**asdict(result), "model_sha256": digest})
        for loser in sorted(before - now):
            self.folder.remove(f"trials/{loser:04d}")
        self.tell(len(self.proposals.results), self.proposals.num_trials, best.metric if best else None)

    def _next(self) -> Proposal | None:
        while not self.over:
            known = self.folder.recorded(f"trial-{len(self.proposals.given):04d}")
            proposal = self.proposals.next(known)
            if proposal is None:
                return None
            if known is None or not self._replay(proposal, known):
                return proposal
        return None

    def _replay(self, proposal: Proposal, known: dict[str, Any]) -> bool:
        """Takes a finished trial from the journal; False where its record does not fit what is proposed, or its model
        is lost."""
        fields = {name: value for name, value in known.items() if name != "model_sha256"}
        result = TrialResult(**{**fields, "rungs": tuple((int(r), float(v)) for r, v in fields["rungs"])})
        if (result.family, dict(result.params)) != (proposal.family, dict(proposal.params)):
            return False
        self.proposals.finish(result)
        lost = (
            proposal.trial in self.finalists()
            and self._digest(result) != known["model_sha256"]
            and not self._later_best(proposal.trial)
        )
        if lost:
            self.proposals.forget(proposal.trial)
        return not lost

    def _digest(self, result: TrialResult) -> str | None:
        """SHA-256 of the trial's model file; None where there is none (it was not the best)."""
        file = self.folder.path / _model_file(result)
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None

    def _later_best(self, trial: int) -> bool:
        return any(int(step.removeprefix("trial-")) > trial for step in self.folder.steps("trial-"))


def _model_file(result: TrialResult) -> str:
    """Where a trial's own model lies, within the run's folder."""
    return f"trials/{result.trial:04d}/{find('models', result.family).file}"
