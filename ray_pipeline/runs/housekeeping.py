"""The runs of a storage: state, age and size of each; and their removal, which never touches a run under way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ray_pipeline.runs.journal import JOURNAL, content_of, written_at
from ray_pipeline.runs.run_folder import KEPT, KEPT_STEPS
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.storage.lease import Owner

STEPS = ("begin", "release", "problem")
State = Literal["registered", "refused", "unregistered", "running", "interrupted", "failed"]
COMPLETE: tuple[State, ...] = ("registered", "refused", "unregistered")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What `runs list` shows of a run."""

    run: str
    state: State
    """As it ended; `failed` with an error, `interrupted` by a signal or without a word."""
    started: datetime | None
    """In UTC; None if it never began."""
    num_bytes: int
    model: str | None
    exit: int | None
    """The exit code that it ended with; None while it runs, or if it ended without a word."""
    owner: str | None
    """The process that works on it now."""

    @property
    def is_complete(self) -> bool:
        """Whether it came to its end, so that nothing is left to resume."""
        return self.state in COMPLETE

    def as_json(self) -> dict[str, Any]:
        """One run of `runs list --json`."""
        return {
            "run": self.run,
            "state": self.state,
            "started": self.started and self.started.isoformat(),
            "bytes": self.num_bytes,
            "model": self.model,
            "exit": self.exit,
            "owner": self.owner,
        }


def runs_in(store: BlobStore) -> list[RunSummary]:
    """Every run of a storage, the oldest first."""
    sizes = {folder: size for folder, size in store.sizes().items() if not folder.startswith(".")}
    keys = [f"{run}/{JOURNAL}/{name}" for run in sizes for name in ("lease", *(f"{step}.json" for step in STEPS))]
    found = iter(store.read_many(keys))
    read = {run: [next(found) for _ in range(1 + len(STEPS))] for run in sizes}
    # Other folders may stand beside the runs, such as that of MLflow's artifacts.
    runs = [_summary(run, sizes[run], *files) for run, files in read.items() if any(files[:2])]
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(runs, key=lambda one: (one.started or never, one.run))


def _summary(
    run: str, num_bytes: int, lease: bytes | None, begin: bytes | None, release: bytes | None, problem: bytes | None
) -> RunSummary:
    answer, ended = (content_of(entry) if entry else None for entry in (release, problem))
    owner = Owner.parsed(lease or b"")
    holds = owner is not None and not owner.released and owner.is_alive() is not False
    state: State = "running" if holds else "failed" if ended and ended["exit"] != 130 else "interrupted"
    if answer and not holds:
        state = answer["status"]
    return RunSummary(
        run=run,
        state=state,
        started=written_at(begin) if begin else None,
        num_bytes=num_bytes,
        model=(answer or {}).get("model"),
        exit=None if holds else (answer or ended or {}).get("exit"),
        owner=str(owner) if holds else None,
    )


def remove_run(store: BlobStore, run: str, on_wait: Callable[[str], None] | None = None) -> None:
    """Remove a run. That it has opened the test part is kept, because later runs on the same rows count it.

    Raises
    ------
    ResourceError
        A process works on it.
    """
    with store.lease(f"{run}/{JOURNAL}/lease", on_wait=on_wait) as lease:
        for step in KEPT_STEPS:
            (entry,) = store.read_many([f"{run}/{JOURNAL}/{step}.json"])
            if entry is not None:
                store.write(f"{KEPT}/{run}/{step}.json", entry)
        lease.check()
        store.remove(run)


def removable(runs: list[RunSummary], older_than_s: float, *, complete: bool) -> list[RunSummary]:
    """The runs that began more than so many seconds ago and have ended; complete ones only where asked for."""
    now = datetime.now(UTC)
    return [
        one
        for one in runs
        if one.state != "running"
        and (complete or not one.is_complete)
        and one.started is not None
        and (now - one.started).total_seconds() >= older_than_s
    ]
