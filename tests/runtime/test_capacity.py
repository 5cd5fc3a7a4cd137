"""If no worker can begin, a run says so within the deadline: others use all CPUs, or each worker dies at its start."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime import capacity
from ray_pipeline.spec.where import Where


def test_a_full_cluster_is_refused_and_a_free_one_is_not(ray_local: None) -> None:
    import ray

    class Other:
        def here(self) -> bool:
            return True

    held = ray.remote(Other).options(num_cpus=2).remote()
    assert ray.get(held.here.remote())
    where = Where(address="head:6379")
    impatient = where.model_copy(update={"start_within": timedelta(seconds=3)})
    with pytest.raises(ResourceError, match=r"no CPU of the cluster at 'head:6379' became free within 3s: 0 of 2 are"):
        capacity.wait_for_capacity(impatient)
    here = Where().model_copy(update={"start_within": timedelta(seconds=3)})
    with pytest.raises(ResourceError, match=r"did anything within 3s: 0 of 2 CPUs are free") as full:
        capacity.wait_for_capacity(here, "try again")
    assert str(full.value).endswith("end what else uses the Ray of this process, then try again")
    ray.kill(held)
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU", 0.0) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    capacity.wait_for_capacity(where)


DIES = """
import os, sys

if sys.orig_argv[-1].endswith("worker_imports") or any(word.endswith("setup_worker.py") for word in sys.orig_argv):
    os._exit(3)
"""
"""A `sitecustomize` with which neither the fork server lives nor a worker that Ray starts by its own command."""


@pytest.mark.ray
@pytest.mark.long
def test_a_run_whose_workers_all_die_at_their_start_ends_with_a_message(loans: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    (tmp_path / "dies").mkdir()
    (tmp_path / "dies" / "sitecustomize.py").write_text(DIES)
    (tmp_path / "on.yaml").write_text("start_within: 10s\n")
    write_spec(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", "run", "loans.yaml", "--on", "on.yaml", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "dies")},
        capture_output=True,
        text=True,
        timeout=200,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    (problem,) = answer["problems"]
    assert (done.returncode, answer["exit"]) == (4, 4)
    assert "no worker of this machine's Ray did anything within 10s" in problem["found"]
    assert "ulimit -u" in problem["fix"] and "ray-pipeline resume" in problem["fix"]
    assert "Traceback" not in done.stderr
