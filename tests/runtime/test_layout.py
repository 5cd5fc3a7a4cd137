"""Slots, workers and threads are plain arithmetic; what does not fit is refused with the numbers."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import write_spec

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime.layout import Layout, Node, compute_layout, refuse_impossible
from ray_pipeline.runtime.this_machine import available_cpus
from ray_pipeline.spec.where import Where


def where(**written: Any) -> Where:
    return Where.model_validate(written)


def nodes(cpus: float, gpus: float = 0, largest: float | None = None, memory: float = math.inf) -> list[Node]:
    """One node, or one of `largest` CPUs with all GPUs and others with the rest."""
    if largest is None:
        return [Node(cpus, gpus, memory)]
    rest = cpus - largest
    return [Node(largest, gpus, memory), *(Node(min(largest, rest - at)) for at in range(0, int(rest), int(largest)))]


@pytest.mark.parametrize(
    ("written", "cpus", "gpus", "trials", "node", "expected"),
    [
        ({}, 8, 0, 30, None, Layout(8, 1, 1, 0.0, 8)),
        ({}, 8, 0, 3, None, Layout(3, 1, 1, 0.0, 8)),
        ({}, 24, 0, 30, 16, Layout(24, 1, 1, 0.0, 16)),
        ({"cpus_per_worker": 3}, 8, 0, 30, None, Layout(2, 1, 3, 0.0, 8)),
        ({"cpus_per_worker": 2, "workers_per_trial": 2}, 10, 0, 30, 4, Layout(2, 2, 2, 0.0, 4)),
        ({"workers_per_trial": 2}, 2, 0, 30, None, Layout(1, 2, 1, 0.0, 1)),
        ({"workers_per_trial": 2}, 10, 0, 30, 8, Layout(5, 2, 1, 0.0, 4)),
        ({"workers_per_trial": 2}, 16, 0, 30, 8, Layout(8, 2, 1, 0.0, 8)),
        ({"concurrent_trials": 2}, 8, 0, 30, None, Layout(2, 1, 1, 0.0, 8)),
        ({"gpus_per_worker": 1}, 16, 2, 30, None, Layout(2, 1, 1, 1.0, 16)),
        ({"gpus_per_worker": 0.4}, 16, 3, 30, None, Layout(6, 1, 1, 0.4, 16)),
        ({"gpus_per_worker": 0.5, "cpus_per_worker": 4}, 16, 1, 30, None, Layout(2, 1, 4, 0.5, 16)),
        ({}, 1, 0, 0, None, Layout(1, 1, 1, 0.0, 1)),
    ],
)
def test_a_cluster_is_laid_out_as_the_arithmetic_says(
    written: Any, cpus: float, gpus: float, trials: int, node: float | None, expected: Layout
) -> None:
    assert compute_layout(where(**written), nodes(cpus, gpus, node), trials) == expected


@pytest.mark.parametrize(
    ("written", "cpus", "gpus", "node", "key", "text"),
    [
        (
            {"cpus_per_worker": 16},
            8,
            0,
            None,
            "cpus_per_worker",
            "1 worker x 16 CPUs = 16, but there are 8 CPUs (the largest node has 8)",
        ),
        (
            {"cpus_per_worker": 6},
            8,
            0,
            4,
            "cpus_per_worker",
            "1 worker x 6 CPUs = 6, but there are 8 CPUs (the largest node has 4)",
        ),
        (
            {"cpus_per_worker": 2, "workers_per_trial": 5},
            8,
            0,
            None,
            "workers_per_trial",
            "5 workers x 2 CPUs = 10, but there are 8 CPUs",
        ),
        ({"gpus_per_worker": 1}, 8, 0, None, "gpus_per_worker", "asks for 1 GPUs, but there are 0"),
        (
            {"gpus_per_worker": 0.5, "workers_per_trial": 3},
            8,
            1,
            None,
            "gpus_per_worker",
            "asks for 1.5 GPUs, but there are 1",
        ),
        (
            {"concurrent_trials": 5, "cpus_per_worker": 2},
            8,
            0,
            None,
            "concurrent_trials",
            "5 trials at once ask for 5 x 2 = 10 CPUs, but there are 8",
        ),
        (
            {"concurrent_trials": 3, "gpus_per_worker": 1},
            16,
            2,
            None,
            "concurrent_trials",
            "ask for 3 CPUs and 3 GPUs, but there are 16 and 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    written: Any, cpus: float, gpus: float, node: float | None, key: str, text: str
) -> None:
    with pytest.raises(ResourceError) as refused:
        compute_layout(where(**written), nodes(cpus, gpus, node), 30)
    (problem,) = refused.value.problems
    assert refused.value.exit_code == 4 and (problem.key, problem.stage) == (key, "plan")
    assert text in problem.found and problem.fix


@given(
    st.integers(1, 64),
    st.integers(0, 8),
    st.integers(1, 100),
    st.integers(1, 8),
    st.integers(1, 4),
    st.sampled_from([0, 0.25, 1]),
)
def test_no_layout_asks_for_more_than_there_is(
    cpus: int, gpus: int, trials: int, threads: int, workers: int, per_worker: float
) -> None:
    asked = where(cpus_per_worker=threads, workers_per_trial=workers, gpus_per_worker=per_worker)
    try:
        layout = compute_layout(asked, nodes(cpus, gpus), trials)
    except ResourceError:
        assert workers * threads > cpus or workers * per_worker > gpus
        return
    assert (
        1 <= layout.slots <= trials
        and layout.slots * workers * threads <= cpus
        and layout.slots * workers * per_worker <= gpus
        and layout.fit_threads * workers <= cpus
    )
    full = (
        layout.slots == trials
        or (layout.slots + 1) * workers * threads > cpus
        or (layout.slots + 1) * workers * per_worker > gpus
    )
    assert full and layout.worker_resources() == {"CPU": threads, **({"GPU": per_worker} if per_worker else {})}


@pytest.mark.parametrize(
    ("written", "cluster", "expected"),
    [
        ({}, [Node(16, 1)], Layout(4, 1, 1, 0.25, 16)),
        ({}, [Node(2, 1)], Layout(2, 1, 1, 0.25, 2)),
        ({}, [Node(64), Node(8, 2)], Layout(8, 1, 1, 0.25, 8)),  # the fit needs a node with a GPU
        ({"concurrent_trials": 8}, [Node(16, 1)], Layout(8, 1, 1, 1 / 8, 16)),
        ({"workers_per_trial": 2}, [Node(16, 2), Node(16, 2)], Layout(2, 2, 1, 1.0, 16)),
        ({"workers_per_trial": 2}, [Node(16, 1)], Layout(8, 2, 1, 0.0, 8)),  # NCCL takes no GPU twice
        ({"cpus_per_worker": 8}, [Node(16), Node(4, 1)], Layout(2, 1, 8, 0.0, 16)),
        ({"gpus_per_worker": 0}, [Node(16, 1)], Layout(16, 1, 1, 0.0, 16)),
        ({}, [Node(16)], Layout(16, 1, 1, 0.0, 16)),
    ],
)
def test_by_default_a_family_that_uses_gpus_gets_a_part_of_one(
    written: Any, cluster: list[Node], expected: Layout
) -> None:
    assert compute_layout(where(**written), cluster, 30, uses_gpu=True) == expected
    without = compute_layout(where(**{"gpus_per_worker": 0, **written}), cluster, 30)
    assert compute_layout(where(**written), cluster, 30, uses_gpu=False) == without


def test_workers_that_no_node_has_room_for_are_refused() -> None:
    with pytest.raises(ResourceError, match="asks for 2 x 4 CPUs, and the nodes have room for 1 of them"):
        compute_layout(where(cpus_per_worker=4, workers_per_trial=2), [Node(6), Node(3)], 30)
    assert compute_layout(where(cpus_per_worker=4), [Node(6), Node(6)], 30).slots == 2


def test_this_machine_refuses_before_anything_starts_and_leaves_gpus_to_ray() -> None:
    with pytest.raises(ResourceError, match="cpus_per_worker"):
        refuse_impossible(where(cpus_per_worker=available_cpus() + 1), 5)
    refuse_impossible(where(gpus_per_worker=1), 5)
    refuse_impossible(where(address="auto", cpus_per_worker=99_999), 5)
    assert compute_layout(where(gpus_per_worker=1), nodes(4, math.inf), 9).slots == 4


def test_memory_is_shared_by_the_workers_of_a_node_and_not_promised_twice() -> None:
    assert compute_layout(where(), nodes(8, memory=64e9), 30).memory == 64e9 / 2 / 8
    assert compute_layout(where(cpus_per_worker=4), nodes(8, memory=64e9), 30).memory == 64e9 / 2 / 2
    assert compute_layout(where(memory="4GiB"), nodes(8, memory=64e9), 30).memory == 4 * 2**30
    with pytest.raises(ResourceError, match=r"8 workers on a node ask for 8 x 17.2 GB, but it has 64 GB") as refused:
        compute_layout(where(memory="16GiB"), nodes(8, memory=64e9), 30)
    assert refused.value.problems[0].key == "memory"


def planned(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", "plan", *words, "--json"], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_plan_shows_the_arithmetic_from_footers(loans: Path) -> None:
    code, answer, text = planned(loans, str(write_spec(loans)))
    assert code == 0 and answer["status"] == "ok" and answer["exit"] == 0
    labels, rates = answer["tables"]["labels"], answer["tables"]["rates"]
    assert answer["rows"] == labels["rows"] == 6_000 and labels["join"] is None and rates["join"]["how"] == "broadcast"
    assert 0 < labels["bytes_read"] <= labels["bytes_on_disk"]
    assert answer["worker_bytes"] == 6_000 * (answer["columns"] * 2.5 + 52) and not answer["external_memory"]
    assert answer["slots"] * answer["workers"] * answer["threads"] <= available_cpus()
    assert f"6,000 rows x ({answer['columns']} columns x 2.5 bytes + 52)" in text and "trials at once" in text


def test_plan_says_what_is_paged_from_disk_and_refuses_what_fits_nowhere(loans: Path, tmp_path: Path) -> None:
    spec = str(write_spec(loans))
    (tmp_path / "small.yaml").write_text("memory: 100KB\n")
    (tmp_path / "wide.yaml").write_text("cpus_per_worker: 4096\n")
    code, answer, text = planned(loans, spec, "--on", str(tmp_path / "small.yaml"))
    assert code == 0 and answer["external_memory"] and "bins are paged from disk" in text
    code, answer, text = planned(loans, spec, "--on", str(tmp_path / "wide.yaml"))
    assert code == answer["exit"] == 4 and "4096" in answer["problems"][0]["found"]
    code, answer, _ = planned(loans, str(tmp_path / "absent.yaml"))
    assert code == answer["exit"] == 2
