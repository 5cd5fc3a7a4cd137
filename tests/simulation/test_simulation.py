"""Histories with crashes, pauses and lost messages keep every invariant, and a planted fault breaks its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from simulated_history import History, simulated
from simulated_world import Violated

from ray_pipeline.registry import publish
from ray_pipeline.registry.versions import versions_of_run
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.storage import lease as lease_module
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.tuning.trial_store import TrialStore

HISTORIES = 200
FIRST = 1000
FAILED_ONCE = (59, 71, 83, 131, 101_070)
"""Seeds of real faults: a copy of a run that was older than its lease, and a version that was created twice."""
SEARCHED = 400
"""A planted fault must show within so many histories."""
Play = Callable[[int], History]


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    with simulated() as played:
        yield played


def test_every_history_keeps_every_invariant_and_ends(play: Play, fault_seed: int) -> None:
    crashed, first = 0, FIRST + HISTORIES * fault_seed
    for seed in (*FAILED_ONCE, *range(first, first + HISTORIES)):
        history = play(seed)
        assert len(history.done) == 2, seed
        crashed += any(process.dead for process in history.world.processes)
    assert crashed > HISTORIES // 10


def test_a_seed_is_one_history(play: Play) -> None:
    first, again = play(7), play(7)
    assert first.world.log == again.world.log
    assert first.bucket.objects.keys() == again.bucket.objects.keys()
    assert first.world.log != play(8).world.log


def _with_an_old_copy(patch: pytest.MonkeyPatch) -> None:
    """A process goes on with the copy that it made before it had the lease."""

    @contextmanager
    def lease(folder: RunFolder, on_wait: Callable[[str], None]) -> Iterator[None]:
        with folder.store.lease(f"{folder.run}/journal/lease", on_wait=on_wait) as folder._lease:
            yield
        folder._lease = None

    patch.setattr(RunFolder, "lease", lease)


def _with_a_version_for_each_process(patch: pytest.MonkeyPatch) -> None:
    """A version is made without a look at those that are there."""
    patch.setattr(publish, "version_of_run", lambda *_: None)
    patch.setattr(publish, "_only_version", lambda client, new: versions_of_run(client, new.name, new.run)[-1])


def _with_an_early_alias(patch: pytest.MonkeyPatch) -> None:
    """A version has its alias before it is proved."""
    create = publish._create_version

    def created(client: Any, run_id: str, bundle: Any, new: Any) -> Any:
        version = create(client, run_id, bundle, new)
        client.set_registered_model_alias(new.name, new.alias, version.version)
        return version

    patch.setattr(publish, "_create_version", created)


def _with_a_journal_in_memory(patch: pytest.MonkeyPatch) -> None:
    """An entry of a trial is only in the copy of this machine."""
    write = BlobStore.write

    def written(store: BlobStore, key: str, content: bytes) -> str:
        return "" if "://" in store.root and "journal/trial-0003" in key else write(store, key, content)

    patch.setattr(BlobStore, "write", written)


def _with_an_impatient_lease(patch: pytest.MonkeyPatch) -> None:
    """The holder believes longer in its lease than others do."""
    patch.setattr(lease_module, "MARGIN_S", -20.0)


def _with_a_forgetful_search(patch: pytest.MonkeyPatch) -> None:
    """A resumed search does not believe its journal."""
    patch.setattr(TrialStore, "_replay", lambda *_: False)


@pytest.mark.parametrize(
    ("plant", "violation", "first"),
    [
        (_with_a_forgetful_search, "is finished, and process", 0),
        (_with_a_version_for_each_process, "versions", 0),
        (_with_an_early_alias, "which is incomplete", 0),
        (_with_a_journal_in_memory, "is lost", 0),
        (_with_an_old_copy, "is lost", 60),
        (_with_an_impatient_lease, "both hold", 80),
    ],
)
def test_a_planted_fault_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], violation: str, first: int, play: Play
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Violated, match=violation):
        plant(patch)
        for seed in range(first, first + SEARCHED):
            play(seed)
