"""If others use all CPUs of a cluster, a run says so within the deadline, and its probe leaves nothing behind."""

import time
from datetime import timedelta

import pytest

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
    capacity.wait_for_capacity(Where())
    ray.kill(held)
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU", 0.0) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    capacity.wait_for_capacity(where)
