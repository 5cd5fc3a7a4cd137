"""Ray hygiene in one place: how it starts, what it may print, how its errors come back as ours, how it ends."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from ray_pipeline.components.choice import TRUST, trust
from ray_pipeline.errors import PipelineError, Problem, ResourceError
from ray_pipeline.runtime.watchdog import watchdog
from ray_pipeline.spec.where import Where

if TYPE_CHECKING:
    import ray.data

T = TypeVar("T")

SETTINGS = {
    # Train polls its workers this often; at the default of 2 s every report waits for it
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less for each fit
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's handler would swallow the first Ctrl-C and return as if done
    "TUNE_GLOBAL_CHECKPOINT_S": "36000",  # our journal is the truth, not Tune's pickled state
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's new reporter prints its box even when told to be silent
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Threads that wait for one another spin 300,000 times, which beside other busy programs are milliseconds on the
    # very core that the awaited thread needs:
    # fits take 1.2 to 1.6 times as long as with this; alone, boosting is 5 % faster without
    # (`benchmarks/bench_contention.py`).
    "GOMP_SPINCOUNT": "10000",
}


def set_environment(debug: bool = False) -> None:
    """Sets Ray's switches; must come before the first import of ray."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("RAY_LOG_TO_DRIVER", "1" if debug else "0")


@contextmanager
def session(where: Where, debug: bool = False, store_bytes: int | None = None) -> Iterator[Callable[[], None]]:
    """A connection to Ray for the length of the block: a fresh local cluster, or the one at `where.address`.

    Gives what ends it before the block does, for a block whose last part needs Ray no more: its processes take 1.2 s to
    go.

    Args:
        where: which.
        debug: lets Ray chatter.
        store_bytes: of a fresh cluster's object store; Ray's own choice (a third of the memory) unless given. It fills
            up before it reuses a
            page, so that a stream through it takes as much memory as it is given.

    Raises:
        ResourceError: no cluster answers at the address.
    """
    set_environment(debug)
    trust(where.trust)
    started = _start(where, debug, store_bytes)
    told, threading.excepthook = threading.excepthook, threading.excepthook if debug else _own_threads
    try:
        with ExitStack() as ends:
            if started:
                ends.callback(_shutdown)
            ends.enter_context(watchdog())
            yield ends.close
    finally:
        threading.excepthook = told


def _shutdown() -> None:
    import ray

    ray.shutdown()


def _own_threads(args: threading.ExceptHookArgs) -> None:
    """Tells of a thread that died, but not of Ray Data's signaler of a scan's end, which stumbles harmlessly when the
    scan's reader has left first."""
    if not (
        args.exc_type is InterruptedError
        and args.thread is not None
        and args.thread.name.endswith("completion-signaler")
    ):
        threading.__excepthook__(args)


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Starts the work in another thread; gives what waits for it and raises what it raised."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work).result


def _start(where: Where, debug: bool, store_bytes: int | None) -> bool:
    """Connects to Ray unless this process already is; whether it did."""
    import ray

    if ray.is_initialized():
        _quiet(debug)
        return False
    logging.getLogger("ray").setLevel(logging.INFO if debug else logging.ERROR)
    level = logging.INFO if debug else logging.ERROR
    on_sigterm = signal.getsignal(signal.SIGTERM)
    # `auto` is the Ray of this machine, or of the job that we are; a RAY_ADDRESS left over in the shell would silently
    # name another.
    hidden = (
        {}
        if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
        else {name: os.environ.pop(name) for name in ("RAY_ADDRESS",) if name in os.environ}
    )
    try:
        if where.address == "local":
            ray.init(
                address="local",
                num_cpus=available_cpus(),
                object_store_memory=store_bytes,
                include_dashboard=False,
                log_to_driver=debug,
                logging_level=level,
                configure_logging=debug,
            )
        else:
            told = {"env_vars": {TRUST: os.environ[TRUST]}} if where.trust else None
            ray.init(
                address=where.address,
                runtime_env=told,
                log_to_driver=debug,
                logging_level=level,
                configure_logging=debug,
            )
    except SystemExit:  # what Ray makes of a SIGTERM
        raise KeyboardInterrupt from None
    except (ConnectionError, RuntimeError, TimeoutError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ResourceError(
            Problem(
                key="address",
                found=f"no Ray cluster answers at {where.address!r}: {reason}",
                fix=(
                    "start one (`ray start --head`), correct `address`, or run with `--on local`; a cluster with token"
                    " auth needs RAY_AUTH_MODE=token"
                ),
            )
        ) from None
    finally:
        os.environ.update(hidden)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # `ray.init` puts its own in its place
    _quiet(debug)
    return True


def available_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def arrow_blocks(dataset: "ray.data.Dataset", work: Callable[[pa.Table], pa.Table]) -> Iterator[pa.Table]:
    """The result of `work` on each block of the dataset, in the dataset's order, streamed.

    Raises:
        PipelineError: one that `work` raised on a worker, as itself and not wrapped in Ray's.
    """
    mapped = dataset.map_batches(work, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)
    with own_errors():
        yield from mapped.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)


@contextmanager
def own_errors() -> Iterator[None]:
    """Lets a `PipelineError` raised on a worker come out of Ray as itself."""
    try:
        yield
    except Exception as error:
        own = find_own(error)
        if own is None or own is error:
            raise
        raise own from None


def find_own(error: BaseException | None) -> PipelineError | None:
    """The `PipelineError` at the root of a chain of wrapped errors, if there is one."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        cause = getattr(
            error, "cause", None
        )  # first: Ray's error is an instance of its cause's class too, with a traceback as its text
        if isinstance(error, PipelineError) and cause is None:
            return error
        seen.add(id(error))
        error = cause or error.__cause__ or error.__context__
    return None


def last_line(error: BaseException | None) -> str:
    """What an error of Ray's says in the end: the cause, below the tracebacks of all the processes that it came
    through."""
    own = find_own(error)
    lines = str(own or error).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__


def _quiet(debug: bool) -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # bytes must repeat from run to run
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = (
        True  # Ray's wrapper around it would lose what it wraps on the way from the worker
    )
    if not debug:
        import warnings

        for name in ("ray", "ray.data", "ray.train", "ray.tune", "ray.air"):
            logging.getLogger(name).setLevel(
                logging.CRITICAL if name in ("ray.data", "ray.tune") else logging.ERROR
            )  # failed tasks and trials are told by us
        warnings.filterwarnings("ignore", module=r"ray\.")
