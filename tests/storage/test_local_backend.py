"""Plain files: what is left of dead writers goes, symbolic links do not lead out, and folders in use stay."""

import errno
import fcntl
import os
import shutil
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from storage_fixture import workers

from ray_pipeline.errors import StorageError
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.storage.local_backend import MAX_TEMPORARY_AGE_S, LocalBackend


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
    ],
)
def test_a_failed_write_says_what_helps_and_leaves_nothing(
    local: BlobStore, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    local.write("run/a", b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=f"{local.root}/run/a: .*cannot write: {os.strerror(number)}") as refused:
        local.write("run/a", b"after")
    assert remedy in refused.value.problems[0].fix
    assert ("space" in refused.value.problems[0].fix) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert local.read("run/a") == b"before" and list(Path(local.root, ".tmp").iterdir()) == []


def test_content_and_names_are_synced_before_a_write_returns(local: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = list[str](), os.fsync

    def note(number: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        fsync(number)

    local.write("first", b"")
    monkeypatch.setattr(os, "fsync", note)
    local.write("run/journal/read.json", b"{}")
    root = os.path.realpath(local.root)
    assert synced[0].startswith(f"{root}/.tmp/") and synced[1:] == [root, f"{root}/run", f"{root}/run/journal"]


def test_files_of_dead_writers_go_once_they_are_old(local: BlobStore) -> None:
    folder = Path(local.root, ".tmp")
    folder.mkdir(parents=True)
    for name, age_s in (("old", MAX_TEMPORARY_AGE_S + 60), ("young", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    (folder / "removed").mkdir()
    (folder / "removed" / "block").write_bytes(b"")
    os.utime(folder / "removed", (0, 0))
    local.write("a", b"1")
    assert [path.name for path in folder.iterdir()] == ["young"]
    assert local.keys() == ["a"] and local.folders() == []


def test_a_symbolic_link_does_not_lead_out_of_the_root(local: BlobStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    local.write("run/a", b"1")
    Path(local.root, "run", "link").symlink_to(outside)
    Path(local.root, "run", "file").symlink_to(outside / "secret")
    for key in ("run/link/secret", "run/file", "run/link/new"):
        calls = (local.read, local.exists, local.remove, local.read_sealed, lambda key: local.write(key, b"x"))
        for call in calls:
            with pytest.raises(StorageError, match="leads out of the storage folder"):
                call(key)
    assert local.keys() == ["run/a"]
    local.remove("run")
    assert (outside / "secret").read_text() == "secret" and local.keys() == []


def test_the_root_itself_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "real")
    store = BlobStore(str(tmp_path / "runs"))
    store.write("a/b", b"1")
    assert store.read("a/b") == b"1" and store.keys() == ["a/b"] and (tmp_path / "real/a/b").is_file()


def test_a_write_succeeds_while_another_process_removes_the_folder(local: BlobStore) -> None:
    over = threading.Event()

    def remove() -> None:
        while not over.is_set():
            local.remove("cache")

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(60):
            local.write("cache/set/block", b"1")
    finally:
        over.set()
        thread.join()
    assert local.keys() in ([], ["cache/set/block"])


def test_a_folder_that_may_not_be_listed_is_an_error_and_not_empty(
    local: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.write("run/a", b"1")

    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    for call in (local.keys, local.folders):
        with pytest.raises(StorageError, match="cannot list: Permission denied"):
            call()


def test_the_least_recently_used_folders_go_first(local: BlobStore) -> None:
    for age_s, name in enumerate(("d", "c", "b", "a")):
        local.write(f"{name}/block", b"1")
        os.utime(Path(local.root, name), (1e9 - age_s,) * 2)
    for age_s, name in enumerate(("a", "c")):  # not in the order in which they were made
        with local.use(name):
            os.utime(Path(local.root, ".use", name), (2e9 - age_s,) * 2)
    assert (local.evict(4), local.evict(2)) == ([], ["b", "d"])  # each holds one byte
    os.utime(Path(local.root, ".use", "a"), (1, 1))
    with local.use("a"):
        os.utime(Path(local.root, ".use", "c"), (2, 2))
    assert local.evict(1) == ["c"] and local.evict(0) == ["a"] and local.keys() == []


def test_a_folder_that_another_process_removes_meanwhile_is_no_error(
    local: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = LocalBackend.sizes

    def removed_meanwhile(backend: LocalBackend) -> dict[str, int]:
        found = sizes(backend)
        shutil.rmtree(backend.root / "a")
        return found

    for name in ("a", "b"):
        local.write(f"{name}/block", b"1")
    monkeypatch.setattr(LocalBackend, "sizes", removed_meanwhile)
    local.evict(1)
    assert local.folders() == ["b"]


def test_a_folder_in_use_stays_until_its_users_have_ended(local: BlobStore) -> None:
    for name in ("a", "b"):
        local.write(f"{name}/block", b"1")
    with workers(2, local.root) as (first, second):
        assert (first.ask("use", "a"), second.ask("use", "a")) == ("used", "used")
        with local.use("b"):
            assert local.evict(0) == [] and local.folders() == ["a", "b"]
        assert local.evict(0) == ["b"]
        assert second.ask("release") == "released" and local.evict(0) == []
        first.kill()
        assert local.evict(0) == ["a"]


def test_a_folder_can_be_made_and_used_again_after_its_eviction(local: BlobStore) -> None:
    for _ in range(3):
        with local.use("a"):
            local.write("a/block", b"1")
            assert local.evict(0) == [] and local.exists("a/block")
        assert local.evict(0) == ["a"] and not local.exists("a/block")


def test_a_marker_that_an_eviction_removes_before_it_is_locked_is_made_again(
    local: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, flock = Path(local.root, ".use", "a"), fcntl.flock

    def late(file: IO[str], operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        marker.unlink()
        flock(file, operation)

    local.write("a/block", b"1")
    monkeypatch.setattr(fcntl, "flock", late)
    with local.use("a"):
        assert local.evict(0) == [] and marker.exists()


def test_a_bucket_evicts_nothing(remote: BlobStore) -> None:
    remote.write("a/block", b"1")
    with remote.use("a"):
        assert remote.evict(0) == [] and remote.folders() == ["a"]
