"""From cores, GPUs and what the cluster file asks for: how many slots, workers and threads. Refuses what cannot be,
with the arithmetic."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.session import available_cpus
from ray_pipeline.spec.where import Where

SHARE = 0.5
"""Of a node's memory that the workers on it may fill with rows, unless said: the rest is for the object store and the
processes."""


@dataclass(frozen=True)
class Layout:
    """Slots x workers x threads; the manifest records it, because models repeat byte for byte for equal workers x
    threads only."""

    slots: int
    workers: int
    threads: int
    gpus: float
    fit_threads: int
    """Threads of the final fit, which has the cluster's largest node to itself."""
    memory: float = math.inf
    """Bytes that one worker may hold of the rows it trains on; what needs more is paged from its node's disk."""

    def worker_resources(self) -> dict[str, float]:
        """What one worker reserves in Ray."""
        return {"CPU": self.threads, **({"GPU": self.gpus} if self.gpus else {})}

    def slot_resources(self) -> dict[str, float]:
        """What Tune reserves for one slot: all of it where it trains itself, and next to nothing where its workers
        reserve for themselves."""
        return (
            self.worker_resources() if self.workers == 1 else {"memory": 1}
        )  # Tune refuses an actor that needs nothing


def refuse_impossible(where: Where, trials: int) -> None:
    """Raises `ResourceError` before anything starts, where this machine alone decides."""
    if where.address == "local":
        layout_on_this_machine(where, trials, gpus=math.inf)  # Ray will find them


def layout_on_this_machine(where: Where, trials: int, gpus: float | None = None) -> Layout:
    """The layout on a Ray that is yet to start here, with all cores and, unless said, NVIDIA's GPUs of this machine."""
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if gpus is None else gpus
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return compute_layout(where, available_cpus(), gpus, trials, memory=memory)


def layout_on_cluster(where: Where, trials: int) -> Layout:
    """The layout on the cluster that this process is connected to."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    largest: dict[str, float] = max(nodes, key=lambda node: node.get("CPU", 0.0), default={})
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    return compute_layout(where, cpus, gpus, trials, largest.get("CPU", 0.0), memory=largest.get("memory", math.inf))


def compute_layout(
    where: Where, cpus: float, gpus: float, trials: int, largest_node: float | None = None, *, memory: float = math.inf
) -> Layout:
    """How the search is laid out; `memory` are the bytes of a node. Raises `ResourceError` (exit 4) if not even one
    trial fits."""
    threads = 1 if where.cpus_per_worker == "auto" else int(where.cpus_per_worker)
    workers = 1 if where.workers_per_trial == "auto" else int(where.workers_per_trial)
    per_worker_gpus = 0.0 if where.gpus_per_worker == "auto" else float(where.gpus_per_worker)
    node = int(largest_node or cpus)
    asked = workers * threads
    if threads > node or asked > cpus:
        raise ResourceError(
            Problem(
                key="cpus_per_worker" if threads > node else "workers_per_trial",
                stage="plan",
                found=(
                    f"one trial asks for {workers} worker{'s' * (workers > 1)} x {threads} CPUs = {asked}, but there"
                    f" are {cpus:g} CPUs (the largest node has {node})"
                ),
                fix=f"ask for at most {node} CPUs per worker, or run on a larger cluster",
            )
        )
    if workers * per_worker_gpus > gpus:
        raise ResourceError(
            Problem(
                key="gpus_per_worker",
                stage="plan",
                found=f"one trial asks for {workers * per_worker_gpus:g} GPUs, but there are {gpus:g}",
                fix="leave `gpus_per_worker` out, or run where GPUs are",
            )
        )
    fit = int(cpus // asked)
    if per_worker_gpus:
        fit = int(min(fit, gpus / (workers * per_worker_gpus)))
    most = fit if where.concurrent_trials == "auto" else int(where.concurrent_trials)
    if most > fit:
        raise ResourceError(
            Problem(
                key="concurrent_trials",
                stage="plan",
                found=(
                    f"{most} trials at once ask for {most} x {asked} = {most * asked} CPUs, but there are {cpus:g}"
                    if not per_worker_gpus
                    else (
                        f"{most} trials at once ask for {most * asked} CPUs and {most * workers * per_worker_gpus:g}"
                        f" GPUs, but there are {cpus:g} and {gpus:g}"
                    )
                ),
                fix=f"ask for at most {fit}",
            )
        )
    slots = max(1, min(most, trials))
    on_a_node = max(1, min(slots * workers, node // threads))
    asked_memory = memory * SHARE / on_a_node if where.memory == "auto" else float(where.memory)
    if asked_memory * on_a_node > memory:
        raise ResourceError(
            Problem(
                key="memory",
                stage="plan",
                found=(
                    f"{on_a_node} workers on a node ask for {on_a_node} x {shown(asked_memory)}, but it has"
                    f" {shown(memory)}"
                ),
                fix=f"ask for at most {shown(memory / on_a_node)}, or for fewer trials at once",
            )
        )
    return Layout(
        slots=slots, workers=workers, threads=threads, gpus=per_worker_gpus, fit_threads=node, memory=asked_memory
    )


def shown(num_bytes: float) -> str:
    """The bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"
