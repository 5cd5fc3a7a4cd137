"""Can every node of the cluster see the run's folder? Asked before anything is read."""

from pathlib import Path

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.spec.where import Where

PROBE_S = 30
REMEDY = (
    "name storage that every node sees: an object store (s3://bucket/runs), or the absolute path of a shared file"
    " system"
)


def check_shared_storage(probe: Path, where: Where, *, shared: bool) -> None:
    """Raises `StorageError` on a cluster of many nodes unless all of them find the run where this one has it.

    A relative path is refused unseen: it means another folder on every node. An absolute one is looked for on each.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2 or shared:
        return
    if not Path(where.storage).expanduser().is_absolute() and "${" not in where.storage:
        raise StorageError(
            Problem(
                key="storage",
                found=f"storage {where.storage!r} is not shared by the {len(nodes)} nodes of the cluster",
                fix=REMEDY,
            )
        )
    blind = _blind(probe, nodes)
    if blind:
        found = (
            f"{len(blind)} of {len(nodes)} nodes do not see {str(probe.parent.parent)!r}"
            f" ({', '.join(sorted(blind)[:5])})"
        )
        raise StorageError(Problem(key="storage", found=found, fix=REMEDY))


def _blind(file: Path, nodes: list[dict[str, object]]) -> list[str]:
    """The addresses of the nodes where that file does not say what it says here."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(_says)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(str(node["NodeID"]), soft=False)).remote(
            str(file)
        ): str(node["NodeManagerAddress"])
        for node in nodes
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_S)
    here = file.read_bytes()
    wrong = []
    for ref in answered:
        try:
            seen = ray.get(ref)
        except ray.exceptions.RayError:  # the node went away; what is left of the cluster decides
            continue
        if seen != here:
            wrong.append(asked[ref])
    return [*wrong, *(asked[ref] for ref in silent)]


def _says(file: str) -> bytes | None:
    return Path(file).read_bytes() if Path(file).is_file() else None
