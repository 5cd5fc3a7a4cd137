"""Run by `test_process_state.py` in a process of its own: a small run, and what it left changed in its process.

usage: process_state_run.py own|attached SPEC STORAGE   -> one JSON line: the run's status, and each difference
"""

import faulthandler
import importlib
import json
import logging
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import ray.data

from ray_pipeline import Spec, run
from ray_pipeline.spec.where import Where

IMPORTED = (
    "aiohttp.web",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "ruamel.yaml",
    "scipy.special",
    "sklearn",
)
"""What an import changes once stays changed: filters of warnings and handlers of the library's loggers."""
USERS_BLOCK_BYTES = 77 << 20


def state() -> dict[str, dict[str, Any]]:
    """What belongs to the whole process, by kind and name."""
    loggers = {
        name: logger for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)
    }
    return {
        "environment": dict(os.environ),
        "log level": {name: logger.level for name, logger in loggers.items()},
        "log handlers": {name: repr(logger.handlers) for name, logger in loggers.items()},
        "warnings": {str(place): repr(entry) for place, entry in enumerate(warnings.filters)},
        "signal handler": {int(number): repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "hook": {
            "sys": repr(sys.excepthook),
            "threading": repr(threading.excepthook),
            "faulthandler": faulthandler.is_enabled(),
        },
        "module": {"sklearn": "hidden" if sys.modules.get("sklearn", "not imported") is None else "as it is"},
        "folder": {"current": str(Path.cwd())},
        "files": {"umask": Path("/proc/self/status").read_text().partition("Umask:")[2].split()[0]},
        "sys.path": {str(place): entry for place, entry in enumerate(sys.path)},
        "data context": {name: repr(value) for name, value in vars(ray.data.DataContext.get_current()).items()},
    }


def main() -> None:
    how, spec, storage = sys.argv[1:]
    for library in IMPORTED:
        importlib.import_module(library)
    ray.data.DataContext.get_current().target_max_block_size = USERS_BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    warnings.simplefilter("once", ImportWarning)
    if how == "attached":
        ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=400_000_000)
    before, context = state(), ray.data.DataContext.get_current()
    release = run(Spec.from_file(Path(spec)), Where(storage=storage))
    after = state()
    changed = [
        f"{kind} {name}: {before[kind].get(name)} -> {after[kind].get(name)}"
        for kind in before
        for name in {**before[kind], **after[kind]}
        if before[kind].get(name) != after[kind].get(name) and not (kind.startswith("log") and name not in before[kind])
    ]
    answer = {
        "status": release.status,
        "changed": changed,
        "same data context": ray.data.DataContext.get_current() is context,
        "ray runs": ray.is_initialized(),
    }
    print(json.dumps(answer))


main()
