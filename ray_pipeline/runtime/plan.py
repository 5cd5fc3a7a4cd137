"""From cores, GPUs and what the cluster file asks for: how many slots, workers and threads. Refuses what cannot be, with the arithmetic."""

import math
from dataclasses import dataclass

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.session import available_cpus
from ray_pipeline.spec.where import Where


@dataclass(frozen=True)
class Plan:
    """Slots x workers x threads; the manifest records it, because models repeat byte for byte for equal workers x threads only."""

    slots: int
    workers: int
    threads: int
    gpus: float
    fit_threads: int
    """Threads of the final fit, which has the cluster's largest node to itself."""

    def worker_resources(self) -> dict[str, float]:
        """What one worker reserves in Ray."""
        return {"CPU": self.threads, **({"GPU": self.gpus} if self.gpus else {})}

    def slot_resources(self) -> dict[str, float]:
        """What Tune reserves for one slot: all of it where it trains itself, and next to nothing where its workers reserve for themselves."""
        return self.worker_resources() if self.workers == 1 else {"memory": 1}  # Tune refuses an actor that needs nothing


def refuse_impossible(where: Where, trials: int) -> None:
    """Raises `ResourceError` before anything starts, where this machine alone decides."""
    if where.address == "local":
        arrange(where, available_cpus(), math.inf, trials)


def lay_out(where: Where, trials: int) -> Plan:
    """The layout on the cluster that this process is connected to."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = sum(node.get("CPU", 0.0) for node in nodes)
    return arrange(where, cpus, sum(node.get("GPU", 0.0) for node in nodes), trials, max((node.get("CPU", 0.0) for node in nodes), default=0.0))


def arrange(where: Where, cpus: float, gpus: float, trials: int, largest_node: float | None = None) -> Plan:
    """How the search is laid out. Raises `ResourceError` (exit 4) if not even one trial fits."""
    threads = 1 if where.cpus_per_worker == "auto" else int(where.cpus_per_worker)
    workers = 1 if where.workers_per_trial == "auto" else int(where.workers_per_trial)
    per_worker_gpus = 0.0 if where.gpus_per_worker == "auto" else float(where.gpus_per_worker)
    node = int(largest_node or cpus)
    asked = workers * threads
    if threads > node or asked > cpus:
        raise ResourceError(
            Problem(
                key="cpus_per_worker" if threads > node else "workers_per_trial", stage="plan",
                found=f"one trial asks for {workers} worker{'s' * (workers > 1)} x {threads} CPUs = {asked}, but there are {cpus:g} CPUs (the largest node has {node})",
                fix=f"ask for at most {node} CPUs per worker, or run on a larger cluster",
            )
        )  # fmt: skip
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
                found=f"{most} trials at once ask for {most} x {asked} = {most * asked} CPUs, but there are {cpus:g}"
                if not per_worker_gpus
                else f"{most} trials at once ask for {most * asked} CPUs and {most * workers * per_worker_gpus:g} GPUs, but there are {cpus:g} and {gpus:g}",
                fix=f"ask for at most {fit}",
            )
        )
    return Plan(slots=max(1, min(most, trials)), workers=workers, threads=threads, gpus=per_worker_gpus, fit_threads=node)
