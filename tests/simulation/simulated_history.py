"""One history: two runs of one model, each begun and resumed by processes that die, until both are registered.

The product's own classes run: store, lease, run folder, journal, trial store with its sampler and pruner, and the steps
of a registration. The clock, the bucket, the processes, MLflow's client and the training are simulated.
"""

import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from encoded_fixture import SPEC, context
from mlflow.exceptions import MlflowException
from simulated_services import TAG, Bucket, Registry
from simulated_world import Process, Violated, World, threading_in

from ray_pipeline.errors import PipelineError, RegistryError, ResourceError, StorageError
from ray_pipeline.plain_json import json_digest
from ray_pipeline.registry import champion_history, publish
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.runs import context as runs_context
from ray_pipeline.runs import journal as journal_module
from ray_pipeline.runs import run_folder
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.journal import Journal
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.storage import lease as lease_module
from ray_pipeline.storage import local_backend
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.tuning.pruner import rungs_of
from ray_pipeline.tuning.search import allocate
from ray_pipeline.tuning.time_budget import TimeBudget
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState

STORAGE, MODEL, MACHINES = "s3://simulated/runs", "toy", 3
TRIALS, SLOTS = 5, 2
FILES = ("bundle", "code")
"""Those of a version."""
TEXT = re.sub(r"trials: \d+", f"trials: {TRIALS}, searcher: random", SPEC)


