"""The end of a session: by Ctrl-C too, while background work uses Ray, and without a second Ray that nobody ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from process_fixture import descendants, left_after

STOPPED_S, GONE_S = 10.0, 10.0
CODE = """
import json, sys, threading, time
from ray_pipeline.runtime.background import THREAD_NAME, in_background
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

started = threading.Event()

def work():
    import ray
    while True:
        ray.get(ray.remote(lambda: None).remote())
        started.set()
        time.sleep({pause})

try:
    with session(Where(), store_bytes=100_000_000), in_background(work) as result:
        started.wait()
        print("ready", flush=True)
        result()
except KeyboardInterrupt:
    import ray
    from ray._private import auto_init_hook
    left = [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]
    print("ended", flush=True)
    for thread in left:
        thread.join(30)
    deadline = time.monotonic() + 10
    while not auto_init_hook.enable_auto_connect and time.monotonic() < deadline:
        time.sleep(0.01)
    print(json.dumps([ray.is_initialized(), len(left), auto_init_hook.enable_auto_connect]), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.ray
@pytest.mark.parametrize(
    ("pause", "threads_left"), [(0.0, 0), (5.0, 1)], ids=["within a call of Ray's", "between two calls"]
)
def test_ctrl_c_ends_a_session_and_background_work_starts_no_other_ray(pause: float, threads_left: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(pause=pause)],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    children = descendants(process.pid)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ended\n"
    assert time.monotonic() - begun < STOPPED_S
    ray_runs, left, starts_by_itself = json.loads(process.stdout.readline())
    assert (ray_runs, left, starts_by_itself) == (False, threads_left, True)
    assert left_after(children, GONE_S) == []
    assert descendants(process.pid) == {}
    _, errors = process.communicate("\n", timeout=30)
    assert (process.returncode, errors) == (0, "")
