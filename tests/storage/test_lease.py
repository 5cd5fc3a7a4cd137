"""One holder at a time: between processes, machines, killed holders and lost answers, locally and in a bucket."""

import os
import signal
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from job_fixture import wait_until
from storage_fixture import Worker, set_pace, workers

from ray_pipeline.errors import ResourceError, StorageError
from ray_pipeline.storage import lease as lease_module
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.storage.bucket_backend import BucketBackend
from ray_pipeline.storage.lease import BucketLease, Lease

if TYPE_CHECKING:
    from obstore import UpdateVersion


@pytest.mark.slow
def test_twenty_processes_race_and_one_at_a_time_holds_the_lease(store: BlobStore, tmp_path: Path) -> None:
    with workers(20, store.root) as racers:
        for turn in range(5):
            for racer in racers:
                racer.send("take", f"run-{turn}/lease")
            answers = [racer.answer() for racer in racers]
            assert answers.count("held") == 1
            holder = racers[answers.index("held")].process.pid
            refusals = [answer for answer in answers if answer != "held"]
            assert all(f"is held by process {holder} on {os.uname().nodename} since 20" in text for text in refusals)
            for racer in racers:
                assert racer.ask("release") == "released"
        _count(racers, store, tmp_path / "witness")


def test_no_count_is_lost_where_six_machines_count_under_one_lease(remote: BlobStore, tmp_path: Path) -> None:
    with workers(6, remote.root, "machine") as racers:
        _count(racers, remote, tmp_path / "witness")


def _count(racers: list[Worker], store: BlobStore, witness: Path) -> None:
    for racer in racers:
        racer.send("count", "counter", 3, witness)
    assert {racer.answer() for racer in racers} == {"counted"}
    assert int(store.read("counter")) == 3 * len(racers)


def test_the_death_of_a_holder_on_this_host_frees_the_lease_at_once(store: BlobStore) -> None:
    with workers(1, store.root) as (holder,):
        assert holder.ask("take", "run/lease") == "held"
        with pytest.raises(ResourceError, match=f"held by process {holder.process.pid}"), store.lease("run/lease"):
            pass
        holder.process.kill()
        os.waitid(os.P_PID, holder.process.pid, os.WEXITED | os.WNOWAIT)  # a zombie: nobody has waited for it
        began, told = time.monotonic(), list[str]()
        with store.lease("run/lease", told.append) as lease:
            lease.check()
            assert time.monotonic() - began < 2 and not told


def test_a_live_lease_is_refused_within_two_seconds_with_its_owner(store: BlobStore) -> None:
    with store.lease("run/lease") as lease:
        began = time.monotonic()
        with pytest.raises(ResourceError) as refused, store.lease("run/lease"):
            pass
        assert time.monotonic() - began < 2
        lease.check()
    (problem,) = refused.value.problems
    assert (refused.value.exit_code, problem.file) == (4, f"{store.root}/run/lease")
    assert f"process {os.getpid()} on {os.uname().nodename} since 20" in problem.found and "resume" in problem.fix


def test_a_released_lease_is_free_at_once_and_an_error_inside_releases_it(store: BlobStore) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), store.lease("run/lease"):
            raise ZeroDivisionError


