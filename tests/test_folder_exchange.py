"""A folder is replaced whole: a reader finds the one before or the new one, and nothing is left beside it."""

import threading
from pathlib import Path

import pytest

from ray_pipeline import folder_exchange
from ray_pipeline.folder_exchange import put_in_place


def made(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "file").write_text(text)
    return folder


def test_there_is_always_a_folder(tmp_path: Path) -> None:
    folder, ended, absent = made(tmp_path / "model", "0"), threading.Event(), 0

    def look() -> None:
        nonlocal absent
        while not ended.is_set():
            absent += not folder.exists()

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(300):
        put_in_place(made(tmp_path / "fresh", str(number)), folder)
    ended.set()
    reader.join()
    assert absent == 0
    assert (folder / "file").read_text() == "299" and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("before", [True, False])
def test_a_system_that_cannot_exchange_names_gets_the_new_folder_too(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_exchange, "exchange", lambda *_: False)
    if before:
        made(tmp_path / "model", "old")
    put_in_place(made(tmp_path / "fresh", "new"), tmp_path / "model")
    assert (tmp_path / "model" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
