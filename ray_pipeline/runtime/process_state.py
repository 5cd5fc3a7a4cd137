"""What Ray, Tune and OpenMP need from the process during a run, and what they change in it: set and restored."""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ray_pipeline.components.choice import TRUST
from ray_pipeline.runtime.overrides import Overrides, environment, file_masks
from ray_pipeline.runtime.parsing import one_parser

SETTINGS = {
    # Train polls its workers this often; at the default of 2 s every report waits for it.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less for each fit
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's handler would swallow the first Ctrl-C and return as if it were done
    "TUNE_GLOBAL_CHECKPOINT_S": "36000",  # the run's own journal counts, not Tune's pickled state
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's new reporter prints its box even if it must be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": "3",  # by default a task that takes too much memory is killed and begun again without end
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Threads that wait for each other spin 300,000 times. Beside other busy programs these are milliseconds on the core
    # that the awaited thread needs: fits take 1.2 to 1.6 times as long as with this. Alone, boosting is 5 % faster
    # without it (`benchmarks/bench_contention.py`).
    "GOMP_SPINCOUNT": "10000",
}
"""Environment variables that Ray, its workers and OpenMP read. A value that the user has set stays."""

SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE", "RAY_CLIENT_MODE")
"""Environment variables that `import ray` and `ray.init` set and leave behind."""

_hooks: Overrides[str, Any] = Overrides(lambda name: getattr(sys, name), lambda name, hook: setattr(sys, name, hook))
_handlers: Overrides[int, Any] = Overrides(
    signal.getsignal,
    # None is a handler that was not set from Python; no function can set it again.
    lambda number, handler: None if handler is None else signal.signal(number, handler),
)
_crash_reports: Overrides[str, bool] = Overrides(
    lambda _: faulthandler.is_enabled(), lambda _, enabled: None if enabled else faulthandler.disable()
)


@contextmanager
def process_state() -> Iterator[None]:
    """Sets the environment variables of `SETTINGS` for the block, and restores what Ray and Tune change in the process.

    That is: environment variables, signal handlers, `sys.excepthook` and `faulthandler`. Threads parse Python one at a
    time. Blocks may be nested and may run in several threads; the last one to end restores.
    """
    settings = {name: os.environ.get(name, value) for name, value in SETTINGS.items()}
    with (
        environment.use(settings),
        environment.keep(*SET_BY_RAY, TRUST),
        one_parser(),
        _hooks.keep("excepthook"),
        _crash_reports.keep("faulthandler"),
        signal_handlers(),
    ):
        yield


@contextmanager
def signal_handlers() -> Iterator[None]:
    """Restores the handlers that `ray.init` and Tune replace. Only the main thread can set handlers; in another it does
    nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    with _handlers.keep(*numbers) if threading.current_thread() is threading.main_thread() else nullcontext():
        yield


@contextmanager
def private_files() -> Iterator[None]:
    """In the block, only this user can read the files and folders that this process and its children create."""
    with file_masks.use({"umask": 0o077}):
        yield
