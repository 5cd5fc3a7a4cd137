"""The final models of an ensemble: how many threads the fit of a member has."""

from dataclasses import replace

import pytest

from ray_pipeline.runtime.layout import Layout
from ray_pipeline.tuning.time_budget import SMALL_TABLE_ROWS, threads_of_member

LAYOUT = Layout(slots=8, workers=1, threads=1, gpus=0, fit_threads=8)
SMALL = {"train": SMALL_TABLE_ROWS - 1_000, "validation": 1_000}


def test_members_of_a_small_table_have_the_threads_of_a_trial_and_those_of_a_large_one_all() -> None:
    assert threads_of_member(SMALL, LAYOUT) == 1
    assert threads_of_member({**SMALL, "train": SMALL["train"] + 1}, LAYOUT) == 8


@pytest.mark.parametrize("slots", [1, 8])
def test_the_threads_of_a_member_do_not_depend_on_the_slots(slots: int) -> None:
    assert threads_of_member(SMALL, replace(LAYOUT, slots=slots, threads=2)) == 2


def test_members_that_several_workers_or_a_gpu_train_have_all_threads() -> None:
    assert threads_of_member(SMALL, replace(LAYOUT, workers=2)) == 8
    assert threads_of_member(SMALL, replace(LAYOUT, gpus=1)) == 8
