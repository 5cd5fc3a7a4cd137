"""Steps 4 to 6: hyperparameters, by Ray Tune over slots. Decisions are `proposals`; this file only carries them to Tune and back."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline.choice import find
from ray_pipeline.errors import NoTrialFinished, PipelineError, Problem
from ray_pipeline.models._base import Job, Model, Scorer
from ray_pipeline.runtime.plan import Plan
from ray_pipeline.runtime.run_folder import RunFolder
from ray_pipeline.runtime.session import find_own
from ray_pipeline.spec import Spec
from ray_pipeline.stages.contest import Contest
from ray_pipeline.stages.encode import Encoded
from ray_pipeline.stages.profile import Profile
from ray_pipeline.stages.proposals import Outcome, Proposal, Proposals, rungs
from ray_pipeline.values import Predictions

LEAST_WINDOW = 4
Tell = Callable[[int, int, float | None], None]


@dataclass(frozen=True)
class Leaderboard:
    """Every trial, and the one whose model is refitted."""

    outcomes: tuple[Outcome, ...]
    best: Outcome
    trials: Path
    """Where the finalists' own models lie, trained on train only, each in a folder by its trial's number."""
    finalists: tuple[Outcome, ...]
    """The best trial of each family, best first."""

    @property
    def family(self) -> type[Model]:
        """The winner's."""
        return find("models", self.best.family)  # type: ignore[no-any-return]

    def scorer(self) -> Scorer:
        """What the winning trial's saved model scores with."""
        return self.scorer_of(self.best)

    def scorer_of(self, finalist: Outcome) -> Scorer:
        """What that finalist's saved model scores with."""
        return find("models", finalist.family).load(self.model_folder(finalist))  # type: ignore[no-any-return]

    def model_folder(self, finalist: Outcome) -> Path:
        """The folder of its model."""
        return self.trials / f"{finalist.trial:04d}"

    def check_reproduced(self, validation: Predictions, spec: Spec) -> None:
        """Raises if the winning trial's saved model does not repeat the score that the trial reported."""
        again = find("metrics", str(spec.search.metric))()(validation.label, validation.score, validation.weight)
        if self.best.metric is None or not np.isclose(again, self.best.metric, rtol=1e-7, atol=1e-9):
            raise PipelineError(
                Problem(
                    stage="search",
                    found=f"trial {self.best.trial} reported {self.best.metric!r}, but its saved model scores {again!r}",
                    fix="report this: it is a bug of ray-pipeline",
                )
            )


def warm_up() -> None:
    """Imports what the search needs; 3 s that other stages can hide."""
    import optuna  # noqa: F401
    from ray import tune  # noqa: F401


def job_of(spec: Spec, profile: Profile, encoded: Encoded, plan: Plan) -> Job:
    """What every fit of the run has in common."""
    cardinalities = {word: encoder.cardinalities for word, encoder in encoded.encoders.items()}
    return Job(spec.task, len(profile.classes), cardinalities, plan.threads, "cuda" if plan.gpus else "cpu", profile.class_weight(spec.fit.class_weight))


def search(spec: Spec, encoded: Encoded, job: Job, plan: Plan, folder: RunFolder, tell: Tell) -> Leaderboard:
    """The leaderboard of `spec.search`; trials that the journal already knows are not run again.

    Raises:
        NoTrialFinished: every trial failed; the first cause is told.
    """
    proposals = _contest(spec)
    trials = folder.path / "trials"
    trials.mkdir(exist_ok=True)
    keeper = _Keeper(spec, proposals, folder, trials, tell)
    if keeper.pending():
        _tune(spec, encoded, job, plan, keeper, trials)
    outcomes = tuple(proposals.outcomes[i] for i in sorted(proposals.outcomes))
    if proposals.best is None:
        failed = [o.why for o in outcomes if o.status == "failed"]
        found = f"0 of {len(outcomes)} trials finished: {len(failed)} failed, {len(outcomes) - len(failed)} were stopped"
        fix = f"the first failed with: {failed[0]}; run with --debug for more" if failed else "give `search.trial_seconds` and `search.time` more"
        raise NoTrialFinished(Problem(stage="search", found=found, fix=fix))
    return Leaderboard(outcomes, proposals.best, trials, tuple(proposals.finalists.values()))


