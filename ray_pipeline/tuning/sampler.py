"""Which hyperparameters come next: decisions that do not depend on how many slots there are.

Trial i is proposed from the results of the trials up to i - window, and judged at a rung against those trials only.
They are all finished by then, so nothing waits within a trial, and one slot and eight take the same decisions in
whatever order results arrive. Without a window (`search.deterministic: false`) a decision knows every finished trial,
and is read from the journal on resume. Optuna proposes by ask and tell (TPE, multivariate); a pruned trial is told as
pruned, with its intermediate values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Log, Space
from ray_pipeline.tuning.pruner import should_prune

Status = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial to run: its number, its family and all hyperparameters of it."""

    trial: int
    family: str
    params: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended: one line of `trials.jsonl`."""

    trial: int
    family: str
    params: Mapping[str, Any]
    rungs: tuple[tuple[int, float], ...]
    metric: float | None
    rounds: int
    """Rounds of the best score: the trial's model has as many."""
    seconds: float
    status: Status
    why: str = ""


@dataclass(kw_only=True)
class Sampler:
    """Asks and judges for one family. Not frozen: it is the one place where the search remembers."""

    family: str
    space: Mapping[str, Any]
    start: Mapping[str, Any]
    """The hyperparameters of trial 0, as far as they are searched."""
    integers: frozenset[str]
    num_trials: int
    seed: int
    better: Literal["higher", "lower"]
    searcher: str = "tpe"
    halving: bool = True
    window: int | None = 4
    """How many trials back a decision looks; None: it knows all that has ended."""
    warm: Mapping[str, Any] | None = None
    """Hyperparameters that have won before: those of trial 1, as far as they are searched and within their spaces; for
    the rest it has the start's."""
    results: dict[int, TrialResult] = field(default_factory=dict)
    _asked: list[Any] = field(default_factory=list)
    _told: set[int] = field(default_factory=set)
    _study: Any = None

    def ask(self, params: Mapping[str, Any] | None = None) -> Proposal | None:
        """The next trial, with those hyperparameters where given, or None while it must wait for an earlier one (or
        there is none left: see `exhausted`)."""
        trial = len(self._asked)
        if self.exhausted or (
            self.window is not None and any(i not in self.results for i in range(max(0, trial - self.window + 1)))
        ):
            return None
        self._tell_optuna([i for i in sorted(self.results) if self._knows(trial, i)])
        study = self._optuna()
        if params is not None and not any(other.state.name == "WAITING" for other in study.get_trials(deepcopy=False)):
            study.enqueue_trial(self._searched(params))
        asked = study.ask(
            fixed_distributions={name: self._distribution(name, space) for name, space in self._spaces().items()}
        )
        self._asked.append(asked)
        return Proposal(trial=trial, family=self.family, params={**self.space, **asked.params})

    @property
    def exhausted(self) -> bool:
        """Every trial has been proposed."""
        return len(self._asked) >= self.num_trials

    def should_prune(self, trial: int, rung: int, value: float) -> bool:
        """Whether a trial with this value at this rung (its index) is stopped."""
        known = [
            self._sign * result.rungs[rung][1]
            for number, result in sorted(self.results.items())
            if self._knows(trial, number) and len(result.rungs) > rung
        ]
        return self.halving and should_prune(self._sign * value, known)

    def tell(self, result: TrialResult) -> None:
        """Take in how a trial ended."""
        self.results[result.trial] = result

    @property
    def best(self) -> TrialResult | None:
        """The finished trial with the best score, the earlier of equals; stopped trials do not compete."""
        finished = [o for o in self.results.values() if o.status == "completed" and o.metric is not None]
        return max(finished, key=lambda o: (self._sign * (o.metric or 0.0), -o.trial), default=None)

    @property
    def _sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    def _knows(self, trial: int, other: int) -> bool:
        """Whether decisions on a trial may know how another ended."""
        return self.window is None or other <= trial - self.window

    def _spaces(self) -> dict[str, Space]:
        return {name: space for name, space in self.space.items() if isinstance(space, Space)}

    def _searched(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the values that lie in a space."""
        return {
            name: params[name]
            for name, space in self._spaces().items()
            if name in params and space.contains(params[name])
        }

    def _optuna(self) -> Any:
        if self._study is None:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            sampler = (
                optuna.samplers.RandomSampler(seed=self.seed)
                if self.searcher == "random"
                else optuna.samplers.TPESampler(seed=self.seed, multivariate=True)
            )
            self._study = optuna.create_study(
                direction="maximize" if self.better == "higher" else "minimize", sampler=sampler
            )
            default = self._searched(self.start)
            for params in (default, {**default, **self._searched(self.warm or {})}):
                if params:
                    self._study.enqueue_trial(params, skip_if_exists=True)
        return self._study

    def _tell_optuna(self, known: Sequence[int]) -> None:
        import optuna

        state = {
            "completed": optuna.trial.TrialState.COMPLETE,
            "stopped": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }
        for trial in (trial for trial in known if trial not in self._told):
            result, asked = self.results[trial], self._asked[trial]
            for rounds, value in result.rungs:
                asked.report(value, rounds)
            self._study.tell(asked, result.metric if result.status == "completed" else None, state=state[result.status])
            self._told.add(trial)

    def _distribution(self, name: str, space: Space) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(space, OneOf):
            return CategoricalDistribution(space.values)
        assert isinstance(space, Int | Float | Log)
        if isinstance(space, Int) or name in self.integers:
            return IntDistribution(int(space.low), int(space.high), log=isinstance(space, Log))
        return FloatDistribution(space.low, space.high, log=isinstance(space, Log))
