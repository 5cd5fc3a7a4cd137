"""Says why Ray has given up work: no memory, no room for a further object, or workers that die again and again."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_pipeline.errors import PipelineError, Problem, ResourceError, StorageError
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.ray_errors import causes
from ray_pipeline.runtime.tasks import given_up
from ray_pipeline.suggestion import RESUME


@contextmanager
def explaining_exhaustion() -> Iterator[None]:
    """In the block, Ray's errors about memory, disk and dead workers become errors that say what would help.

    Raises
    ------
    ResourceError
        Ray has ended workers because a node has little memory left, or the workers of one piece of work have all died.
    StorageError
        Ray's object store is full, and so is the disk below it.
    """
    from ray.exceptions import OutOfDiskError, OutOfMemoryError, WorkerCrashedError

    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        for cause in causes(error):
            if isinstance(cause, OutOfDiskError):
                raise StorageError(_full_disk(private_ray.session_folder())) from error
            if isinstance(cause, OutOfMemoryError):
                raise ResourceError(_low_memory(str(cause))) from error
            if isinstance(cause, WorkerCrashedError):
                raise ResourceError(given_up()) from error
        raise


def _full_disk(folder: Path) -> Problem:
    try:
        disk = shutil.disk_usage(folder)
        used = f"{disk.used / 1e9:.2f} of {disk.total / 1e9:.2f} GB of this node's disk are used"
    except OSError:
        used = "the disk of a node is full"
    return Problem(
        file=str(folder),
        found=f"Ray's object store is full, and so is the disk to which it spills: {used}",
        fix="free some space, give Ray a folder on a larger disk (RAY_TMPDIR, or `ray start --temp-dir`), or more"
        f" memory (`ray start --object-store-memory`); then {RESUME}",
    )


def _low_memory(told: str) -> Problem:
    """From Ray's message, which has the memory of the node among much else."""
    used = re.search(r"was ([\d.]+)GB used / ([\d.]+)GB", told)
    amounts = f": {used[1]} of {used[2]} GB were used" if used else ""
    return Problem(
        key="memory",
        found=f"Ray has ended workers because a node has little memory left{amounts}",
        fix="end other programs, run fewer trials at once (`concurrent_trials`), or use a machine with more memory;"
        f" then {RESUME}",
    )
