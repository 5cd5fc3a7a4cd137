"""The trials of another run once more, as they were: a clock or the order of results decided them, so none is decided
again.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ray_pipeline.spec import Spec
from ray_pipeline.tuning.pruner import Rung
from ray_pipeline.tuning.sampler import Proposal
from ray_pipeline.tuning.trial_store import TrialStore, step_of
from ray_pipeline.tuning.trial_worker import TrialState

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

STEP = "recorded_trials"
"""The step of the journal where a rerun has the trials that it repeats."""


def repeats_trials(spec: Spec, run: "Run") -> bool:
    """Whether the run is a rerun whose trials are not decided again: its search is not deterministic."""
    return run.journal.recorded(STEP) is not None and not spec.search.deterministic


def undecided(spec: Spec) -> Spec:
    """Return the spec with a search that takes its proposals from records."""
    return spec.model_copy(update={"search": spec.search.model_copy(update={"deterministic": False})})


class RecordedTrials(TrialStore):
    """Gives each trial the hyperparameters, the rounds at its rungs, and the outcome that it had."""

    @cached_property
    def records(self) -> Mapping[int, Mapping[str, Any]]:
        """The line of `trials.jsonl` of each trial."""
        recorded = self.run.journal.recorded(STEP) or {"trials": []}
        return {record["trial"]: record for record in recorded["trials"]}

    def _propose(self) -> Proposal | None:
        records = self.records
        while not self.over:
            trial = len(self.allocation.assigned)
            known, record = self.run.journal.recorded(step_of(trial)), records[trial]
            proposal = self.allocation.ask(known or record)
            if proposal is None:
                return None
            if known is not None and self._replay(proposal, known):
                continue
            if record["status"] != "failed":
                return proposal
            self.running[trial] = proposal
            self.fail(trial, record["why"])
        return None

    def _config(self, proposal: Proposal, rung: int, before: list[TrialState]) -> dict[str, Any]:
        config = super()._config(proposal, rung, before)
        every = [one.every for one in config["rungs"]]
        recorded = self.records[proposal.trial]["rungs"]
        rungs = [Rung(rounds, every[min(at, len(every) - 1)]) for at, (rounds, _) in enumerate(recorded)]
        unlimited = dict.fromkeys(("trial_seconds", "share"), float("inf"))
        return {**config, "rungs": tuple(rungs), **unlimited}

    def report(self, trial: int, rung: int, trial_state: TrialState) -> bool:
        """Record the state of a trial after a rung; it continues to its last recorded one."""
        if trial_state.failed:
            self.fail(trial, trial_state.failed)
            return False
        self.rungs.setdefault(trial, []).append(trial_state)
        if not trial_state.ended:
            return True
        record = self.records[trial]
        self._finish(trial, record["status"], trial_state, record["why"])
        return False
