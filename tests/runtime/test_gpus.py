"""A node has a GPU that a library cannot use: by default the run trains on CPUs and says so; asked for, it is refused.

This machine needs no GPU, and must have none: the node only says that it has one.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import Model

pytestmark = pytest.mark.skipif(any(Path("/proc/driver/nvidia/gpus").glob("*")), reason="this machine has a GPU")


@pytest.mark.parametrize(("family", "said"), [("mlp", "CUDA|NVIDIA"), ("xgboost", "CUDA|no GPU")])
def test_a_family_says_that_there_is_no_gpu(family: str, said: str) -> None:
    pytest.importorskip(find("models", family).library)
    with pytest.raises((AssertionError, RuntimeError), match=said):
        find("models", family).try_gpu()


def test_families_that_train_on_cpus_try_nothing() -> None:
    tried: list[type[Model]] = [find("models", name) for name in ("linear", "lightgbm", "catboost")]
    assert not any(family.uses_gpu for family in tried)


@pytest.mark.ray
@pytest.mark.slow
def test_a_gpu_that_cannot_be_used_is_left_alone_by_default_and_refused_where_it_is_asked_for(
    loans: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    command = [sys.executable, str(Path(__file__).parents[1] / "gpus_run.py"), str(write_spec(tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["auto"]["gpus"], said["auto"]["slots"]) == (0.0, 2)
    (note,) = said["auto"]["notes"]
    assert note.startswith("a GPU is there and left alone: xgboost cannot use it: ")
    assert said["0"] == {**said["auto"], "notes": []}
    assert (said["1"]["key"], said["1"]["stage"]) == ("gpus_per_worker", "plan")
    assert said["1"]["found"].startswith("the GPU: xgboost cannot use it") and said["1"]["fix"]