def _contest(spec: Spec) -> Contest:
    window, metric = max(LEAST_WINDOW, spec.search.trials // 8), find("metrics", str(spec.search.metric))
    families = []
    for family, model in spec.model.items():
        chosen = {name: getattr(model, name) for name in type(model).model_fields}
        integers = frozenset(name for name, info in type(model).model_fields.items() if "int" in str(info.annotation).split("|")[0])
        families.append(
            Proposals(
                family, chosen, find("models", family).start, integers, spec.search.trials, spec.search.seed, metric.better,
                spec.search.searcher, spec.search.scheduler == "asha", window=window,
            )
        )  # fmt: skip
    return Contest(families, spec.search.trials, window)


class _Keeper:
    """Between Tune and the proposals: hands out trials, writes finished ones to the journal, keeps only the best model's file."""

    def __init__(self, spec: Spec, proposals: Contest, folder: RunFolder, trials: Path, tell: Tell) -> None:
        self.spec, self.proposals, self.folder, self.trials, self.tell = spec, proposals, folder, trials, tell
        self.handed: dict[int, Proposal] = {}
        self.rungs: dict[int, list[tuple[int, float]]] = {}
        self.ahead: Proposal | None = None
        self.begun = time.monotonic()

    def pending(self) -> bool:
        """Whether there is a trial left to run, after those of the journal have been replayed."""
        self.ahead = self.ahead or self._next()
        return self.ahead is not None

    def hand_out(self) -> dict[str, Any] | None:
        """The next trial's configuration for a slot, or None while it must wait."""
        if not self.pending():
            return None
        proposal, self.ahead = self.ahead, None
        assert proposal is not None
        self.handed[proposal.trial] = proposal
        budget = rungs(int(proposal.params[find("models", proposal.family).budget]), self.spec.search.scheduler == "asha")
        return {
            "trial": proposal.trial,
            "family": proposal.family,
            "params": dict(proposal.params),
            "rungs": budget,
            "seed": self.spec.search.seed * 100_003 + proposal.trial,
        }

    @property
    def over(self) -> bool:
        """Whether no further trial will be proposed: all are, or the time is up, or the target is reached."""
        limit, target = self.spec.search.time, self.spec.search.target
        best = self.proposals.best.metric if self.proposals.best else None
        late = limit is not None and time.monotonic() - self.begun > float(limit)
        reached = target is not None and best is not None and (best >= target if self.proposals.better == "higher" else best <= target)
        return self.proposals.exhausted or late or reached

    def reached(self, result: dict[str, Any]) -> bool:
        """Takes a slot's report of a rung in; whether the trial goes on."""
        trial, value = result["trial"], float(result["value"])
        self.rungs.setdefault(trial, []).append((int(result["round"]), value))
        slow = self.spec.search.trial_seconds is not None and result["train_seconds"] > float(self.spec.search.trial_seconds)
        on = not result["done"] and not slow and self.proposals.goes_on(trial, int(result["rung"]), value)
        if not on:
            status = "completed" if result["done"] else "stopped"
            self._finish(trial, result, value, status)
        return on

    def failed(self, config: dict[str, Any], error: BaseException | str | None) -> None:
        """Takes in that a trial failed, with its cause."""
        own = find_own(error) if isinstance(error, BaseException) else None
        lines = str(own or error or "unknown cause").strip().splitlines()
        self._finish(config["trial"], {"rounds": 0, "train_seconds": 0.0}, None, "failed", lines[-1][:300])

    def _finish(self, trial: int, result: dict[str, Any], metric: float | None, status: Any, why: str = "") -> None:
        outcome = Outcome(
            trial,
            self.handed[trial].family,
            dict(self.handed[trial].params),
            tuple(self.rungs.get(trial, [])),
            metric,
            int(result["rounds"]),
            round(float(result["train_seconds"]), 3),
            status,
            why,
        )
        before = self.finalists()
        self.proposals.finish(outcome)
        best, now = self.proposals.best, self.finalists()
        if trial in now:
            self.folder.share(f"trials/{trial:04d}")
        self.folder.record(f"trial-{trial:04d}", {**asdict(outcome), "model_sha256": self._digest(trial)})
        for loser in sorted({*before, trial} - now):
            self.folder.remove(f"trials/{loser:04d}")
        self.tell(len(self.proposals.outcomes), self.proposals.num_trials, best.metric if best else None)

    def finalists(self) -> set[int]:
        """The trials whose models are kept: the best of each family."""
        return {outcome.trial for outcome in self.proposals.finalists.values()}

    def _next(self) -> Any:
        while not self.over:
            proposal = self.proposals.next()
            if proposal is None:
                return None
            known = self.folder.recorded(f"trial-{proposal.trial:04d}")
            if known is None or not self._replay(proposal, known):
                return proposal
        return None

    def _replay(self, proposal: Any, known: dict[str, Any]) -> bool:
        """Takes a finished trial from the journal; False where its record does not fit what is proposed, or its model is lost."""
        fields = {name: value for name, value in known.items() if name != "model_sha256"}
        outcome = Outcome(**{**fields, "rungs": tuple((int(r), float(v)) for r, v in fields["rungs"])})
        if (outcome.family, dict(outcome.params)) != (proposal.family, dict(proposal.params)):
            return False
        self.proposals.finish(outcome)
        lost = proposal.trial in self.finalists() and self._digest(proposal.trial) != known["model_sha256"] and not self._later_best(proposal.trial)
        if lost:
            self.proposals.forget(proposal.trial)
        return not lost

    def _digest(self, trial: int) -> str | None:
        """SHA-256 of the trial's model file; None where there is none (it was not the best)."""
        files = sorted((self.trials / f"{trial:04d}").glob("model.*"))
        return hashlib.sha256(files[0].read_bytes()).hexdigest() if files else None

    def _later_best(self, trial: int) -> bool:
        return any(int(step.removeprefix("trial-")) > trial for step in self.folder.steps("trial-"))


def _tune(spec: Spec, encoded: Encoded, job: Job, plan: Plan, keeper: _Keeper, trials: Path) -> None:
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler
    from ray.tune.search import Searcher

    from ray_pipeline.stages.slot import Slot

    class Proposer(Searcher):  # type: ignore[misc]
        """Tune asks, the keeper answers."""

        def __reduce__(self) -> tuple[Any, ...]:
            return Searcher, ()  # Tune pickles its parts into a state that nobody reads: the journal is the truth

        def suggest(self, trial_id: str) -> Any:
            config = keeper.hand_out()
            if config is None:
                return Searcher.FINISHED if keeper.over else None
            configs[trial_id] = config
            return config

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            config = configs[trial_id]
            if config["trial"] not in keeper.proposals.outcomes:
                keeper.failed(config, errors.get(trial_id))

    class Judge(FIFOScheduler):  # type: ignore[misc]
        """Stops a trial at a rung, or lets it go on."""

        def __reduce__(self) -> tuple[Any, ...]:
            return FIFOScheduler, ()

        def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
            if tune_controller not in controllers:
                controllers.add(tune_controller)
                # Tune ends a reusable actor that finds no trial waiting at that instant; a new slot would take 5 s and one more copy of the data.
                tune_controller._actor_cache.increase_max(trial.placement_group_factory, by=plan.slots)

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            return str(self.CONTINUE if keeper.reached(result) else self.STOP)

        def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
            if result.get("trial") is not None and result["trial"] not in keeper.proposals.outcomes:
                keeper.reached(result)

        def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
            errors[trial.trial_id] = trial.get_error() or trial.get_pickled_error()

    configs: dict[str, dict[str, Any]] = {}
    errors: dict[str, Any] = {}
    controllers = set[Any]()
    slot = tune.with_resources(tune.with_parameters(Slot, encoded=encoded, job=job, metric=spec.search.metric, folder=str(trials)), plan.trial_resources())
    tuner = tune.Tuner(
        slot,
        tune_config=tune.TuneConfig(
            search_alg=Proposer(), scheduler=Judge(), num_samples=spec.search.trials, max_concurrent_trials=plan.slots, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(trials.parent / ".tune"),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    except BaseException:
        # Left alone, the slots of a search that was interrupted would hold their CPUs as long as anything remembers the exception.
        for controller in controllers:
            controller.cleanup()
        raise
