"""While a run goes on, Python is parsed in one thread at a time."""

import ast
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.runtime.parsing import one_parser
from ray_pipeline.runtime.process_state import process_state


@pytest.mark.parametrize("block", [one_parser, process_state])
def test_threads_parse_one_after_the_other(block: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parse, lock, busy, most = ast.parse, threading.Lock(), 0, 0

    def slow(*arguments: Any, **options: Any) -> Any:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1
        return parse(*arguments, **options)

    monkeypatch.setattr(ast, "parse", slow)
    with block(), block(), ThreadPoolExecutor(4) as threads:  # blocks of two runs
        works = [lambda: read_choice("f_beta(beta=2)"), lambda: inspect.signature(len), lambda: ast.literal_eval("1")]
        for done in [threads.submit(work) for work in works * 4]:
            done.result()
    assert most == 1
    assert ast.parse is slow
