"""The journal: what it says is read back, and believed only where its hash agrees."""

from pathlib import Path

import pytest

from ray_pipeline.runs.run_folder import RunFolder

FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "loans", FINGERPRINT)


def test_a_journal_entry_is_read_back_and_not_believed_once_changed(folder: RunFolder) -> None:
    found = {"rows": 12, "names": ["ü", "b"], "share": 0.1, "nothing": None}
    folder.journal.record("profile", found)
    path = folder.path / "journal" / "profile.json"
    assert folder.journal.recorded("profile") == found
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
        assert folder.journal.recorded("profile") is None
    path.write_text(text)
    assert folder.journal.recorded("profile") == found
    assert folder.journal.recorded("never") is None


def test_an_entry_of_bytes_that_are_no_text_is_not_believed(folder: RunFolder) -> None:
    folder.journal.record("profile", {"rows": 12})
    (folder.path / "journal" / "profile.json").write_bytes(b"\xff\xfe{")
    assert folder.journal.recorded("profile") is None


def test_steps_are_listed_by_prefix(folder: RunFolder) -> None:
    for step in ("trial-2", "trial-1", "fit"):
        folder.journal.record(step, {})
    assert folder.journal.steps("trial-") == ["trial-1", "trial-2"]


def test_what_other_runs_of_the_storage_have_recorded_is_found_but_not_what_is_damaged(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path / "runs", "loans", FINGERPRINT) for _ in range(4)]
    for number, run in enumerate(runs[:3]):
        run.journal.record("test_part", {"test_part": number})
    (runs[1].path / "journal" / "test_part.json").write_text("{}")
    assert [other["test_part"] for other in runs[3].siblings("test_part")] == [0, 2]
