"""A run's files appear whole or not at all, and the journal is believed only where its hash agrees."""

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.errors import StorageError
from ray_pipeline.runs.run_folder import RunFolder, plain

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
    with pytest.raises(StorageError, match="cannot write here: Not a directory") as told:
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
        folder.record("search", {"best": 1})
    assert (folder.path / "kept.txt").read_text() == "before"
    assert not (folder.path / "new.txt").exists() and folder.recorded("search") is None and folder.steps("") == []


def test_a_journal_entry_is_read_back_and_not_believed_once_changed(folder: RunFolder) -> None:
    found = {"rows": 12, "names": ["ü", "b"], "share": 0.1, "nothing": None}
    folder.record("profile", found)
    path = folder.path / "journal" / "profile.json"
    assert folder.recorded("profile") == found
    text = path.read_text()
    for changed in (
        text.replace('"rows": 12', '"rows": 13'),
        text[:-20],
        text.replace("sha256", "sha"),
        "[]",
        "{}",
        "null",
        "",
    ):
        path.write_text(changed)
        assert folder.recorded("profile") is None
    path.write_text(text)
    assert folder.recorded("profile") == found
    assert folder.recorded("never") is None


def test_steps_are_listed_by_prefix(folder: RunFolder) -> None:
    for step in ("trial-2", "trial-1", "fit"):
        folder.record(step, {})
    assert folder.steps("trial-") == ["trial-1", "trial-2"]


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


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda s: st.one_of(st.lists(s, max_size=4), st.dictionaries(st.text(max_size=3), s, max_size=4)),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_as_json_is_strict_json_of_the_same_value(value: object) -> None:
    def finite(value: object) -> object:
        if isinstance(value, list):
            return [finite(item) for item in value]
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    assert json.loads(json.dumps(plain(value), allow_nan=False)) == finite(value)


def test_json_files_are_read_back_and_absent_ones_are_none(folder: RunFolder) -> None:
    folder.write_json("deep/er.json", {"a": (1, math.nan), 2: math.inf})
    assert folder.read_json("deep/er.json") == {"a": [1, None], "2": None}
    assert folder.read_json("absent.json") is None
    assert [path.name for path in (folder.path / "deep").iterdir()] == ["er.json"]
