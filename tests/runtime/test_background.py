"""Background work: its result, its errors, and what Ctrl-C and the interpreter's exit do not wait for."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from ray_pipeline.runtime.background import in_background, items_in_time

BEGIN = """
import threading, time
from ray_pipeline.runtime.background import in_background

started = threading.Event()

def endless():
    started.set()
    while True:
        time.sleep(0.01)
"""
INTERRUPTED_S = 2.0


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    """An event that work can wait for; it is set when the test ends."""
    event = threading.Event()
    yield event
    event.set()


def test_the_block_and_the_work_run_at_the_same_time_and_the_result_can_be_asked_for_twice() -> None:
    meeting = threading.Barrier(2)

    def work() -> int:
        meeting.wait(10)
        return 42

    with in_background(work) as result:
        meeting.wait(10)
        assert (result(), result()) == (42, 42)
    assert result() == 42


def test_a_block_that_ends_normally_waits_for_the_work() -> None:
    done = list[int]()

    def work() -> None:
        time.sleep(0.2)
        done.append(1)

    with in_background(work):
        assert done == []
    assert done == [1]


def test_the_one_who_asks_for_the_result_gets_the_error_and_no_note_repeats_it() -> None:
    failure = ValueError("no rows")

    def work() -> None:
        raise failure

    with pytest.raises(ValueError, match="no rows") as raised, in_background(work) as result:
        result()
    assert raised.value is failure
    assert not hasattr(failure, "__notes__")


def test_an_error_that_is_raised_from_the_works_own_gets_no_note() -> None:
    def work() -> None:
        raise ValueError("no rows")

    with pytest.raises(RuntimeError) as raised, in_background(work) as result:
        try:
            result()
        except ValueError as error:
            raise RuntimeError("stage failed") from error
    assert not hasattr(raised.value, "__notes__")


def test_an_error_that_nobody_asked_for_is_raised_at_the_end_of_the_block() -> None:
    def work() -> None:
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"), in_background(work):
        pass


def test_a_block_that_fails_does_not_wait_for_the_work(hold: threading.Event) -> None:
    begun = time.monotonic()
    with pytest.raises(KeyError, match="absent") as raised, in_background(lambda: hold.wait(60)):
        raise KeyError("absent")
    assert time.monotonic() - begun < INTERRUPTED_S
    assert not hasattr(raised.value, "__notes__")


def test_the_error_of_work_that_has_failed_is_a_note_on_the_error_of_the_block() -> None:
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise ValueError("no rows")

    with pytest.raises(KeyError, match="absent") as raised, in_background(work) as result:
        with pytest.raises(ValueError, match="no rows"):
            result()
        raise KeyError("absent")
    assert raised.value.__notes__ == ["Background work failed too: ValueError: no rows"]


@pytest.mark.parametrize(
    "block", ["while True: time.sleep(0.01)", "result()", "pass"], ids=["in the block", "in the wait", "at the end"]
)
def test_ctrl_c_ends_the_block_and_the_interpreter_while_the_work_runs(block: str) -> None:
    code = f"""{BEGIN}
with in_background(endless) as result:
    started.wait()
    print("ready", flush=True)
    {block}
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as run:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
        time.sleep(0.1)  # the main thread is in the wait by now; nothing tells so from outside
        begun = time.monotonic()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
        seconds = time.monotonic() - begun
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert run.returncode == -signal.SIGINT
    assert seconds < INTERRUPTED_S


def test_the_interpreters_exit_does_not_wait_for_work_that_was_left_alone() -> None:
    code = f"""{BEGIN}
try:
    with in_background(endless):
        started.wait()
        raise KeyError
except KeyError:
    print(time.monotonic(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - float(done.stdout) < INTERRUPTED_S


@pytest.mark.parametrize("code", [0, 130])
def test_the_process_ends_at_once_with_its_code_and_its_exit_functions_run(code: int) -> None:
    script = f"""{BEGIN}
import atexit
from ray_pipeline.runtime.background import end_process

def multiply():
    import torch
    while True:
        torch.rand(300, 300) @ torch.rand(300, 300)
        started.set()

atexit.register(print, "exit function")
try:
    with in_background(multiply):
        started.wait()
        raise KeyError
except KeyError:
    print("last line")
    end_process({code})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (code, ["last line", "exit function"], "")


def test_without_background_work_the_process_ends_with_its_code_too() -> None:
    script = "import atexit\nfrom ray_pipeline.runtime.background import end_process\n"
    script += "atexit.register(print, 'end')\nend_process(7)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (7, "end\n", "")


def test_a_function_of_the_exit_that_waits_for_ever_costs_seconds() -> None:
    script = "import atexit, time\nfrom ray_pipeline.runtime.background import end_process\n"
    script += "atexit.register(time.sleep, 600)\nprint('answer')\nend_process(130)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "answer\n")


def test_items_come_in_order_and_an_error_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("the fourth")

    came = list[int]()
    with pytest.raises(ValueError, match="the fourth"):
        for item in items_in_time(items(), 60):
            came.append(item)
    assert came == [1, 2, 3]


def test_an_item_that_does_not_come_in_time_is_not_waited_for() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        list(items_in_time(iter(never.wait, None), 0.05))
    never.set()


def test_a_consumer_that_stops_ends_the_thread_and_closes_what_gives_the_items() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    for item in items_in_time(items(), 60):
        if item == 2:
            break
    assert closed.wait(10)
