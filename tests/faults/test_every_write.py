"""A process that dies before, within or after any durable write of a run: nothing half-written is believed, and the
search goes on to the same decisions."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from encoded_fixture import SPEC, context
from run_fixture import run_at

from ray_pipeline.runs.context import Run
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.storage import local_backend
from ray_pipeline.tuning.pruner import rungs_of
from ray_pipeline.tuning.search import allocate
from ray_pipeline.tuning.time_budget import TimeBudget
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState

MODES = ("before", "torn", "after")


class Died(BaseException):
    """The process has died: what it would still do has no effect."""


@contextmanager
def dies_at(write: int, mode: str) -> Iterator[list[Path]]:
    """In the block the process dies at that write; yields the files that were written, in order.

    `torn`: half of the content is in the temporary file, and it was not synced. `before`: all of it is, but the file
    has no name yet. `after`: it has its name.
    """
    written, dead, replace, fsync = list[Path](), list[bool](), Path.replace, os.fsync

    def is_due() -> bool:
        return len(written) == write

    def synced(number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").readlink()
        if dead:
            raise Died
        if mode == "torn" and is_due() and path.is_file():
            os.truncate(path, path.stat().st_size // 2)
            dead.append(True)
            raise Died
        fsync(number)

    def moved(source: Path, target: Path) -> Path:
        if dead or (mode == "before" and is_due()):
            dead.append(True)
            raise Died
        result = replace(source, target)
        written.append(target)
        if mode == "after" and len(written) == write + 1:
            dead.append(True)
            raise Died
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_backend.os, "fsync", synced)
        patch.setattr(local_backend.Path, "replace", moved)
        # A dead process removes nothing.
        patch.setattr(local_backend.Path, "unlink", _unless(dead, Path.unlink))
        yield written


def _unless(dead: list[bool], call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        return None if dead else call(*args, **kwargs)

    return called


def begun(folder: Path) -> Run:
    """The run in that folder, begun or to be begun."""
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=folder)
    known = sorted(path.name for path in (folder / "runs").glob("*") if (path / "spec.yaml").is_file())
    run = run_at(folder / "runs", spec, folder=RunFolder.open(folder / "runs", known[0]) if known else None)
    run.begin()
    return run


def searched(run: Run) -> list[int]:
    """Run the search to its end; the trials that were trained."""
    store = TrialStore(
        allocate(run.spec, context(rows=100), None),
        lambda budget: rungs_of(budget, False),
        run,
        TimeBudget.of(run.spec),
    )
    ran = []
    while (config := store.ask()) is not None:
        ran.append(config["trial"])
        best = (config["trial"] * 5 + 3) % 7 / 10
        model = b"model %d" % config["trial"]
        store.report(config["trial"], 0, TrialState(rounds=40, best=best, best_rounds=40, ended=True, model=model))
    return ran


def content(run: Run) -> dict[str, Any]:
    """What the run has decided, without times."""
    models = {file.parent.name: file.read_bytes() for file in run.folder.path.glob("trials/*/model.*")}
    return {"models": models, **{step: run.journal.recorded(step) for step in run.journal.steps("trial-")}}


def test_a_process_that_dies_at_any_write_costs_at_most_the_trial_that_it_wrote(tmp_path: Path) -> None:
    with dies_at(-1, "never") as written:
        whole = begun(tmp_path / "whole")
        searched(whole)
    wanted, writes = content(whole), len(written)
    assert writes >= 2 + len(wanted)  # spec, begin, the trials and their models
    for write in range(writes):
        for mode in MODES:
            folder = tmp_path / f"{write}-{mode}"
            with dies_at(write, mode), pytest.raises(Died):
                searched(begun(folder))
            recorded = {path.name for path in folder.glob("runs/*/journal/trial-*.json")}
            run = begun(folder)
            assert len(list(folder.glob("runs/*/spec.yaml"))) == 1
            ran = {f"trial-{trial:04d}.json" for trial in searched(run)}
            assert ran & recorded == set(), (write, mode)
            found = content(run)
            # The model of a trial that another one has beaten may be left; it goes with the folder of all of them.
            assert wanted["models"].items() <= found.pop("models").items(), (write, mode)
            assert found == {step: entry for step, entry in wanted.items() if step != "models"}, (write, mode)
