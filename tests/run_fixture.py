"""The context of a run without a pipeline around it: a real folder, journal and registry on a temporary folder."""

from pathlib import Path

from ray_pipeline.registry.registry import Registry
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where


def layout(slots: int = 1, workers: int = 1) -> Layout:
    """Slots of workers with one thread each."""
    return Layout(slots=slots, workers=workers, threads=1, gpus=0.0, fit_threads=1)


def run_at(
    storage: Path,
    spec: Spec,
    *,
    slots: int = 1,
    workers: int = 1,
    folder: RunFolder | None = None,
    progress: Progress | None = None,
) -> Run:
    """The context of a new run of that spec, or of the one in that folder."""
    where = Where(storage=str(storage))
    run = Run(
        spec=spec,
        where=where,
        folder=folder or RunFolder.create(storage, spec.name, spec.fingerprint),
        registry=Registry(where.registry_uri(storage)),
        progress=progress or Progress(),
    )
    run.layout = layout(slots, workers)
    return run


class Told(Progress):
    """Keeps the notes and the finished trials that it is shown."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notes: list[str] = []
        self.trials: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def trial(self, done: int, total: int | None, best: float | None, metric: str, *more: object) -> None:  # type: ignore[override]
        self.trials.append(done)