class History:
    """What has happened, and what must hold after every step."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.world = World(seed)
        self.bucket, self.registry = Bucket(self.world), Registry(self.world)
        self.folder = folder
        self.leases: list[tuple[Process, Any, str]] = []
        self.finished: dict[tuple[str, int], int] = {}
        self.journal: dict[tuple[str, str], str] = {}
        self.proved: dict[tuple[str, str], str] = {}
        self.done: set[str] = set()
        self.world.watchers += [self.check_leases, self.check_aliases, self.check_versions]

    def play(self) -> "History":
        """Let it happen; raise `Violated` where an invariant does not hold."""
        self.world.start(MACHINES, self._operate)
        self.world.run()
        self.check_end()
        return self

    # --- what the processes do

    def _operate(self, operator: Process) -> None:
        """Start two runs and resume them, now and then twice at once, until both are done."""
        world, runs = self.world, [f"{MODEL}-{number}" for number in range(2)]
        started: dict[str, list[Process]] = {run: [] for run in runs}
        while len(self.done) < len(runs):
            for run in runs:
                alive = [process for process in started[run] if not (process.ended or process.dead)]
                wanted = 1 if run not in self.done else 0
                wanted += int(bool(started[run]) and world.random.random() < 0.02)
                if len(alive) < wanted:
                    machine = world.random.randrange(MACHINES)
                    started[run].append(world.start(machine, lambda process, run=run: self._process(process, run)))
            world.sleep(world.random.uniform(0.5, 8))

    def _process(self, process: Process, run: str) -> None:
        """One process of `run` or `resume`; what it cannot do is done by the next one."""
        process.run = run
        try:
            self._pipeline(process, run)
        except (ResourceError, StorageError, RegistryError, MlflowException) as error:
            self.world.say(f"{run} ends: {error}")

    def _pipeline(self, process: Process, name: str) -> None:
        """What a run does, from its folder to its version; as `open_run` and the page do it."""
        known = BlobStore(STORAGE).exists(f"{name}/spec.yaml")
        folder = RunFolder.open(STORAGE, name) if known else RunFolder(BlobStore(STORAGE), name)
        with folder.lease(self.world.say):
            lease = folder._lease
            self.leases.append((process, lease, name))
            if self._holds(process):
                self.check_journal(folder, name)
            if folder.journal.recorded("release"):
                self._note_done(name)
                return
            run = Run(
                spec=spec(),
                where=Where(storage=STORAGE, registry="http://registry"),
                folder=folder,
                registry=None,  # type: ignore[arg-type]
                progress=Progress(),
            )
            run.begin()
            self._search(process, run, name)
            version = self._register(run, name)
            folder.journal.record("release", {"version": version})
            self._note_done(name)

    def _note_done(self, name: str) -> None:
        self.world.say(f"{name} is done")
        self.done.add(name)

    def _search(self, process: Process, run: Run, name: str) -> None:
        allocation = allocate(run.spec, context(rows=100), None)
        store = TrialStore(allocation, lambda budget: rungs_of(budget, halving=True), run, TimeBudget.of(run.spec))
        slots: list[tuple[dict[str, Any], int]] = []
        while store.pending() or slots:
            while len(slots) < SLOTS and (config := store.ask()) is not None:
                if self.finished.get((name, config["trial"])) and self._holds(process):
                    raise Violated(f"trial {config['trial']} of {name} is finished, and process {process.pid} runs it")
                slots.append((config, 0))
            config, rung = slots.pop(self.world.random.randrange(len(slots)))
            self.world.sleep(self.world.random.uniform(0, 3))
            self.world.step()
            if self.world.chance("lost"):  # the slot has died before the trial began
                if rung == 0:
                    store.ask_again(config["trial"])
                else:
                    slots.append((config, rung))  # and the trial goes on from its last rung
                continue
            if store.report(config["trial"], rung, trained(config, rung)):
                slots.append((config, rung + 1))
            if self._holds(process):
                for trial in allocation.results:
                    self.finished.setdefault((name, trial), process.pid)

    def _register(self, run: Run, name: str) -> int:
        bundle = SimpleNamespace(fingerprint=json_digest(name), model={"family": "xgboost"})
        new = NewVersion(
            name=MODEL,
            run=name,
            alias="champion" if name.endswith("0") else "challenger",
            bundle_folder=run.folder.path,
            sample=None,  # type: ignore[arg-type]
            scores=None,  # type: ignore[arg-type]
            scorecard={"passed": True},
            spec_text=TEXT,
            tags={},
            metrics={},
            params={},
            lineage={},
        )
        return publish.publish(self.registry, "http://registry", None, bundle, new)  # type: ignore[arg-type]

    # --- what must hold

    def _holds(self, process: Process) -> bool:
        """Whether a process may think that it holds its lease now."""
        for owner, lease, _ in self.leases:
            if owner is process and not lease._over.is_set_now:
                with suppress(PipelineError):
                    lease.check()
                    return True
        return False

    def check_leases(self) -> None:
        """A lease never has two holders."""
        holders: dict[str, int] = {}
        for process, lease, name in self.leases:
            if process.dead or process.ended or lease._over.is_set_now or not self._holds(process):
                continue
            if name in holders:
                raise Violated(f"processes {holders[name]} and {process.pid} both hold {name}")
            holders[name] = process.pid

    def check_aliases(self) -> None:
        """An alias never points at an incomplete version, or at files that were not proved."""
        for model in self.registry.models.values():
            for alias, number in model.aliases.items():
                version = self.registry.versions.get((model.name, number))
                status = version and version.tags[f"{TAG}status"]
                if status not in ("verified", "registered"):
                    raise Violated(f"{alias} points at version {number}, which is {status}")
                assert version is not None
                if sha256(self.registry.files.get(version.run_id, {})) != version.tags[f"{TAG}sha256"]:
                    raise Violated(f"{alias} points at version {number}, whose files are not the ones that were proved")

    def check_versions(self) -> None:
        """A logical run never has two finished versions."""
        runs = [
            version.tags[f"{TAG}run"]
            for version in self.registry.versions.values()
            if version.tags[f"{TAG}status"] in ("verified", "registered")
        ]
        if len(runs) != len(set(runs)):
            raise Violated(f"a run has two versions: {runs}")

    def check_journal(self, folder: RunFolder, name: str) -> None:
        """No entry of the journal is lost: who holds the run finds all that were written."""
        for (run, step), digest in self.journal.items():
            if run == name:
                found = folder.journal.recorded(step)
                if found is None or json_digest(found) != digest:
                    raise Violated(f"the entry {step} of {name} is {'lost' if found is None else 'another one'}")

    def check_end(self) -> None:
        """At the end each run has one version, and the bucket has the whole journal."""
        runs = sorted(version.tags[f"{TAG}run"] for version in self.registry.versions.values())
        if runs != sorted(self.done):
            raise Violated(f"the runs {sorted(self.done)} have versions of {runs}")
        for (run, step), digest in self.journal.items():
            content, _ = self.bucket.objects.get(f"{run}/journal/{step}.json", (b"{}", 0))
            if json_digest(json.loads(content).get("found")) != digest:
                raise Violated(f"the entry {step} of {run} is lost")

    def recorded(self, folder: RunFolder, step: str, content: Any) -> None:
        """Note an entry that was written by a process which still holds the run."""
        task = self.world.current
        if task is not None and self._holds(task.process):
            self.journal[folder.run, step] = json_digest(content)


def trained(config: dict[str, Any], rung: int) -> TrialState:
    """What a worker answers: a score and a model that follow from the hyperparameters alone."""
    digest = json_digest([config["params"], rung])
    last = rung == len(config["rungs"]) - 1
    rounds = config["rungs"][rung][0]
    return TrialState(
        rounds=rounds,
        best=int(digest[:6], 16) / 16**6,
        best_rounds=rounds,
        seconds=1.0,
        ended=last,
        model=digest.encode() if last else b"",
    )


def sha256(files: dict[str, bytes]) -> str:
    """One digest of names and contents."""
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


@functools.cache
def spec() -> Spec:
    """The spec of both runs."""
    return Spec.from_text(TEXT, file="toy.yaml", folder=Path("/"))


class Now:
    """The history that goes on, for the patches."""

    history: History


def _world() -> World:
    return Now.history.world


def _process() -> Process:
    task = _world().current
    assert task is not None
    return task.process


def _patched_lease(patch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, _: int) -> None:
        known = [process for process in _world().processes if process.pid == pid]
        if not known or known[0].dead or known[0].ended:
            raise ProcessLookupError

    system = SimpleNamespace(getpid=lambda: _process().pid, kill=kill, path=os.path)
    patch.setattr(lease_module, "os", system)
    for module in (lease_module, journal_module, champion_history):
        patch.setattr(module, "datetime", JumpingClock)
    patch.setattr(lease_module, "threading", threading_in(_world))
    patch.setattr(lease_module, "time", SimpleNamespace(sleep=lambda seconds: _world().sleep(seconds)))
    patch.setattr(lease_module, "_now", lambda: _world().now)
    patch.setattr(lease_module, "_kernel", lambda: f"machine-{_process().machine}")
    patch.setattr(lease_module, "_process_start", lambda pid: pid)


class JumpingClock(datetime):
    """The wall clock of a machine that somebody sets now and then, also back."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "JumpingClock":
        moment = datetime.fromtimestamp(_world().now + _world().clock.choice([0, 0, 3600, -86400, 86400 * 365]), tz)
        return cls.combine(moment.date(), moment.timetz())


