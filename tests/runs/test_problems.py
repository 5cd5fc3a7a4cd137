"""What ends a run early: a problem with the run's id, and for a bug the traceback in the run folder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ray_pipeline.errors import PipelineError
from ray_pipeline.runs.problems import explained
from ray_pipeline.runs.run_folder import RunFolder


def test_an_unexpected_error_leaves_its_traceback_in_the_run_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "loans", "abcdef0123")
    run = cast(Any, SimpleNamespace(folder=folder, id=folder.run, journal=folder.journal))
    with pytest.raises(PipelineError) as raised, explained(run):
        raise ZeroDivisionError("by zero")
    assert raised.value.exit_code == 1 and raised.value.answer == {"run": folder.run}
    (problem,) = raised.value.problems
    assert problem.found == "a bug of ray-pipeline: ZeroDivisionError: by zero"
    assert f"{folder.address}/traceback.txt" in problem.fix
    assert "ZeroDivisionError: by zero" in (folder.path / "traceback.txt").read_text()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert folder.journal.recorded("problem")["problems"][0]["found"] == problem.found
