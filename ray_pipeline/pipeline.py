"""The whole training pipeline on one page: one line a stage."""

from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.evaluation.champion import champion, require_champion
from ray_pipeline.evaluation.dominance import doubt
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.explain import explain
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.predict import predict
from ray_pipeline.preprocessing.encode import encode
from ray_pipeline.profiling.table_profile import profile_table
from ray_pipeline.registry.register import register
from ray_pipeline.runs.context import open_run
from ray_pipeline.runs.given_spec import SpecLike, WhereLike
from ray_pipeline.runs.release import Release
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.tuning.refit import refit
from ray_pipeline.tuning.search import search


def run(
    spec: SpecLike,
    where: WhereLike = None,
    *,
    progress: Progress | None = None,
    resume_from: RunFolder | None = None,
    debug: bool = False,
) -> Release:
    """Run the whole pipeline: feature tables in, a gated, registered model out. For the parameters see `open_run`."""
    with open_run(spec, where, progress=progress, resume_from=resume_from, debug=debug) as run:
        spec = run.spec  # read and checked, with trusted classes and feature-store tables resolved
        table = split(read(spec, run.where), spec)
        profile = run.save(profile_table(table, spec))  # raises on findings of `checks.fail_on`
        encoded = run.save(encode(table, profile, spec, run))
        require_champion(spec, run)  # raises where the champion of a gate cannot score these rows
        leaderboard = run.save(search(encoded, spec, run))  # prunes trials, scores the baselines
        model = run.save(refit(leaderboard, encoded, spec, run))  # and calibrates, and chooses the threshold
        predictions = run.save(predict(model, encoded, "test"))
        evaluation = run.save(evaluate(predictions, spec))
        run.save(explain(model, encoded, predictions, spec))
        run.save(doubt(model, encoded, predictions, profile, spec))  # raises where one column makes it nearly perfect
        rival = champion(run.registry, predictions, spec, run.where)
        times_judged = run.times_judged(profile.test_part)
        verdict = run.save(judge(evaluation, model.costs, rival, spec, times_judged=times_judged))
        version = register(model, verdict, run)  # None if a gate refuses it
        return run.finish(model, verdict, version)