def _patched_registration(patch: pytest.MonkeyPatch) -> None:
    def pack(bundle: Any, sample: Any, scores: Any, folder: Path) -> Path:
        for name in FILES:
            (folder / name).write_text(f"{name} of {bundle.fingerprint}")
        return folder

    def verify(files: dict[str, bytes], process: None, *, fingerprint: str | None, shipped: bool) -> dict[str, str]:
        _world().step()
        if len(files) != len(FILES):
            raise RegistryError([])
        return {"sha256": sha256(files)}

    patch.setattr(publish.package, "pack", pack)
    patch.setattr(publish.verify, "verify", verify)
    patch.setattr(publish.verify, "scoring_process", nullcontext)
    patch.setattr(publish, "_log_files", lambda client, run_id, new: None)
    patch.setattr(publish, "_stored", lambda client, run_id: dict(client.files.get(run_id, {})))
    patch.setattr(champion_history, "user_name", lambda: "me")


@contextmanager
def simulated() -> Iterator[Callable[[int], History]]:
    """In the block, the product's classes run in the simulated world; yield a function that plays a history."""
    root = Path(tempfile.mkdtemp(prefix="simulated-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    count = iter(range(10**9))

    def working_folder(run: str) -> Path:
        folder = root / "work" / str(next(count)) / run
        folder.mkdir(parents=True)
        return folder

    def record(journal: Journal, step: str, content: Any) -> None:
        written(journal, step, content)
        Now.history.recorded(journal.folder, step, content)

    def play(seed: int) -> History:
        Now.history = History(seed, root)
        try:
            return Now.history.play()
        finally:
            shutil.rmtree(root / "work", ignore_errors=True)

    written = Journal.record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "record", record)
        patch.setattr(run_folder, "_working_folder", working_folder)
        patch.setattr(Spec, "render", lambda given: TEXT)  # half of the time of a history
        patch.setattr(runs_context, "versions", dict)
        patch.setattr(local_backend.os, "fsync", lambda number: None)
        backend = BlobStore.__dict__["_backend"].func
        shared = lambda store: Now.history.bucket if "://" in store.root else backend(store)  # noqa: E731
        patch.setattr(BlobStore, "_backend", property(shared))
        _patched_lease(patch)
        _patched_registration(patch)
        try:
            yield play
        finally:
            shutil.rmtree(root, ignore_errors=True)
