"""The trials of a search, on the driver: ask for one, report its states; finished trials go into the journal.

It does not depend on Ray Tune. Nothing else writes the models of trials while the search runs.
"""

import hashlib
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.choice import find
from ray_pipeline.tuning.family_allocation import CUT, CUT_SHARES, FamilyAllocation
from ray_pipeline.tuning.pruner import Rung
from ray_pipeline.tuning.sampler import Proposal, Status, TrialResult
from ray_pipeline.tuning.time_budget import TimeBudget
from ray_pipeline.tuning.trial_worker import TrialState

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FOLDER, SCORES_FILE = "trials", "scores.npy"
"""The folder, within the run folder, of the models of each family's best trial; and the file beside a model that holds
its scores of validation, where an ensemble is asked for."""
USUAL_MEMBERS = 4
"""On nine tables ensembles had two to five members: of so many trials, and the best of each family."""
FURTHER = 0.5
"""A paused trial goes on where it can train for this share of its time again."""


class Paused(NamedTuple):
    """A trial that goes on later, from its state."""

    proposal: Proposal
    rung: int
    """Its next rung."""
    trial_state: TrialState


class TrialStore:
    """Gives the trials of an allocation to slots, and records their results."""

    def __init__(
        self,
        allocation: FamilyAllocation,
        rungs_of: Callable[[int], tuple[Rung, ...]],
        run: "Run",
        budget: TimeBudget,
        candidates: int = 0,
        members_of: Callable[[Sequence[TrialResult]], Sequence[TrialResult]] = list,
    ) -> None:
        """`rungs_of` returns the rungs of a trial from its budget in rounds.

        `candidates` is how many of each family's best trials keep their model and scores, for an ensemble. `members_of`
        returns those of some trials that it would have.
        """
        self.allocation, self.rungs_of, self.run, self.spec = allocation, rungs_of, run, run.spec
        self.budget, self.candidates, self.members_of = budget, candidates, members_of
        self.running: dict[int, Proposal] = {}
        self.rungs: dict[int, list[TrialState]] = {}
        """The states of each running trial at its rungs, without its model."""
        self.ended: dict[int, TrialState] = {}
        """Trials of which no slot trains any more, but which may still have to stop at an earlier rung."""
        self.proposed: list[Proposal] = []
        self.paused: list[Paused] = []
        """Trials that go on later."""
        self.sign = allocation.sign

    def pending(self) -> bool:
        """Whether there is a trial to run now; trials of the journal are replayed first."""
        if not self.proposed and (proposal := self._propose()) is not None:
            self.proposed.append(proposal)
        return bool(self.proposed)

    def ask(self) -> dict[str, Any] | None:
        """Return the configuration of the next trial for a slot; None while it must wait."""
        if (paused := self._next_paused()) is not None:
            return self._config(paused.proposal, paused.rung, [paused.trial_state])
        return self._config(self.proposed.pop(0), 0, []) if self.pending() else None

    def _config(self, proposal: Proposal, rung: int, before: list[TrialState]) -> dict[str, Any]:
        """What a slot needs to know of a trial, which runs from now on."""
        self.running[proposal.trial] = proposal
        model, search = find("models", proposal.family), self.spec.search
        return {
            "trial": proposal.trial,
            "family": proposal.family,
            "params": dict(proposal.params),
            "rungs": self.rungs_of(int(proposal.params[model.budget])),
            "seed": search.seed * 100_003 + proposal.trial,
            "seconds": self.seconds_left,
            "share": self.allocation.share(proposal.trial, self.budget.limit),
            "seconds_with_refit": self.budget.left,
            "refit_share": self.budget.refit_share,
            "trial_seconds": math.inf if search.trial_seconds is None else float(search.trial_seconds),
            "timed": search.latency_ms is not None,
            "keep_scores": self.candidates > 0,
            "rung": rung,
            "before": before,
        }

    def _next_paused(self) -> Paused | None:
        """The paused trial that goes on now: the others have had several trials, or there is nothing else to run.

        One that has too little time to get further competes with its model as it is. So do all where the search has
        ended.
        """
        if self.over and not (self.allocation.exhausted and self.seconds_left > 0):
            paused, self.paused = self.paused, []
            for one in paused:
                self._end_paused(one)
        idle = not self.running and not self.pending()
        for one in list(self.paused):
            if idle or self.allocation.others_had_several(one.proposal.family):
                self.paused.remove(one)
                if self._gets_further(one):
                    return one
                self._end_paused(one)
        return None

    def _gets_further(self, paused: Paused) -> bool:
        """Whether there is time to train a paused trial for half as long again, and to refit it."""
        before, family = paused.trial_state.seconds, find("models", paused.proposal.family)
        longer = (1 + FURTHER) * before
        repeated = before if family.repeats_rounds else 0.0
        return self.budget.left >= longer - before + repeated + self.budget.refit_share * longer

    def _end_paused(self, paused: Paused) -> None:
        """Let a paused trial compete with its model as it is."""
        self.running[paused.proposal.trial] = paused.proposal
        limit, why = self._exceeded_limit(paused.trial_state), "search.time was up before it could go on"
        status: Status = "stopped" if limit else "completed"
        self._finish(paused.proposal.trial, status, paused.trial_state, limit or why)

    @property
    def seconds_left(self) -> float:
        """Seconds that trials have left of `search.time`; infinite where there is no limit.

        The members that an ensemble would have now are refitted in what is kept for them.
        """
        if math.isinf(self.budget.limit):
            return math.inf
        known = [self._result(one.proposal, "completed", one.trial_state) for one in self.paused]
        known += [self.allocation.best] if self.allocation.best else []
        scored = [(self.sign * one.metric, one) for one in known if one.metric is not None]
        best = max(scored, key=lambda pair: pair[0], default=(0.0, None))[1]
        return self.budget.for_trials(best, self._likely_members())

    def _likely_members(self) -> list[TrialResult]:
        """The trials that an ensemble would have beside the best one."""
        if not self.candidates:
            return []
        best = [*self.allocation.candidates(self.candidates)[:USUAL_MEMBERS], *self.allocation.finalists.values()]
        some = list({one.trial: one for one in best}.values())
        return [one for one in self.members_of(some) if one.trial != some[0].trial]

    @property
    def over(self) -> bool:
        """Whether no further trial will be proposed: all have been, the time has run out, or the target is reached."""
        target, best = self.spec.search.target, self.allocation.best
        scored = target is not None and best is not None and best.metric is not None
        reached = scored and self.sign * best.metric >= self.sign * target  # type: ignore[union-attr, operator]
        return self.allocation.exhausted or self.seconds_left <= 0 or reached

    def report(self, trial: int, rung: int, trial_state: TrialState) -> bool:
        """Record the state of a trial after a rung; return whether it continues."""
        if trial not in self.running:
            return False  # it stopped at an earlier rung, when a trial before it came there
        ended, rungs = trial_state.ended or bool(trial_state.failed), self.rungs.setdefault(trial, [])
        if not trial_state.failed:
            rungs.append(replace(trial_state, state=b"", model=b"", scores=None))
        self.allocation.report(trial, math.nan if trial_state.failed else self.sign * trial_state.best, ended=ended)
        if ended:
            self.ended[trial] = trial_state
        elif self.seconds_left <= 0 and self.allocation.best is not None:
            # Without a finished trial, this one ends at its next evaluation, and competes.
            self._finish(trial, "stopped", trial_state, "search.time was up")
        self._settle()
        return trial in self.running and not ended and not self._pauses(trial, rung, trial_state)

    def _settle(self) -> None:
        """Finish the trials that are now known to stop at a rung, and those that are known to stop at none."""
        for trial, rung in self.allocation.judge():
            self.ended.pop(trial, None)
            self.rungs[trial] = self.rungs[trial][: rung + 1]
            self._finish(trial, "stopped", self.rungs[trial][-1])
        for trial in [trial for trial in self.ended if self.allocation.is_judged(trial)]:
            trial_state = self.ended.pop(trial)
            if trial_state.failed:
                self._finish(trial, "failed", trial_state, trial_state.failed)
                continue
            limit = self._exceeded_limit(trial_state)
            # A trial that ended early since `search.time` ran out competes: it had all the time there was.
            why = limit or (self._why_late(trial, trial_state) if trial_state.late else "")
            self._finish(trial, "stopped" if limit else "completed", trial_state, why)

    def _pauses(self, trial: int, rung: int, trial_state: TrialState) -> bool:
        """Whether the trial pauses after a rung, so that other families come first."""
        if not trial_state.pauses or self.allocation.others_had_several(self.running[trial].family):
            return False
        self.paused.append(Paused(self.running.pop(trial), rung + 1, trial_state))
        return True

    def fail(self, trial: int, why: str) -> None:
        """Record that a trial failed, and why."""
        self._finish(trial, "failed", TrialState(), why)
        self._settle()

    def ask_again(self, trial: int) -> None:
        """Take back a trial that no slot has begun; it is the next one."""
        self.proposed.insert(0, self.running.pop(trial))

    def finalists(self) -> set[int]:
        """Return the trials whose models are kept: the best of each family, or its candidates for an ensemble."""
        best = [result.trial for result in self.allocation.finalists.values()]
        return {*best, *(result.trial for result in self.allocation.candidates(self.candidates))}

    def _why_late(self, trial: int, trial_state: TrialState) -> str:
        """Which time was up: that of the search, or that of a default to its first rung."""
        until = CUT_SHARES * self.allocation.share(trial, self.budget.limit)
        # A trial ends before an epoch that would take too long: earlier than `until`, but never in its first half.
        return CUT if len(self.rungs[trial]) == 1 and trial_state.seconds > until / 2 else "search.time was up"

    def _exceeded_limit(self, trial_state: TrialState) -> str:
        """The limit of the spec that the trial has exceeded, in words; empty where there is none."""
        search = self.spec.search
        if trial_state.late and trial_state.seconds >= float(search.trial_seconds or math.inf):
            return "it took longer than search.trial_seconds"
        if trial_state.row_ms > float(search.latency_ms or math.inf):
            return f"a row takes {trial_state.row_ms:g} ms, more than search.latency_ms"
        return ""

    def _finish(self, trial: int, status: Status, trial_state: TrialState, why: str = "") -> None:
        result = self._result(self.running.pop(trial), status, trial_state, why)
        self.rungs.pop(trial, None)
        before = self.finalists()
        self.allocation.tell(result)
        now, digest = self.finalists(), None
        if trial in now:
            scores = b"" if trial_state.scores is None else _as_npy(trial_state.scores)
            self.run.folder.write(_model_file(result), trial_state.model)
            if scores:
                self.run.folder.write(f"{FOLDER}/{trial:04d}/{SCORES_FILE}", scores)
            digest = hashlib.sha256(trial_state.model + scores).hexdigest()
        self.run.journal.record(step_of(trial), {**asdict(result), "model_sha256": digest})
        for loser in sorted(before - now):
            self.run.folder.remove(f"{FOLDER}/{loser:04d}")
        best, finished = self.allocation.best, len(self.allocation.results)
        metric = str(self.spec.search.metric)
        self.run.progress.trial(
            finished, self.allocation.num_trials, best.metric if best else None, metric, self._search_left(finished)
        )

    def _result(self, proposal: Proposal, status: Status, trial_state: TrialState, why: str = "") -> TrialResult:
        """A trial's result, if it ends in this state."""
        finite = status != "failed" and math.isfinite(trial_state.best)
        return TrialResult(
            trial=proposal.trial,
            family=proposal.family,
            params=proposal.params,
            rungs=tuple((one.rounds, self.sign * one.best) for one in self.rungs.get(proposal.trial, [])),
            metric=self.sign * trial_state.best if finite else None,
            rounds=trial_state.best_rounds,
            seconds=round(trial_state.seconds, 3),
            status=status,
            why=why,
        )

    def _search_left(self, finished: int) -> float:
        """Seconds that the search will still take: as long as the trials so far, and no longer than its time."""
        passed, to_come = time.monotonic() - self.budget.began, self.allocation.num_trials - finished
        return max(0.0, min(self.seconds_left, passed / max(finished, 1) * to_come))

    def _propose(self) -> Proposal | None:
        while not self.over:
            known = self.run.journal.recorded(step_of(len(self.allocation.assigned)))
            proposal = self.allocation.ask(known)
            if proposal is None or known is None or not self._replay(proposal, known):
                return proposal
        return None

    def _replay(self, proposal: Proposal, known: dict[str, Any]) -> bool:
        """Take a finished trial from the journal; False where its record does not match, or its model is missing."""
        fields = {name: value for name, value in known.items() if name != "model_sha256"}
        result = TrialResult(**{**fields, "rungs": tuple((int(r), float(v)) for r, v in fields["rungs"])})
        if (result.family, dict(result.params)) != (proposal.family, dict(proposal.params)):
            return False
        self.allocation.tell(result)
        kept, file = proposal.trial in self.finalists(), self.run.folder.path / _model_file(result)
        later = any(int(step.removeprefix("trial-")) > proposal.trial for step in self.run.journal.steps("trial-"))
        scores = file.with_name(SCORES_FILE)
        content = [one.read_bytes() for one in (file, scores) if kept and one.is_file()]
        digest = hashlib.sha256(b"".join(content)).hexdigest() if content else None
        if kept and not later and digest != known["model_sha256"]:
            self.allocation.forget(proposal.trial)
            return False
        return True


def _as_npy(scores: NDArray[np.float32]) -> bytes:
    """The scores as the content of a `.npy` file."""
    file = io.BytesIO()
    np.save(file, scores, allow_pickle=False)
    return file.getvalue()


def step_of(trial: int) -> str:
    """The step of the journal that has the trial."""
    return f"trial-{trial:04d}"


def _model_file(result: TrialResult) -> str:
    """The file of the trial's model, in the run folder."""
    return f"{FOLDER}/{result.trial:04d}/{find('models', result.family).file}"
