"""What this machine has for a run: the cores that this process may use, and its GPUs."""

import os
from pathlib import Path


def available_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def available_gpus() -> int:
    """NVIDIA GPUs of this machine."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
