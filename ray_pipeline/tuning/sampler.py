"""Which hyperparameters come next: Optuna's TPE (multivariate) by ask and tell, the same for any number of slots.

Trial i is proposed from the results of the trials up to i - window. They are all finished by then: a trial waits for
nothing once it runs, and one slot and eight propose the same in whatever order results arrive. Without a window
(`search.deterministic: false`) a proposal uses every finished trial, and a resumed run reads it from the journal.
Optuna learns of a pruned trial as pruned, with its intermediate values. A proposal of TPE takes time in proportion to
the trials of its study, and is led by the 25 best of them (Optuna's `gamma`). So a long search goes on in a new study,
with the best and the latest of the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Log, Space
from ray_pipeline.tuning.pruner import Pruner

STUDY_TRIALS, KEPT_BEST, KEPT_LATEST = 1_000, 200, 300
"""Trials after which a search goes on in a new study, and those that the new one begins with."""
Status = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial to run: its number, its family, and all its hyperparameters."""

    trial: int
    family: str
    params: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The result of a trial: one line of `trials.jsonl`."""

    trial: int
    family: str
    params: Mapping[str, Any]
    rungs: tuple[tuple[int, float], ...]
    """Rounds and metric at each rung."""
    metric: float | None
    rounds: int
    """Rounds of the best metric: the trial's model has as many."""
    seconds: float
    status: Status
    why: str = ""


@dataclass(kw_only=True)
class Sampler:
    """Proposes the trials of one family. It is not frozen: it has the state of the search."""

    family: str
    space: Mapping[str, Any]
    """All hyperparameters: a `Space` where it is searched, else its value."""
    start: Mapping[str, Any]
    """The hyperparameters of trial 0; those that are not searched are ignored."""
    integers: frozenset[str]
    """The hyperparameters that are whole numbers."""
    num_trials: int
    seed: int
    better: Literal["higher", "lower"]
    searcher: str = "tpe"
    halving: bool = True
    window: int | None = 4
    """The proposal of trial i uses the results up to i - window; None: all finished trials."""
    warm: Mapping[str, Any] | None = None
    """Hyperparameters of an earlier winner: those of trial 1, where they are searched and within their spaces; trial 1
    takes the others from `start`."""
    results: dict[int, TrialResult] = field(default_factory=dict)
    _asked: list[Mapping[str, Any]] = field(default_factory=list)
    """The searched hyperparameters of each trial."""
    _open: dict[int, Any] = field(default_factory=dict)
    """Optuna's own trials that it has not been told the end of."""

    def ask(self, params: Mapping[str, Any] | None = None) -> Proposal | None:
        """Propose the next trial.

        Parameters
        ----------
        params
            Hyperparameters that the trial must have; Optuna proposes them unless given.

        Returns
        -------
        Proposal or None
            None while an earlier trial must finish first, and where every trial has been proposed (`exhausted`).
        """
        trial = len(self._asked)
        required = 0 if self.window is None else max(0, trial - self.window + 1)
        if self.exhausted or any(i not in self.results for i in range(required)):
            return None
        self._tell_optuna(trial)
        if len(self._study.get_trials(deepcopy=False)) >= STUDY_TRIALS:
            self._renew_study()
        study = self._study
        if params is not None and not any(other.state.name == "WAITING" for other in study.get_trials(deepcopy=False)):
            study.enqueue_trial(self._searched(params))
        self._open[trial] = study.ask(fixed_distributions=self._distributions())
        self._asked.append(self._open[trial].params)
        return Proposal(trial=trial, family=self.family, params={**self.space, **self._asked[trial]})

    @property
    def exhausted(self) -> bool:
        """Whether every trial has been proposed."""
        return len(self._asked) >= self.num_trials

    def tell(self, result: TrialResult) -> None:
        """Record the result of a trial."""
        self.results[result.trial] = result
        self.pruner.close(result.trial, (self.sign * value for _, value in result.rungs))

    @cached_property
    def pruner(self) -> Pruner:
        """Which trials stop early."""
        return Pruner(enabled=self.halving, in_order=self.window is not None)

    @property
    def sign(self) -> float:
        """The factor that makes higher metrics the better ones."""
        return 1.0 if self.better == "higher" else -1.0

    def _knows(self, trial: int, other: int) -> bool:
        """Whether the proposal of a trial may use the result of another."""
        return self.window is None or other <= trial - self.window

    def _searched(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the values that are within a space."""
        return {
            name: params[name]
            for name, space in self.space.items()
            if isinstance(space, Space) and name in params and space.contains(params[name])
        }

    @cached_property
    def _study(self) -> Any:
        study = self._new_study(self.seed)
        default = self._searched(self.start)
        for params in (default, {**default, **self._searched(self.warm or {})}):
            if params:
                study.enqueue_trial(params, skip_if_exists=True)
        return study

    def _new_study(self, seed: int) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        if self.searcher == "random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        direction = "maximize" if self.better == "higher" else "minimize"
        return optuna.create_study(direction=direction, sampler=sampler)

    def _renew_study(self) -> None:
        """Go on in a new study with the best and the latest trials that Optuna knows."""
        told = [i for i in range(len(self._asked)) if i not in self._open]
        completed = [i for i in told if self.results[i].status == "completed"]
        best = sorted(completed, key=lambda i: -self.sign * float(self.results[i].metric or 0))[:KEPT_BEST]
        study = self._new_study(self.seed + len(self._asked))
        for number in sorted({*best, *told[-KEPT_LATEST:]}):
            study.add_trial(self._frozen(number))
        self.__dict__["_study"] = study

    def _tell_optuna(self, trial: int) -> None:
        """Tell Optuna the results that the proposal of this trial may use."""
        for number in sorted(i for i in self._open if i in self.results and self._knows(trial, i)):
            optuna_trial, frozen = self._open.pop(number), self._frozen(number)
            if optuna_trial.study is not self._study:  # it was asked of the study before
                self._study.add_trial(frozen)
            else:
                for rounds, value in frozen.intermediate_values.items():
                    optuna_trial.report(value, rounds)
                self._study.tell(optuna_trial, frozen.value, state=frozen.state)

    def _frozen(self, number: int) -> Any:
        """Optuna's record of a finished trial."""
        from optuna.trial import TrialState, create_trial

        states = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
        result = self.results[number]
        return create_trial(
            state=states[result.status],
            value=result.metric if result.status == "completed" else None,
            params=self._asked[number],
            distributions=self._distributions(),
            intermediate_values=dict(result.rungs),
        )

    def _distributions(self) -> dict[str, Any]:
        """Optuna's distribution of each space."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        distributions: dict[str, Any] = {}
        for name, space in self.space.items():
            if isinstance(space, OneOf):
                distributions[name] = CategoricalDistribution(space.values)
            elif isinstance(space, Int) or (isinstance(space, Float | Log) and name in self.integers):
                distributions[name] = IntDistribution(int(space.low), int(space.high), log=isinstance(space, Log))
            elif isinstance(space, Float | Log):
                distributions[name] = FloatDistribution(space.low, space.high, log=isinstance(space, Log))
        return distributions