@pytest.mark.parametrize("pace", [0.3, pytest.param(1.0, marks=pytest.mark.long)])
def test_the_death_of_a_holder_on_another_machine_frees_the_lease_after_its_time(
    remote: BlobStore, pace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_pace(monkeypatch, pace)
    with workers(1, remote.root, "machine", pace) as (holder,):
        assert holder.ask("take", "run/lease") == "held"
        told: list[str] = []
        alive = pytest.raises(ResourceError, match=f"held by process {holder.process.pid}")  # for it renews
        with alive, remote.lease("run/lease", told.append):
            pass
        holder.kill()
        began = time.monotonic()
        with remote.lease("run/lease", told.append) as lease:
            waited = time.monotonic() - began
            lease.check()
    assert 15 * pace <= waited < 20 * pace
    assert len(told) == 2 and f"process {holder.process.pid}" in told[0] and f"wait up to {15 * pace:g} s" in told[0]


def test_a_holder_that_was_stopped_knows_that_another_took_its_lease(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_pace(monkeypatch, 0.2)
    with workers(1, remote.root, "machine", 0.2) as (holder,):
        assert (holder.ask("take", "run/lease"), holder.ask("check")) == ("held", "held")
        holder.process.send_signal(signal.SIGSTOP)
        with remote.lease("run/lease") as lease:
            holder.process.send_signal(signal.SIGCONT)
            assert holder.ask("check") == "lost"
            assert holder.ask("release") == "released"  # and takes nothing from the new holder
            lease.check()
            with pytest.raises(ResourceError), remote.lease("run/lease"):
                pass


def test_a_holder_that_cannot_renew_gives_up_before_others_may_take_over(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = lease_module._now
    with remote.lease("run/lease") as lease:
        monkeypatch.setattr(lease_module, "_now", lambda: now() + 10)
        lease.check()
        monkeypatch.setattr(lease_module, "_now", lambda: now() + 14)
        with pytest.raises(ResourceError, match="lost") as lost:
            lease.check()
        assert lost.value.exit_code == 4


def test_a_holder_whose_object_was_replaced_or_removed_knows_it(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_pace(monkeypatch, 0.02)
    for change in (lambda: remote.write("run/lease", b"{}"), lambda: remote.remove("run/lease")):
        with remote.lease("run/lease") as lease:
            change()
            wait_until(lambda held=lease: _is_lost(held), 20)


def test_a_local_holder_whose_file_was_removed_knows_it(local: BlobStore) -> None:
    with local.lease("run/lease") as lease:
        local.remove("run")
        with pytest.raises(ResourceError, match="lost"):
            lease.check()
        with local.lease("run/lease") as second:
            second.check()
            with pytest.raises(ResourceError, match="lost"):
                lease.check()


def test_a_lease_is_renewed_for_as_long_as_it_is_held(remote: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _at_pace(monkeypatch, 0.1)
    with remote.lease("run/lease") as lease:
        seen: set[bytes] = set()
        wait_until(lambda: seen.add(remote.read("run/lease")) or len(seen) > 4, 30)
        lease.check()


def test_a_write_whose_answer_was_lost_still_counts(remote: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    swap, turn = BucketBackend.swap, count()

    def lossy(
        self: BucketBackend, key: str, content: bytes, version: "UpdateVersion | None", timeout_s: float = 9
    ) -> "UpdateVersion | None":
        written = swap(self, key, content, version, timeout_s)
        return written if next(turn) % 2 else None  # as where the request was sent a second time

    _at_pace(monkeypatch, 0.05)
    monkeypatch.setattr(BucketBackend, "swap", lossy)
    with remote.lease("run/lease") as lease:
        wait_until(lambda: b'"renewals": 4' in remote.read("run/lease"), 20)
        lease.check()
    assert b'"released": true' in remote.read("run/lease")


def test_an_object_store_without_conditional_writes_is_refused(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    put = obstore.put_async
    monkeypatch.setattr(obstore, "put_async", lambda *words, mode=None, **options: put(*words, **options))
    with pytest.raises(StorageError, match="ignores If-None-Match"), remote.lease("run/lease"):
        pass


def test_a_pid_that_another_process_got_later_is_not_the_owner(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = lease_module.replace(lease_module.Owner.this_process(), process_start=1)
    assert earlier.is_alive() is False
    remote.write("run/lease", earlier.content())
    with remote.lease("run/lease") as lease:
        lease.check()


def test_a_lease_object_that_nobody_can_read_is_taken_over_after_its_time(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_pace(monkeypatch, 0.05)
    remote.write("run/lease", b"\0 not JSON")
    told: list[str] = []
    with remote.lease("run/lease", told.append) as lease:
        lease.check()
    assert "a process that has not written its name" in told[0]


def test_the_thread_of_a_lease_ends_with_it(remote: BlobStore) -> None:
    with remote.lease("run/lease") as lease:
        assert isinstance(lease, BucketLease) and lease._thread.is_alive()
    assert not lease._thread.is_alive()


def _at_pace(monkeypatch: pytest.MonkeyPatch, pace: float) -> None:
    for name in ("TTL_S", "RENEW_S", "MARGIN_S", "POLL_S", "RETRY_S"):
        monkeypatch.setattr(lease_module, name, getattr(lease_module, name))  # put back at the end
    set_pace(lease_module, pace)


def _is_lost(lease: Lease) -> bool:
    try:
        lease.check()
    except ResourceError:
        return True
    return False
