"""Computes how many slots, workers and threads a search uses, from the cluster's CPUs and GPUs and the cluster file.

What does not fit is refused with the arithmetic.
"""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.session import available_cpus
from ray_pipeline.spec.where import Where

MEMORY_SHARE = 0.5
"""The part of a node's memory that its workers may fill with rows by default; the rest is for the object store and for
the processes."""


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
        Threads of the final fit, which has the cluster's largest node to itself.
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


def refuse_impossible(where: Where, trials: int) -> None:
    """Refuses before anything starts what cannot fit on this machine, if the run stays on it.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    if where.address == "local":
        layout_on_this_machine(where, trials, gpus=math.inf)  # Ray will count them


def layout_on_this_machine(where: Where, trials: int, gpus: float | None = None) -> Layout:
    """The layout on a Ray that will start here, with all cores and by default all NVIDIA GPUs of this machine.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if gpus is None else gpus
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return compute_layout(where, available_cpus(), gpus, trials, memory=memory)


def layout_on_cluster(where: Where, trials: int) -> Layout:
    """The layout on the cluster that this process is connected to.

    Raises
    ------
    ResourceError
        If not even one trial fits.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    largest: dict[str, float] = max(nodes, key=lambda node: node.get("CPU", 0.0), default={})
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    return compute_layout(where, cpus, gpus, trials, largest.get("CPU", 0.0), memory=largest.get("memory", math.inf))


def compute_layout(
    where: Where, cpus: float, gpus: float, trials: int, largest_node: float | None = None, *, memory: float = math.inf
) -> Layout:
    """The layout that the cluster file asks for; by default as many slots of one worker and one thread as fit.

    Parameters
    ----------
    where
        The cluster file.
    cpus, gpus
        What all nodes have together.
    trials
        Trials of the search; more slots would stay empty.
    largest_node
        CPUs of the largest node; by default there is one node.
    memory
        Bytes of memory of the largest node.

    Raises
    ------
    ResourceError
        If not even one trial fits, or if the cluster file asks for more than there is.
    """
    threads = 1 if where.cpus_per_worker == "auto" else int(where.cpus_per_worker)
    workers = 1 if where.workers_per_trial == "auto" else int(where.workers_per_trial)
    worker_gpus = 0.0 if where.gpus_per_worker == "auto" else float(where.gpus_per_worker)
    node = int(largest_node or cpus)
    one = Layout(slots=1, workers=workers, threads=threads, gpus=worker_gpus, fit_threads=node)
    _refuse_large_trial(one, cpus, gpus)
    slots = max(1, min(_slots(where, one, cpus, gpus), trials))
    on_a_node = max(1, min(slots * workers, node // threads))
    return replace(one, slots=slots, memory=_worker_memory(where, on_a_node, memory))


def _refuse_large_trial(one: Layout, cpus: float, gpus: float) -> None:
    """Raises `ResourceError` if one trial does not fit."""
    asked, node = one.workers * one.threads, one.fit_threads
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


def _slots(where: Where, one: Layout, cpus: float, gpus: float) -> int:
    """How many trials train at the same time; raises `ResourceError` if the cluster file asks for more than fit."""
    asked = one.workers * one.threads
    fit = int(cpus // asked)
    if one.gpus:
        fit = int(min(fit, gpus / (one.workers * one.gpus)))
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
        found = f"{on_a_node} workers on a node ask for {on_a_node} x {shown(asked)}, but it has {shown(memory)}"
        raise _refused("memory", found, f"ask for at most {shown(memory / on_a_node)}, or for fewer trials at once")
    return asked


def _refused(key: str, found: str, fix: str) -> ResourceError:
    return ResourceError(Problem(key=key, stage="plan", found=found, fix=fix))


def shown(num_bytes: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> shown(34_200_000)
    '34.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"
