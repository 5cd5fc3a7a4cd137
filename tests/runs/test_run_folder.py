"""A run's files appear whole or not at all; its id is its own, and it is found by id, path or URI."""

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ray_pipeline.errors import StorageError
from ray_pipeline.runs.run_folder import RunFolder

FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "loans", FINGERPRINT)


def test_creators_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: RunFolder.create(tmp_path, "loans", FINGERPRINT).run, range(24)))
    assert sorted(runs) == sorted(f"loans-01234567-{n}" for n in range(1, 25))


def test_the_next_number_follows_the_highest_and_other_names_do_not_count(tmp_path: Path) -> None:
    for name in ("loans-01234567-7", "loans-01234567-x", "loans-ffffffff-40", "loans-01234567-12-old"):
        (tmp_path / name).mkdir()
    assert RunFolder.create(tmp_path, "loans", FINGERPRINT).run == "loans-01234567-8"


def test_a_submitted_run_takes_the_id_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_PIPELINE_RUN_ID", "loans-01234567-3")
    assert RunFolder.create(tmp_path, "loans", FINGERPRINT).run == "loans-01234567-3"


def test_a_storage_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write: Not a directory") as told:
        RunFolder.create(tmp_path / "file" / "runs", "loans", FINGERPRINT)
    assert told.value.exit_code == 6 and told.value.problems[0].key == "storage"


def test_a_write_that_fails_leaves_what_was_there_before(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.write("kept.txt", "before")
    monkeypatch.setattr(os, "fsync", full)
    for name in ("kept.txt", "new.txt"):
        with pytest.raises(StorageError, match="cannot write: No space left on device") as told:
            folder.write(name, "after")
        assert told.value.exit_code == 6 and told.value.problems[0].file == str(folder.path / name)
    with pytest.raises(StorageError):
        folder.journal.record("search", {"best": 1})
    assert (folder.path / "kept.txt").read_text() == "before"
    assert not (folder.path / "new.txt").exists()
    assert folder.journal.recorded("search") is None and folder.journal.steps("") == []


def test_a_run_is_opened_by_id_or_path_and_the_nearest_are_offered(folder: RunFolder) -> None:
    folder.write("spec.yaml", "name: loans\n")
    storage = folder.path.parent
    assert (
        RunFolder.open(storage, folder.run).path
        == RunFolder.open(storage / "elsewhere", str(folder.path)).path
        == folder.path.absolute()
    )
    with pytest.raises(StorageError, match="did you mean 'loans-01234567-1'") as told:
        RunFolder.open(storage, "loans-01234567-2")
    assert told.value.exit_code == 6 and "among the 1 here" in str(told.value)
    with pytest.raises(StorageError, match="name one of loans-01234567-1"):
        RunFolder.open(storage, "zzz")
    with pytest.raises(StorageError, match="is not a run folder: it has no spec"):
        RunFolder.open(storage, str(storage))
    with pytest.raises(StorageError, match="start one with"):
        RunFolder.open(storage / "elsewhere", "loans")


def test_json_files_are_whole_and_hold_no_number_that_json_has_not(folder: RunFolder) -> None:
    path = folder.write_json("deep/er.json", {"a": (1, math.nan), 2: math.inf})
    assert json.loads(path.read_text()) == {"a": [1, None], "2": None}
    assert [file.name for file in (folder.path / "deep").iterdir()] == ["er.json"]


def test_removing_a_folder_removes_all_of_it_and_nothing_else(folder: RunFolder) -> None:
    for name in ("trials/0001/model.ubj", "trials/0002/model.ubj", "trials.jsonl"):
        folder.write(name, "x")
    folder.remove("trials/0001")
    assert [path.name for path in (folder.path / "trials").iterdir()] == ["0002"]
    folder.remove("trials")
    folder.remove("trials")
    assert not (folder.path / "trials").exists() and (folder.path / "trials.jsonl").exists()


def test_a_name_that_leads_out_of_the_run_is_refused(folder: RunFolder) -> None:
    for name in ("../other/spec.yaml", "/tmp/spec.yaml", "model/../../spec.yaml", ""):
        with pytest.raises(StorageError, match="is not a key"):
            folder.write(name, "x")
