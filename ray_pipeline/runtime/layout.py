"""Computes how many slots, workers and threads a search uses, from the nodes' CPUs and GPUs and the cluster file.

What does not fit is refused with the arithmetic.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ray_pipeline.byte_size import byte_size
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.this_machine import available_cpus, available_gpus
from ray_pipeline.spec.where import Where

MEMORY_SHARE = 0.5
"""The part of a node's memory that its workers may fill with rows by default; the rest is for the object store and for
the processes."""
TRIALS_PER_GPU = 4
"""Trials that share a GPU by default."""


@dataclass(frozen=True)
class Layout:
    """Slots x workers x threads. The manifest records it, because a model's bytes depend on workers and threads.

    Attributes
    ----------
    slots
        Trials that train at the same time.
    workers
        Workers that train one trial together.
    threads
        Threads, and CPUs, of each worker.
    gpus
        GPUs of each worker; a fraction shares one.
    fit_threads
        Threads of each worker of the final fit, which has the cluster to itself; one worker has its largest node.
    memory
        Bytes of training rows that one worker may hold. If the rows need more, they are paged from the node's disk.
    """

    slots: int
    workers: int
    threads: int
    gpus: float
    fit_threads: int
    memory: float = math.inf

    def worker_resources(self) -> dict[str, float]:
        """What one worker reserves in Ray."""
        return {"CPU": self.threads, **({"GPU": self.gpus} if self.gpus else {})}

    def slot_resources(self) -> dict[str, float]:
        """What Tune reserves for one slot.

        A slot with one worker trains in its own process and reserves the worker's resources. With several workers, each
        reserves its own; the slot reserves one byte of memory, because Tune refuses an actor that needs nothing.
        """
        return self.worker_resources() if self.workers == 1 else {"memory": 1}


@dataclass(frozen=True)
class Node:
    """What one node has.

    Attributes
    ----------
    cpus, gpus
        Its CPUs and GPUs, as Ray counts them.
    memory
        Its bytes of memory.
    """

    cpus: float
    gpus: float = 0.0
    memory: float = math.inf

    def workers(self, layout: Layout) -> int:
        """How many workers of this layout fit on the node. A part of a GPU is a part of one GPU."""
        by_cpus = self.cpus // layout.threads
        if not layout.gpus:
            return int(by_cpus)
        by_gpus = self.gpus / layout.gpus if layout.gpus >= 1 else self.gpus * math.floor(1 / layout.gpus + 1e-9)
        return int(min(by_cpus, by_gpus))


def refuse_impossible(where: Where, trials: int) -> None:
    """Refuses before anything starts what cannot fit on this machine, if the run stays on it.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    if where.address == "local":
        layout_on_this_machine(where, trials, gpus=math.inf)  # Ray will count them


def layout_on_this_machine(where: Where, trials: int, *, gpus: float | None = None, uses_gpu: bool = False) -> Layout:
    """The layout on a Ray that will start here, with all cores and by default all NVIDIA GPUs of this machine.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    gpus = available_gpus() if gpus is None else gpus
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return compute_layout(where, [Node(available_cpus(), gpus, memory)], trials, uses_gpu=uses_gpu)


def layout_on_cluster(where: Where, trials: int, *, uses_gpu: bool) -> Layout:
    """The layout on the cluster that this process is connected to.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = [Node(of.get("CPU", 0.0), of.get("GPU", 0.0), of.get("memory", math.inf)) for of in alive]
    return compute_layout(where, nodes, trials, uses_gpu=uses_gpu)


def compute_layout(where: Where, nodes: Sequence[Node], trials: int, *, uses_gpu: bool = False) -> Layout:
    """The layout that the cluster file asks for; by default as many slots of one worker and one thread as fit.

    By default `TRIALS_PER_GPU` trials share a GPU where a node has one and a family trains on it.

    Parameters
    ----------
    where
        The cluster file.
    nodes
        What each node has.
    trials
        Trials of the search; more slots would stay empty.
    uses_gpu
        Whether one of the families trains on a GPU.

    Raises
    ------
    ResourceError
        If not even one trial fits, or if the cluster file asks for more than there is.
    """
    threads = 1 if where.cpus_per_worker == "auto" else int(where.cpus_per_worker)
    workers = 1 if where.workers_per_trial == "auto" else int(where.workers_per_trial)
    one = Layout(slots=1, workers=workers, threads=threads, gpus=0.0, fit_threads=0)
    if where.gpus_per_worker != "auto":
        one = replace(one, gpus=float(where.gpus_per_worker))
    elif uses_gpu:
        on_gpus = replace(one, gpus=_share_of_gpu(where, workers, sum(node.gpus for node in nodes)))
        one = on_gpus if sum(node.workers(on_gpus) for node in nodes) >= workers else one
    usable = [node for node in nodes if node.gpus] if one.gpus else nodes
    largest = max(usable or nodes, key=lambda node: node.cpus, default=Node(0.0))
    _refuse_large_trial(one, nodes, int(largest.cpus))
    one = replace(one, fit_threads=_fit_threads(one, nodes, int(largest.cpus)))
    slots = max(1, min(_slots(where, one, nodes), trials))
    on_a_node = max(1, min(slots * workers, largest.workers(one)))
    return replace(one, slots=slots, memory=_worker_memory(where, on_a_node, largest.memory))


