"""An error that nobody expected is one line, and its traceback is in a file."""

import errno
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.unexpected import one_line, unexpected


def from_a_worker(cause: Exception) -> Exception:
    """The error that Ray raises on the driver."""
    text = "\x1b[36mray::task()\x1b[39m (pid=7)\n  File 'a.py', line 3\nValueError: of the worker"
    wrapped: Exception = RayTaskError("task", text, cause).as_instanceof_cause()
    return wrapped


def test_what_a_worker_raised_is_told_without_rays_traceback() -> None:
    error = from_a_worker(ValueError("of the worker"))
    assert "ray::task" in str(error)
    assert one_line(error) == "ValueError: of the worker"
    with pytest.raises(RuntimeError) as outer:
        raise RuntimeError("outside\nsecond") from error
    assert one_line(outer.value) == "RuntimeError: outside"


def test_the_whole_traceback_is_in_the_file_that_the_problem_names(tmp_path: Path) -> None:
    def write(text: str) -> str:
        (tmp_path / "traceback.txt").write_text(text)
        return "the/file"

    error = unexpected(from_a_worker(ValueError("of the worker")), write)
    assert error.exit_code == 1
    assert error.problems[0].found == "a bug of ray-pipeline: ValueError: of the worker"
    assert error.problems[0].fix == "report it with the/file, which holds the traceback"
    assert "File 'a.py', line 3" in (tmp_path / "traceback.txt").read_text()


@pytest.mark.parametrize("refusal", [OSError(errno.ENOSPC, "full"), StorageError(Problem(found="full"))])
def test_a_folder_that_cannot_be_written_is_replaced_by_the_temporary_one(
    refusal: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(text: str) -> str:
        raise refusal

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fix = unexpected(KeyError("x\ud800"), write).problems[0].fix
    (file,) = tmp_path.iterdir()
    assert str(file) in fix and "KeyError" in file.read_text()


def test_without_any_folder_the_fix_is_to_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    assert unexpected(KeyError("x")).problems[0].fix == "run again with --debug and report it"


def test_a_long_message_is_cut_and_an_empty_one_is_the_class() -> None:
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 10_000))) == 300
