"""Settings of the process: each block gets its values, and the last one to end restores what the first one found."""

import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from ray_pipeline.runtime.overrides import Overrides, environment, ignored_warnings, log_levels

NAME = "RAY_PIPELINE_TEST_OVERRIDES"


def test_a_block_that_fails_restores_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    with pytest.raises(KeyError), environment.use({NAME: "inside"}):
        assert os.environ[NAME] == "inside"
        raise KeyError
    assert NAME not in os.environ


def test_a_variable_may_be_hidden_for_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "outside")
    with environment.use({NAME: None}):
        assert NAME not in os.environ
    assert os.environ[NAME] == "outside"


def test_what_something_else_changed_is_restored_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "outside")
    with environment.keep(NAME):
        assert os.environ[NAME] == "outside"
        os.environ[NAME] = "a library's"
    assert os.environ[NAME] == "outside"


@pytest.mark.parametrize("first_out", ["first", "second"])
def test_two_threads_never_restore_each_others_values(first_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "outside")
    inside, leave, left = ({name: threading.Event() for name in ("first", "second")} for _ in range(3))

    def block(name: str) -> None:
        with environment.use({NAME: name}):
            inside[name].set()
            assert leave[name].wait(10)
        left[name].set()

    last_out = "second" if first_out == "first" else "first"
    with ThreadPoolExecutor(2) as pool:
        futures = []
        for name in ("first", "second"):
            futures.append(pool.submit(block, name))
            assert inside[name].wait(10)
        assert os.environ[NAME] == "second"
        leave[first_out].set()
        assert left[first_out].wait(10)
        assert os.environ[NAME] == last_out
        leave[last_out].set()
        for future in futures:
            future.result(10)
    assert os.environ[NAME] == "outside"


def test_many_threads_at_once_leave_nothing_behind() -> None:
    settings = {"level": 0}
    overrides = Overrides(settings.__getitem__, settings.__setitem__)
    at_once = threading.Barrier(8)

    def block(value: int) -> None:
        at_once.wait()
        for _ in range(200):
            with overrides.use({"level": value}):
                assert settings["level"] != 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(block, range(1, 9)))
    assert settings == {"level": 0}


def test_log_levels_are_restored() -> None:
    logger = logging.getLogger("ray_pipeline.test_overrides")
    with log_levels.use({logger.name: logging.CRITICAL}):
        assert not logger.isEnabledFor(logging.ERROR)
    assert logger.level == logging.NOTSET


def test_warnings_of_one_module_are_ignored_and_the_filters_of_others_stay() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ignored_warnings.use({r"noisy\.": True}), ignored_warnings.use({r"noisy\.": True}):
            warnings.warn_explicit("heard by nobody", UserWarning, "file", 1, module="noisy.part")
            with pytest.raises(UserWarning, match="heard"):
                warnings.warn_explicit("heard", UserWarning, "file", 1, module="other")
            warnings.filterwarnings("ignore", message="added meanwhile")
        added = [entry for entry in warnings.filters if entry not in before]
        assert [entry[0] for entry in added] == ["ignore"]
        warnings.warn_explicit("added meanwhile", UserWarning, "file", 1, module="other")
        with pytest.raises(UserWarning, match="heard"):
            warnings.warn_explicit("heard", UserWarning, "file", 2, module="noisy.part")
