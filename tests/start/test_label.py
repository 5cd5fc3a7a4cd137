"""The label is found by name, place and values; its values decide the task."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from start_fixture import customers

from ray_pipeline.errors import DataError, PipelineError, SpecError
from ray_pipeline.start.label import candidates, quoted, read_label
from ray_pipeline.start.table import StartTable
from ray_pipeline.values import Task

ROWS = 400
rng = np.random.default_rng(3)
NUMBER, PLACE = rng.normal(size=ROWS), np.arange(ROWS)


def opened(folder: Path, table: pa.Table) -> StartTable:
    pq.write_table(table, folder / "rows.parquet")
    return StartTable.open("labels", str(folder / "rows.parquet"), folder)


def test_a_column_called_label_comes_first_and_says_so(tmp_path: Path) -> None:
    table = opened(tmp_path, customers(label=NUMBER[:1].repeat(1200) + np.arange(1200) / 7))
    first, second, *_ = candidates(table)
    assert str(first) == "label (it is called 'label', it is a number with 1,200 values)"
    assert second.name == "churned"
    assert second.reasons == ("its name says 'churned'", "it is the last column", "it has two values")


def test_ids_constants_times_free_texts_and_empty_columns_are_no_candidates(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": PLACE,
            "number": PLACE * 3,
            "same": ["x"] * ROWS,
            "moment": pa.array(PLACE * 1_000_000, pa.timestamp("us")),
            "text": [f"text number {place}" for place in PLACE],
            "part": np.where(PLACE % 2, "train", "test"),
            "colour": np.where(PLACE % 3, "red", "blue"),
            **{f"empty {kind}": pa.nulls(ROWS, kind) for kind in (pa.null(), pa.float64(), pa.string(), pa.bool_())},
        }
    )
    assert [one.name for one in candidates(opened(tmp_path, table))] == ["colour"]


VALUES: dict[str, tuple[Any, str, Task]] = {
    "true and false": (NUMBER > 0, "y", "binary"),
    "0 and 1": ((NUMBER > 0).astype(np.int8), "y", "binary"),
    "0.0 and 1.0": ((NUMBER > 0).astype(float), "y", "binary"),
    "yes and no": (np.where(NUMBER > 1, "no", "yes"), "y == 'yes'", "binary"),
    "two words": (np.where(NUMBER > 1, "it's", "other"), "y == 'it''s'", "binary"),
    "1 and 2": (np.where(NUMBER > 1, 2, 1), "y == 1", "binary"),
    "words": (rng.choice(["a", "b", "c"], ROWS), "y", "multiclass"),
    "few whole numbers": (rng.integers(0, 8, ROWS), "y", "multiclass"),
    "fractions": (NUMBER, "y", "regression"),
    "many whole numbers": (rng.integers(0, 90, ROWS), "y", "regression"),
    "whole numbers that all differ": (rng.permutation(ROWS) * 97, "y", "regression"),
}


@pytest.mark.parametrize(("values", "text", "task"), VALUES.values(), ids=VALUES)
def test_the_values_decide_the_task_and_the_expression(tmp_path: Path, values: Any, text: str, task: Task) -> None:
    label = read_label(opened(tmp_path, pa.table({"y": values, "x": NUMBER})), "y")
    assert (label.text, label.task) == (text, task)
    assert label.columns == ("y",) and label.why.startswith("y ")
    assert sum(label.counts.values()) == (0 if task == "regression" else ROWS)


PAIRS = "J N,ja Nein,si no,SÍ no,oui non,O N,s n,T F,wahr falsch,vrai faux"
PAIRS += ",pos neg,positiv negativ,Bad Good,ill no,>50K <=50K"


@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("pair", PAIRS.split(","))
def test_the_word_for_yes_is_the_positive_class_however_rare_it_is(tmp_path: Path, pair: str, common: int) -> None:
    yes, no = pair.split()
    often, rarely = (yes, no) if common == 0 else (no, yes)
    label = read_label(opened(tmp_path, pa.table({"y": np.where(NUMBER > 1, rarely, often), "x": NUMBER})), "y")
    assert label.text == f"y == '{yes}'" and not label.spellings


@pytest.mark.parametrize("pair", [("f", "m"), ("n", "z"), ("o", "j")])
def test_two_letters_that_mean_neither_yes_nor_no_leave_the_rarer_one(tmp_path: Path, pair: tuple[str, str]) -> None:
    for rarely, often in (pair, pair[::-1]):
        label = read_label(opened(tmp_path, pa.table({"y": np.where(NUMBER > 1, rarely, often), "x": NUMBER})), "y")
        assert label.text == f"y == '{rarely}'"


def test_classes_that_differ_by_case_or_spaces_are_told_with_their_counts(tmp_path: Path) -> None:
    values = np.array(["no", "No", "Yes", "YES ", "maybe"])[np.minimum(PLACE % 10, 4)]
    label = read_label(opened(tmp_path, pa.table({"y": values, "x": NUMBER})), "y")
    assert label.task == "multiclass"
    assert label.spellings == (
        "y: 'no' in 40 rows, 'No' in 40 rows; 'Yes' in 40 rows, 'YES ' in 40 rows: equal but for case or spaces, yet"
        " classes of their own: write each in one way"
    )


def test_a_label_may_be_an_expression(tmp_path: Path) -> None:
    table = opened(tmp_path, pa.table({"delay time": NUMBER, "x": NUMBER}))
    label = read_label(table, "`delay time` > 0.5")
    assert (label.task, label.columns) == ("binary", ("delay time",))
    assert label.counts == {"1": int((NUMBER > 0.5).sum()), "0": int((NUMBER <= 0.5).sum())}
    assert read_label(table, "delay time").text == "`delay time`"
    assert read_label(table, "x * 2").task == "regression"


BAD: dict[str, tuple[Any, str, type[PipelineError], str]] = {
    "row number": (PLACE, "y", DataError, "differs in 400 of 400 rows: it is an id"),
    "text id": ([f"a{place}" for place in PLACE], "y", DataError, "it is an id or a free text"),
    "numbers and a word": (
        ["Total", *(f"{place / 7:.3f}" for place in PLACE[1:])],
        "y",
        DataError,
        "all are numbers except 'Total'",
    ),
    "one value": (["a"] * ROWS, "y", DataError, "one value: 'a' in all 400 rows"),
    "no value": (pa.nulls(ROWS, pa.int64()), "y", DataError, "'y' has 0 values in 400 rows"),
    "a time": (pa.array(PLACE, pa.timestamp("s")), "y", DataError, "'y' is timestamp (timestamp[ms]), and a label is"),
    "a time of day": (
        pa.array(PLACE.astype(np.int32)).cast(pa.time32("s")),
        "y",
        DataError,
        "'y' is time (time32[ms]), and a label is boolean,",
    ),
    "absent": (NUMBER, "Y", DataError, "there is no column 'Y'; did you mean 'y'?"),
    "absent in an expression": (NUMBER, "z > 1", DataError, "there is no column 'z'"),
    "no expression": (NUMBER, "y >", SpecError, ""),
    "one class": (NUMBER, "y > 99", DataError, "has one value: '0'"),
}


@pytest.mark.parametrize(("values", "written", "kind", "says"), BAD.values(), ids=BAD)
def test_a_label_that_cannot_be_predicted_is_refused_with_other_columns(
    tmp_path: Path, values: Any, written: str, kind: type[PipelineError], says: str
) -> None:
    table = opened(tmp_path, pa.table({"y": values, "sold": NUMBER}))
    with pytest.raises(kind) as refused:
        read_label(table, written)
    (problem,) = refused.value.problems
    assert says in problem.found and problem.key == "--label" and problem.fix


def test_spaces_around_a_name_need_not_be_written(tmp_path: Path) -> None:
    assert read_label(opened(tmp_path, pa.table({" y ": NUMBER, "x": NUMBER})), "y").text == "` y `"


@pytest.mark.parametrize(
    ("name", "expected"), [("price", "price"), ("net price", "`net price`"), ("not", "`not`"), ("2nd", "`2nd`")]
)
def test_odd_names_stand_in_backticks(name: str, expected: str) -> None:
    assert quoted(name) == expected
