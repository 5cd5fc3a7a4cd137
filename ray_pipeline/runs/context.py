"""The context of a run: where it runs, what it saves, how it is resumed, repeated and ended."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ray_pipeline.data.feast import with_feast_tables
from ray_pipeline.data.fixed_tables import with_fixed_tables
from ray_pipeline.data.sql_tables import is_waiting, with_query_rows
from ray_pipeline.errors import DataError, Problem, SpecError, StorageError, listed
from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.events.hooks import tell_release
from ray_pipeline.events.lineage import lineage
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.registry import signature
from ray_pipeline.registry.own_process import in_own_process
from ray_pipeline.registry.register import signing_key
from ray_pipeline.registry.registry import Registry
from ray_pipeline.report import MODEL_CARD, write_report
from ray_pipeline.runs.artifacts import write_artifacts
from ray_pipeline.runs.given_spec import SpecLike, WhereLike, given_spec, given_where
from ray_pipeline.runs.journal import Journal
from ray_pipeline.runs.problems import explained
from ray_pipeline.runs.release import Release
from ray_pipeline.runs.reproducibility import FORMAT, manifest_of, pinned, plan_layout, versions
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.capacity import wait_for_capacity
from ray_pipeline.runtime.layout import Layout, refuse_impossible
from ray_pipeline.runtime.process_state import private_files, process_state
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.runtime.session import import_in_advance, session
from ray_pipeline.runtime.shared_storage import check_shared_storage
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.final_fit import FINAL_FOLDER
from ray_pipeline.tuning.refit import TrainedModel
from ray_pipeline.tuning.search import TUNE_FOLDER
from ray_pipeline.tuning.trial_store import FOLDER as TRIALS_FOLDER
from ray_pipeline.tuning.warm_start import CHAMPION, WarmStart, find_warm_start

V = TypeVar("V")


class AlreadyFinished(Exception):
    """Another process has finished the run while this one waited for it."""

    def __init__(self, release: Release) -> None:
        super().__init__(release.run)
        self.release = release


@dataclass(kw_only=True)
class Run:
    """What the stages of one run share. It remembers what it has saved, for the manifest."""

    spec: Spec
    where: Where
    folder: RunFolder
    registry: Registry
    progress: Progress
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest says of saved values."""
    layout: Layout = field(init=False)
    warm_start: WarmStart | None = None
    profile: Profile | None = None
    """What the run has found in its rows, for its events."""
    promotion: dict[str, Any] | None = None
    """The move that made the registered version champion."""
    release: Release | None = None
    """How the run ended."""
    registry_ready: Callable[[], None] = field(default=lambda: None)
    """Waits until the registry can be written."""
    end_session: Callable[[], None] = field(default=lambda: None)
    """Ends Ray before the context does: its processes take 1.2 s to go."""

    @property
    def id(self) -> str:
        """The run's id: the name of its folder."""
        return self.folder.run

    @property
    def journal(self) -> Journal:
        """The completed steps."""
        return self.folder.journal

    @property
    def versions(self) -> Any:
        """Versions of everything whose change may change a byte."""
        return versions()

    @property
    def pinned(self) -> dict[str, Any]:
        """What the run must make, where it verifies another one; else empty."""
        return pinned(self.journal)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage so far."""
        return {name: round(spent, 2) for name, spent in self.progress.seconds.items()}

    def save(self, value: V) -> V:
        """Write the files of a value, as its type decides, and give the value back.

        Raises
        ------
        DataError
            A resumed or repeated run made something else before; or the findings of a profile end the run.
        """
        write_artifacts(value, self)
        return value

    def times_judged(self, test_part: str) -> int:
        """How many runs of this storage, this one included, have opened the same test part."""
        self.journal.record("test_part", {"test_part": test_part})
        return sum(other["test_part"] == test_part for other in self.folder.siblings("test_part"))

    def write_report(self) -> Path:
        """Write the manifest into the journal, and the report."""
        self.journal.record("manifest", manifest_of(self))
        return _write_report(self.folder)

    def finish(self, model: TrainedModel, verdict: Verdict, version: int | None) -> Release:
        """Write the release into the journal, the report anew with it, and the manifest last."""
        self.progress.done("register")
        status = "refused" if not verdict.passed else "unregistered" if version is None else "registered"
        release = Release(
            run=self.id,
            status=status,  # type: ignore[arg-type]
            exit=0 if verdict.passed else 7,
            model=f"models:/{self.spec.name}/{version}" if version else None,
            version=version,
            family=str(model.bundle.model["family"]),
            fit=model.choice.as_json(),
            metrics=verdict.evaluation.metrics_as_json(),
            gates=tuple(gate.as_json() for gate in verdict.gates),
            num_trials=len(self.facts["trials"]),
            rows=self.facts["rows"],
            seconds=self.seconds,
            report=f"{self.folder.address}/report.html",
        )
        answer = release.as_json()
        result = {name: answer[name] for name in ("status", "model", "version", "seconds")}
        self.journal.record("manifest", {**manifest_of(self), **result})
        self.journal.record("release", answer)
        write_last_files(self.folder)
        self.release = release
        tell_release(self, release)
        return release

    def read_queries(self) -> None:
        """Read the tables that are queries to Parquet, under the run, unless they are read."""
        if any(is_waiting(table) for table in self.spec.features.all.values()):
            self.progress.stage("read")
            self.spec, facts = with_query_rows(self.spec, self.where, self.folder.write, self.folder.address)
            self.journal.record("queries", facts)

    def begin(self) -> None:
        """Write the spec and what is needed to go on after any interruption; nothing where they are written."""
        if self.journal.recorded("begin") is None:
            text = self.spec.render()
            self.folder.write("spec.yaml", text)
            self.journal.record(
                "begin",
                {
                    "format": FORMAT,
                    "fingerprint": self.spec.fingerprint,
                    "spec_sha256": hashlib.sha256(text.encode()).hexdigest(),
                    "spec": self.spec.as_data(),
                    "base": str(self.spec.folder),
                    "where": self.where.as_stored(self.spec.folder, Path.cwd()),
                    "versions": versions(),
                },
            )


@contextmanager
def open_run(
    spec: SpecLike,
    where: WhereLike = None,
    *,
    progress: Progress | None = None,
    resume_from: RunFolder | None = None,
    debug: bool = False,
) -> Iterator[Run]:
    """Open a run: its folder, its lease, its registry, and a session of Ray.

    What is slow and needs nothing from the stages goes on beside them: the registry, in a process of its own, and the
    imports of libraries.

    Parameters
    ----------
    spec
        What to train: a `Spec`, the path of a spec file, or a mapping with the keys of one. In a mapping, a pandas,
        polars or Arrow table may stand in place of a path.
    where
        On what: a `Where`, or the path or name of a cluster file. This machine unless given, with runs in `runs` of
        the current folder.
    progress
        Shown what goes on.
    resume_from
        The folder of an interrupted run to go on with, or of a rerun; a new run unless given.
    debug
        Lets Ray, Tune and MLflow log.

    Raises
    ------
    PipelineError
        One of its subclasses says whose fault it is; `exit_code` is the contract's.
    """
    where, progress = given_where(where, spec), progress or Progress()
    with ExitStack() as stack:
        stack.enter_context(process_state())
        stack.enter_context(private_files())
        spec = with_feast_tables(given_spec(spec, where).trusting(where.trust), where)
        if absent := spec.not_installed():
            raise SpecError(absent)
        spec = with_fixed_tables(spec, where)
        refuse_impossible(where, spec.search.trials)
        if key := signing_key(spec):
            signature.refuse_unusable(key)
        registry = Registry(where.registry_uri(Path.cwd()), debug=debug, trust_keys=where.key_files())
        folder = resume_from or RunFolder.create(where.storage_folder(Path.cwd()), spec.name, spec.fingerprint)
        run = Run(spec=spec, where=where, folder=folder, registry=registry, progress=progress)
        stack.enter_context(progress.current())
        stack.enter_context(folder.lease(progress.note))
        if resume_from and (release := finished_release(folder)):
            raise AlreadyFinished(release)
        stack.enter_context(lineage(run))
        stack.enter_context(explained(run))
        run.read_queries()
        run.begin()
        if spec.needs_registry:
            run.registry = stack.enter_context(in_own_process(registry))
            run.registry_ready = stack.enter_context(run.registry.preparing())
        stack.enter_context(in_background(_import_libraries))
        run.end_session = stack.enter_context(session(where, debug))
        check_shared_storage(folder.path / "spec.yaml", where, shared=folder.is_remote)
        wait_for_capacity(where)
        import_in_advance(where)
        if spec.search.warm_start == CHAMPION:
            run.registry_ready()
        run.warm_start = find_warm_start(spec, run)
        run.layout = plan_layout(run.journal, where, spec, progress.note)
        progress.stage("read")
        yield run


def began_with(folder: RunFolder) -> tuple[Spec, dict[str, Any]]:
    """The spec and what the run folder keeps of the cluster file that a run began with.

    Raises
    ------
    StorageError
        The journal does not say, or the run folder has another format.
    DataError
        The stored spec was edited since.
    """
    entry, path = folder.journal.recorded("begin"), folder.path / "spec.yaml"
    if entry is None or entry.get("format") != FORMAT:
        found = (
            f"the run folder has format {entry.get('format', 1)}; this version goes on with {FORMAT}"
            if entry
            else "the run has no journal to go on from"
        )
        raise StorageError(Problem(file=folder.address, found=found, fix="start a new run"))
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != entry["spec_sha256"]:
        raise DataError(_edited(path, text, entry["spec"]))
    spec = Spec.from_text(text.decode(), file=str(path), folder=Path(entry["base"]))
    return spec, {**entry["where"], "storage": folder.storage}


def finished_release(folder: RunFolder) -> Release | None:
    """What a complete run has answered; its last files are written if it was cut off just before them."""
    answer, manifest = folder.journal.recorded("release"), folder.journal.recorded("manifest")
    if answer is None or manifest is None:
        return None
    if not (folder.path / "manifest.json").is_file():
        write_last_files(folder)
    return Release.from_json(answer)


def write_last_files(folder: RunFolder) -> None:
    """Write the report, remove what only a resume needs, and write the manifest last."""
    _write_report(folder)
    for leftover in (TUNE_FOLDER, FINAL_FOLDER, TRIALS_FOLDER):
        folder.remove(leftover)
    folder.write_json("manifest.json", folder.journal.recorded("manifest"))


def _write_report(folder: RunFolder) -> Path:
    report = write_report(folder.path)
    for name in (MODEL_CARD, report.name):
        folder.upload(name)
    return report


def _import_libraries() -> None:
    """Import what the stages need, in the order in which they need it; it takes 4 s, while Ray starts.

    The linear baseline needs scikit-learn, so XGBoost, which would import it too, comes after it.
    """
    import optuna  # noqa: F401
    import ray.data  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import xgboost  # noqa: F401
    from ray import tune  # noqa: F401


def _edited(path: Path, text: bytes, before: dict[str, Any]) -> Problem:
    try:
        now = Spec.from_text(text.decode(), file=str(path)).as_data()
        changed = sorted(key for key in {**before, **now} if before.get(key) != now.get(key))
    except (SpecError, UnicodeDecodeError):
        changed = []
    what = f"the keys {listed(changed)} differ" if changed else "its text differs"
    return Problem(
        file=str(path),
        stage="start",
        found=f"the stored spec is not the one that the run began with: {what}",
        fix="restore the file, or start a new run",
    )
