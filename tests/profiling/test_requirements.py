"""What ends a run after the one pass over the rows: repeated keys, empty and weightless parts, too few classes."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from profile_fixture import spec_of

from ray_pipeline.data.rows import RowCounts
from ray_pipeline.duration import STEP_UNIT
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.profiling.block_summary import BlockSummary
from ray_pipeline.profiling.requirements import (
    MIN_ROWS,
    EmptyPart,
    label_classes,
    require_rows,
    require_unique_keys,
    require_weighted_classes,
    require_weights,
)
from ray_pipeline.runtime.scratch import ScratchHashes

PARTS = {"train": 60, "validation": 20, "test": 20}


def summary_of(parts: Mapping[str, int] = PARTS, **more: Any) -> BlockSummary:
    return BlockSummary(parts=parts, **more)


def table(num_rows: int = 100, out_of_range: int = 0) -> Any:
    return SimpleNamespace(num_rows=num_rows, out_of_range=out_of_range)


def problem_of(requirement: Any, *arguments: Any) -> Problem:
    with pytest.raises(DataError) as raised:
        requirement(*arguments)
    (problem,) = raised.value.problems
    assert raised.value.exit_code == 3 and problem.fix
    return problem


def hashes_of(numbers: list[int]) -> ScratchHashes:
    hashes = ScratchHashes()
    hashes.add(np.array(numbers, np.uint64).tobytes())
    return hashes


def test_repeated_keys_are_counted_by_the_rows_that_repeat_one() -> None:
    require_unique_keys(hashes_of([*range(9)]), spec_of())
    require_unique_keys(hashes_of([]), spec_of())
    problem = problem_of(require_unique_keys, hashes_of([7, 3, 7, 7, 3]), spec_of())
    assert problem.found == "'id' is not unique: 3 rows repeat a key"
    assert (problem.rows, problem.column, problem.key, problem.line) == (3, "id", "features.labels.key", 4)


def test_a_run_with_rows_in_every_part_goes_on() -> None:
    require_rows(summary_of(), table(), spec_of())
    require_rows(summary_of({"train": MIN_ROWS - 2, "validation": 1, "test": 1}), table(), spec_of())


def test_where_no_row_is_left_it_is_said_what_became_of_all_rows() -> None:
    counts = RowCounts(scanned=70, where=5, null_label=60, gap=5)
    problem = problem_of(require_rows, summary_of({}, counts=counts), table(100, 20), spec_of())
    assert problem.found == ("0 rows left of 100: 20 out of range, 15 by `where`, 60 without a label, 5 in a gap")
    assert problem.rows == 0


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"train": 60, "validation": 40}, "test is empty: train 60, validation 40, test 0 rows"),
        ({"train": 0, "validation": 0, "test": 9}, "train, validation are empty: train 0, validation 0, test 9 rows"),
    ],
)
def test_empty_parts_are_named_with_the_rows_of_each_part(parts: dict[str, int], found: str) -> None:
    problem = problem_of(require_rows, summary_of(parts), table(), spec_of())
    assert (problem.found, problem.fix, problem.key) == (found, "ask for larger shares", "split")


def test_under_a_time_split_empty_parts_are_named_with_the_times_of_the_rows() -> None:
    spec = spec_of(features=", time: at", split="{by: time, validation: 2024-02-01, test: 2024-03-01}")
    ranges = {"train": ["2024-01-02", "2024-01-30"], "validation": ["2024-02-01", "2024-02-20"]}
    problem = problem_of(require_rows, summary_of({"train": 60, "validation": 9}, time_ranges=ranges), table(), spec)
    assert problem.found.endswith("test 0 rows; labels.time goes from 2024-01-02 to 2024-02-20")
    assert problem.fix == "move the cut dates"


def test_empty_parts_say_the_newest_time_and_steps_are_numbers() -> None:
    spec = spec_of(features=", time: at, time_unit: step", split="{by: time, validation: 600, test: 800}")
    ranges = {"train": [str(np.datetime64(step, STEP_UNIT).astype("datetime64[us]")) for step in (3, 999)]}
    with pytest.raises(EmptyPart, match=r"labels\.time goes from 3 to 999") as raised:
        require_rows(summary_of({"train": 60}, time_ranges=ranges), table(), spec)
    assert raised.value.newest == "999" and raised.value.exit_code == 3


def test_too_few_rows_in_all_are_refused() -> None:
    parts = {"train": MIN_ROWS - 3, "validation": 1, "test": 1}
    problem = problem_of(require_rows, summary_of(parts), table(300), spec_of())
    assert problem.found == "49 rows are left of 300; train, validation and test need 50 together"
    assert (problem.rows, problem.stage) == (49, "split")


def test_parts_whose_weights_are_all_0_are_refused_with_their_rows() -> None:
    spec = spec_of(features=", weight: w")
    require_weights(summary_of(weights={"train": 1.5, "validation": 0.1, "test": 2.0}), spec)
    problem = problem_of(require_weights, summary_of(weights={"train": 3.0, "validation": 0.0, "test": 0.0}), spec)
    assert problem.found == "every weight in validation, test is 0"
    assert (problem.rows, problem.column, problem.key) == (40, "w", "features.labels.weight")


def labels_of(**parts: dict[str, int]) -> BlockSummary:
    return summary_of({name: sum(counts.values()) for name, counts in parts.items()}, labels=parts)


@pytest.mark.parametrize(("only", "shown"), [("0", "false (0)"), ("1", "true (1)")])
def test_a_binary_label_with_one_class_in_a_part_is_refused(only: str, shown: str) -> None:
    both = {"0": 30, "1": 30}
    assert label_classes(labels_of(train=both, validation=both, test=both), spec_of()) == ("0", "1")
    problem = problem_of(label_classes, labels_of(train=both, validation={only: 2_000}, test=both), spec_of())
    assert problem.found == f"the label has one class in validation: {shown} in all 2,000 rows"
    assert (problem.rows, problem.column, problem.key) == (2_000, "y > 0", "features.labels.label")


def test_classes_that_train_lacks_are_counted_over_all_other_parts() -> None:
    labels = labels_of(train={"a": 50, "b": 50}, validation={"a": 5, "c": 3, "d": 1}, test={"a": 5, "b": 5, "c": 4})
    problem = problem_of(label_classes, labels, spec_of("multiclass", "y"))
    assert problem.found == "classes that train does not have: 'c' (7 rows), 'd' (1 rows)"
    assert problem.rows == 8 and problem.column == "y"


def test_a_multiclass_label_needs_two_classes() -> None:
    problem = problem_of(
        label_classes, labels_of(train={"a": 9}, validation={"a": 2}, test={"a": 2}), spec_of("multiclass", "y")
    )
    assert problem.found == "the label has one class: a"
    assert problem.fix == "multiclass needs at least two"


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["10", "9", "-2"], ("-2", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["b", "a"], ("a", "b")),
    ],
)
def test_classes_are_sorted_as_numbers_if_all_are_whole_numbers(values: list[str], classes: tuple[str, ...]) -> None:
    counts = dict.fromkeys(values, 20)
    labels = labels_of(train=counts, validation=counts, test=counts)
    assert label_classes(labels, spec_of("multiclass", "y")) == classes


def test_a_class_weight_for_no_class_is_refused_with_the_nearest_class() -> None:
    spec = spec_of("multiclass", "y", more="fit: {class_weight: {low: 1, Hgh: 2, mid: 5}}")
    with pytest.raises(DataError) as raised:
        require_weighted_classes(("high", "low"), spec)
    assert [(one.key, one.found, one.fix) for one in raised.value.problems] == [
        ("fit.class_weight.Hgh", "there is no class 'Hgh'; did you mean 'high'? Known: high, low", "correct the name"),
        ("fit.class_weight.mid", "there is no class 'mid'; Known: high, low", "correct the name"),
    ]
    require_weighted_classes(("Hgh", "low", "mid"), spec)
    require_weighted_classes(("a", "b"), spec_of("multiclass", "y", more="fit: {class_weight: balanced}"))


def test_the_classes_of_a_binary_task_are_also_true_and_false() -> None:
    spec = spec_of(more="fit: {class_weight: {true: 20, 0: 2}}")
    assert spec.fit.class_weight_of("binary") == {"1": 20, "0": 2}
    require_weighted_classes(("0", "1"), spec)
