"""Checks before anything is read that every node of the cluster sees the run's folder."""

from pathlib import Path

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.spec.where import Where

PROBE_S = 30
REMEDY = (
    "name storage that every node sees: an object store (s3://bucket/runs), or the absolute path of a shared file"
    " system"
)


def check_shared_storage(probe: Path, where: Where, *, shared: bool) -> None:
    """Refuse storage that some nodes do not see, if the cluster has several nodes and the storage is a path.

    A relative path is refused at once, because it means another folder on every node. For an absolute path, a task on
    each node looks for the run.

    Raises
    ------
    StorageError
        If the path is relative, or if a node does not see the run's folder or does not answer within `PROBE_S` seconds.
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
    blind = _nodes_without(probe, nodes)
    if blind:
        found = (
            f"{len(blind)} of {len(nodes)} nodes do not see {str(probe.parent.parent)!r}"
            f" ({', '.join(sorted(blind)[:5])})"
        )
        raise StorageError(Problem(key="storage", found=found, fix=REMEDY))


def _nodes_without(file: Path, nodes: list[dict[str, object]]) -> list[str]:
    """The addresses of the nodes on which the file is absent, or has another content than here."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(_content)
    address = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(str(node["NodeID"]), soft=False)).remote(
            str(file)
        ): str(node["NodeManagerAddress"])
        for node in nodes
    }
    answers, silent = ray.wait(list(address), num_returns=len(address), timeout=PROBE_S)
    here = file.read_bytes()
    blind = [address[answer] for answer in silent]
    for answer in answers:
        try:
            content = ray.get(answer)
        except ray.exceptions.RayError:  # the node has gone; the other nodes decide
            continue
        if content != here:
            blind.append(address[answer])
    return blind


def _content(file: str) -> bytes | None:
    return Path(file).read_bytes() if Path(file).is_file() else None
