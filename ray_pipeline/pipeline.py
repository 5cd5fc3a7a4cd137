"""The page: a training pipeline as its definition reads, one line a stage, each name on the left a frozen value that
the next line reads."""

from contextlib import nullcontext
from pathlib import Path

from ray_pipeline.data.feast import resolved
from ray_pipeline.data.fingerprint import fingerprint
from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.errors import SpecError
from ray_pipeline.evaluation.baselines import baselines
from ray_pipeline.evaluation.champion import champion_of
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.explain import explain
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.latency import latency_ms, size_mb
from ray_pipeline.evaluation.predict import predict
from ray_pipeline.preprocessing.cache import reuse
from ray_pipeline.preprocessing.encode import encode, fit_encoders
from ray_pipeline.profiling.findings import check, refuse
from ray_pipeline.profiling.profile import profile
from ray_pipeline.registry.register import Release, prove, register, release_of
from ray_pipeline.registry.registry import CHAMPION, Registry
from ray_pipeline.runs import artifacts as record
from ray_pipeline.runs import reproducibility as repeat
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.capacity import wait_for_capacity
from ray_pipeline.runtime.layout import refuse_impossible
from ray_pipeline.runtime.process_state import process_state
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.runtime.session import session
from ray_pipeline.runtime.shared_storage import check_shared_storage
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.refit import fit
from ray_pipeline.tuning.search import search, training_context, warm_up
from ray_pipeline.tuning.validate import validate
from ray_pipeline.tuning.warm_start import warm_start


@process_state()
def run(
    spec: Spec,
    where: Where | None = None,
    *,
    show: Progress | None = None,
    folder: RunFolder | None = None,
    debug: bool = False,
) -> Release:
    """A run of the whole pipeline: feature tables in, a gated, registered model out.

    Args:
        spec: what to train.
        where: on what; unless said, this machine, with runs in `runs` beside the spec.
        show: told of progress.
        folder: an interrupted run to go on with; a new run unless given.
        debug: lets Ray, Tune and MLflow chatter.

    Raises:
        PipelineError: one of its subclasses says whose fault it is; `exit_code` is the contract's.
    """
    where, show = where or Where(), show or Progress()
    spec = resolved(spec.trusting(where.trust), where)
    if absent := spec.not_installed():
        raise SpecError(absent)
    refuse_impossible(where, spec.search.trials)
    registry = Registry(where.registry_uri(Path.cwd()), debug=debug)
    folder = folder or RunFolder.create(where.storage_folder(Path.cwd()), spec.name, spec.fingerprint)
    record.begin(folder, spec, where)

    with (
        folder.held(),
        record.problems(folder, spec, show),
        registry.preparing() if spec.needs_registry else nullcontext(lambda: None) as registry_is_ready,
        in_background(warm_up),
        session(where, debug) as end_session,
    ):
        check_shared_storage(folder, where)
        wait_for_capacity(where)
        if spec.search.warm_start == CHAMPION:
            registry_is_ready()
        warm = warm_start(spec, registry, folder, show)
        layout = repeat.plan_layout(folder, where, spec.search.trials)
        show.stage("read")
        table = split(read(spec, where), spec)

        show.stage("profile")
        with in_background(lambda: fingerprint(table, spec)) as data:
            profiled = profile(table, spec)
            repeat.assert_same_data(folder, data())
        findings = check(profiled, spec)
        record.profiled(folder, table, profiled, findings)
        refuse(findings, spec)
        encoders = fit_encoders(profiled, spec.encoders, table.own_encodings(spec))

        show.stage("encode")
        encoded = reuse(folder, spec, encoders, lambda: encode(table, encoders, profiled, spec), show)
        record.encoded(folder, encoded)
        context = training_context(spec, profiled, encoded, layout)

        show.stage("search")
        with in_background(lambda: baselines(encoded, context, spec, profiled.classes)) as to_beat:
            leaderboard = search(
                spec,
                encoded,
                context,
                layout,
                folder,
                lambda done, total, best: show.trial(done, total, best, str(spec.search.metric)),
                warm,
            )
            record.trials(folder, leaderboard)
            beaten = to_beat()

        show.stage("fit")
        with in_background(lambda: validate(leaderboard, encoded, beaten, profiled, spec)) as validation:
            final = fit(spec, leaderboard, encoded, context, layout, folder)
            validated = validation()
            registry_is_ready()
        record.validated(folder, validated)
        needs, threshold = leaderboard.family.encoder, validated.threshold
        model = record.model(
            folder, spec, where, table, profiled, encoders[needs], leaderboard, validated.calibrator, threshold, final
        )

        show.stage("evaluate")
        test = predict(model.score_matrix, encoded, needs, "test", spec, profiled.classes)
        evaluation = evaluate(test, threshold, spec)
        champion = champion_of(registry, test, spec, where)
        judged = record.times_judged(folder, table, spec)
        verdict = judge(
            spec.gates,
            evaluation,
            test,
            threshold,
            champion,
            latency_ms(model),
            size_mb(model),
            spec,
            times_judged=judged,
        )
        record.evaluated(folder, test, model, evaluation, verdict)
        record.explained(folder, explain(model, encoded, test, threshold, spec))

        show.stage("register")
        proof = prove(model, profiled, encoded, needs)
        with in_background(end_session):
            facts = record.manifest(folder, spec, layout, table, profiled, encoders[needs], leaderboard, show.seconds)
            version = register(registry, spec, folder, model, proof, leaderboard, evaluation, verdict)
        show.done("register")
        release = release_of(folder, spec, leaderboard, evaluation, verdict, version, facts, show.seconds)
        record.finished(folder, release, facts)
    return release


def resume(
    run_folder: RunFolder, where: Where | None = None, *, show: Progress | None = None, debug: bool = False
) -> Release:
    """The run, gone on with after whatever interruption: finished trials and fits are taken from its journal, the rest
    is done again.

    Args:
        run_folder: of the run.
        where: another cluster than the run began on; it must know the same registry.
        show: told of progress.
        debug: lets Ray, Tune and MLflow chatter.

    Raises:
        StorageError: the folder holds no journal to go on from.
        DataError: the data changed since the run began.
    """
    if release := record.answered(run_folder):
        return release
    spec, began = record.begun(run_folder)
    return run(
        spec,
        where.model_copy(update={"storage": run_folder.storage}) if where else began,
        show=show,
        folder=run_folder,
        debug=debug,
    )