def _share_of_gpu(where: Where, workers: int, gpus: float) -> float:
    """The part of a GPU for each worker of one trial: NCCL refuses two workers of one model on the same GPU."""
    if workers > 1:
        return 1.0
    asked = 1 if where.concurrent_trials == "auto" else math.ceil(int(where.concurrent_trials) / max(gpus, 1.0))
    return 1 / max(asked, TRIALS_PER_GPU)


def _fit_threads(one: Layout, nodes: Sequence[Node], most: int) -> int:
    """The most threads with which all workers of a final fit have room at the same time."""
    for threads in range(most, one.threads, -1):
        if sum(node.workers(replace(one, threads=threads)) for node in nodes) >= one.workers:
            return threads
    return one.threads


def _refuse_large_trial(one: Layout, nodes: Sequence[Node], node: int) -> None:
    """Raises `ResourceError` if one trial does not fit; the largest node has `node` CPUs."""
    asked = one.workers * one.threads
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    if one.threads > node or asked > cpus:
        found = (
            f"one trial asks for {one.workers} worker{'s' * (one.workers > 1)} x {one.threads} CPUs = {asked}, but"
            f" there are {cpus:g} CPUs (the largest node has {node})"
        )
        key = "cpus_per_worker" if one.threads > node else "workers_per_trial"
        raise _refused(key, found, f"ask for at most {node} CPUs per worker, or run on a larger cluster")
    if one.workers * one.gpus > gpus:
        found = f"one trial asks for {one.workers * one.gpus:g} GPUs, but there are {gpus:g}"
        raise _refused("gpus_per_worker", found, "remove `gpus_per_worker`, or run on a cluster with GPUs")
    fit = sum(each.workers(one) for each in nodes)
    if fit < one.workers:
        gpu = f" and {one.gpus:g} GPUs" if one.gpus else ""
        found = f"one trial asks for {one.workers} x {one.threads} CPUs{gpu}, and the nodes have room for {fit} of them"
        raise _refused("workers_per_trial", found, f"ask for at most {fit} workers, or for less for each")


def _slots(where: Where, one: Layout, nodes: Sequence[Node]) -> int:
    """How many trials train at the same time; raises `ResourceError` if the cluster file asks for more than fit."""
    asked = one.workers * one.threads
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    fit = sum(node.workers(one) for node in nodes) // one.workers
    slots = fit if where.concurrent_trials == "auto" else int(where.concurrent_trials)
    if slots > fit:
        found = (
            f"{slots} trials at once ask for {slots * asked} CPUs and {slots * one.workers * one.gpus:g} GPUs,"
            f" but there are {cpus:g} and {gpus:g}"
            if one.gpus
            else f"{slots} trials at once ask for {slots} x {asked} = {slots * asked} CPUs, but there are {cpus:g}"
        )
        raise _refused("concurrent_trials", found, f"ask for at most {fit}")
    return slots


def _worker_memory(where: Where, on_a_node: int, memory: float) -> float:
    """Bytes of rows for each worker of a node; raises `ResourceError` if the node has less than all of them ask for."""
    asked = memory * MEMORY_SHARE / on_a_node if where.memory == "auto" else float(where.memory)
    if asked * on_a_node > memory:
        found = (
            f"{on_a_node} workers on a node ask for {on_a_node} x {byte_size(asked)}, but it has {byte_size(memory)}"
        )
        raise _refused("memory", found, f"ask for at most {byte_size(memory / on_a_node)}, or for fewer trials at once")
    return asked


def _refused(key: str, found: str, fix: str) -> ResourceError:
    return ResourceError(Problem(key=key, stage="plan", found=found, fix=fix))
