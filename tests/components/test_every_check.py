"""Every check finds what was planted for it, with its severity and rows, and says nothing of columns without a
fault."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from profile_fixture import profile_of, spec_of

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.sources._base import Footers
from ray_pipeline.errors import Problem
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import SEVERITIES

ROWS = 3_000
rng = np.random.default_rng(5)
NOISE, OTHER, LABEL = rng.normal(size=ROWS), rng.normal(size=ROWS), (rng.random(ROWS) < 0.4).astype(float)
PART = rng.choice([0, 1, 2], ROWS, p=[0.7, 0.15, 0.15])
WORD = rng.choice(["red", "green", "blue"], ROWS)
TIME = np.datetime64("2024-01-01", "us") + (np.arange(ROWS) * 3_600_000_000).astype("timedelta64[us]")
COUNT = rng.integers(1, 40, ROWS).astype(float)


@dataclass(frozen=True)
class Planted:
    """A profile with a fault in it, and what must be found."""

    make: Callable[[], Profile]
    expected: set[tuple[str | None, str]]
    says: str
    """Of the message."""
    rows: int | None = None
    spec: Callable[[], Spec] = spec_of


def planted(
    expected: set[tuple[str | None, str]],
    says: str,
    *,
    rows: int | None = None,
    spec: Callable[[], Spec] = spec_of,
    label: Any = LABEL,
    columns: dict[str, Any],
    **more: Any,
) -> Planted:
    return Planted(
        lambda: profile_of({"noise": NOISE, "word": WORD, **columns}, label, **more), expected, says, rows, spec
    )


def masked(values: Any, where: Any) -> pa.Array:
    return pa.array(values, mask=np.asarray(where))


def copied(share: float) -> dict[str, Any]:
    """Test rows of which a share is a copy of training rows; three continuous columns."""
    a, b, label = NOISE.copy(), OTHER.copy(), LABEL.copy()
    test, train = np.flatnonzero(PART == 2), np.flatnonzero(PART == 0)
    ours = test[: round(share * len(test))]
    for values in (a, b, label):
        values[ours] = values[train[: len(ours)]]
    return {"columns": {"noise": a, "other": b, "word": ["x"] * ROWS}, "label": label, "part": PART}


def footers_of(**more: Any) -> Footers:
    return Footers(
        path="rain",
        files=("a", "b", "c"),
        schema=pa.schema([]),
        num_rows=9,
        num_bytes=12,
        fingerprint="",
        file_bytes=(4, 4, 4),
        file_rows=(5, 0, 4),
        **more,
    )


CASES: dict[str, Planted] = {
    "all_null": planted(
        {("empty", "medium")}, "null in all 3,000", rows=ROWS, columns={"empty": pa.nulls(ROWS, pa.float64())}
    ),
    "constant": planted(
        {("one", "medium"), ("one_word", "medium")},
        "one value in all 3,000",
        rows=ROWS,
        columns={"one": np.full(ROWS, 2.5), "one_word": ["x"] * ROWS},
    ),
    "infinite": planted(
        {("reach", "medium")}, "infinite in 9", rows=9, columns={"reach": np.where(np.arange(ROWS) < 9, -np.inf, OTHER)}
    ),
    "precision": planted(
        {(name, "medium") for name in ("farther", "nanoseconds", "decimal", "y")} | {("far", "low")},
        "% of the different values of",
        label=1e9 + np.arange(ROWS) % 50,
        task="regression",
        spec=lambda: spec_of("regression", "y"),
        columns={
            "far": np.where(np.arange(ROWS) % 5, 1e4 * np.arange(ROWS), 3e7 + 1e-3 * np.arange(ROWS)),
            "farther": pa.array([10**13 * (row % 3) + row for row in range(ROWS)]),
            "nanoseconds": pa.array(np.arange(ROWS), pa.timestamp("ns")),
            "decimal": pa.array([Decimal(10**17 + row) for row in range(ROWS)], pa.decimal128(38)),
            "flags": np.arange(ROWS) % 2 == 0,
            "moved": pa.array([10**12 + row for row in range(ROWS)]),
            "seconds": pa.array(np.datetime64("2024-01-01", "s") + np.arange(ROWS)),
        },
    ),
    "too_large": planted(
        {("huge", "high"), ("y", "high")},
        "float32 cannot hold",
        label=OTHER * 1e39,
        task="regression",
        spec=lambda: spec_of("regression", "y"),
        columns={"huge": OTHER * 1e39},
    ),
    "id_like": planted(
        {("name", "medium"), ("number", "medium")},
        "3,000 distinct values in 3,000",
        columns={
            "name": [f"n{i}" for i in range(ROWS)],
            "number": np.arange(ROWS) * 7,
            "cents": rng.integers(0, 900, ROWS),
        },
    ),
    "null_label": planted({("y > 0", "low")}, "12 rows without a label", rows=12, columns={}, null_label=12),
    "dominating": planted(
        {("near", "high"), ("filled", "high")},
        "with whether filled is missing, and ",
        columns={
            "near": np.where(rng.random(ROWS) < 0.02, 1 - LABEL, LABEL),
            "filled": masked(OTHER, (LABEL > 0) ^ (rng.random(ROWS) < 0.02)),
            "weak": LABEL + 2 * rng.normal(size=ROWS),
            "count": COUNT,
            "more": rng.normal(size=ROWS),
        },
    ),
    "leakage": planted(
        {("copy", "high"), ("near", "medium"), ("filled", "high"), ("source", "high")},
        "with an AUC of 1.0000",
        label_inputs={"y": COUNT},
        columns={
            "copy": 3 - LABEL,
            "near": np.where(rng.random(ROWS) < 0.01, 1 - LABEL, LABEL),
            "filled": masked(NOISE, LABEL > 0),
            "source": COUNT**3,
            "weak": LABEL + 2 * OTHER,
        },
    ),
    "label_sum": planted(
        {("first", "high"), ("second", "high")},
        "y = first + second in all",
        columns={"first": COUNT, "second": OTHER, "third": COUNT + NOISE},
        label_inputs={"y": COUNT + OTHER},
    ),
    "missing_with_label": planted(
        {("air_time", "high"), ("half", "medium")},
        "missing in 99 of the 100 rows without a label, but in 0.0% of the others",
        columns={"air_time": OTHER, "half": OTHER, "free": masked(OTHER, NOISE > 1)},
        null_label=100,
        unlabelled={"noise": 1, "word": 0, "air_time": 99, "half": 60, "free": 80},
    ),
    "free_text": planted(
        {("complaint", "medium")},
        "complaint is free text: half of 3,000 sampled texts have 6 words",
        columns={
            "complaint": [f"the parcel number {i} came late" for i in range(ROWS)],
            "name": [f"parcel {i}" for i in range(ROWS)],
            "path": [f"one of the few long paths {i % 90}" for i in range(ROWS)],
        },
    ),
    "future_time": planted(
        {("left", "high"), ("closed", "high"), ("epoch", "high"), ("typo", "medium")},
        "later than asked in",
        spec=lambda: spec_of(features=", time: asked"),
        time=TIME,
        columns={
            "left": TIME + np.where(NOISE > 1, 60, -60).astype("timedelta64[s]"),
            "born": TIME - np.timedelta64(9, "D"),
            "closed": np.datetime_as_string(TIME + np.timedelta64(3, "D"), unit="D"),
            "opened": np.datetime_as_string(TIME - np.timedelta64(3, "D"), unit="D"),
            "epoch": (TIME + np.timedelta64(3, "D")).astype("datetime64[s]").astype(np.int64),
            "typo": np.where(np.arange(ROWS) < 7, TIME + np.timedelta64(999, "D"), TIME),
            "count": rng.integers(10**9, 2 * 10**9, ROWS) // 7,
        },
    ),
    "after_the_fact": planted(
        {("dep_time", "low"), ("endStation", "low"), ("total_duration", "medium"), ("closed_by", "medium")},
        "dep_time is named like the outcome of sched_dep_time",
        spec=lambda: spec_of(label="arr_loss_delay > 0"),
        columns={
            "dep_time": NOISE,
            "sched_dep_time": OTHER,
            "startStation": WORD,
            "endStation": WORD,
            "total_duration": LABEL + OTHER / 3,
            "closed_by": masked(WORD, (LABEL > 0) & (NOISE > -1)),
            "weekend": WORD,
            "friend_count": COUNT,
        },
    ),
    "early_join": planted(
        {("rain.day", "medium")},
        "is always the start of a day",
        columns={},
        time_granularity={"rain": "day"},
        spec=lambda: Spec.from_text(
            "name: seen\ntask: binary\nfeatures:\n  labels: {path: r.parquet, label: y > 0, time: at}\n  rain: {path:"
            " w.parquet, on: [k], time: day}\nsplit: {by: random}\nmodel: xgboost\n",
            file="s.yaml",
        ),
    ),
    "sentinel": planted(
        {("income", "medium"), ("gain", "medium")},
        "all other values lie in",
        columns={
            "income": np.where(OTHER > 1.8, -999.0, COUNT),
            "gain": np.where(OTHER > 1.8, 99999.0, COUNT),
            "real": np.where(OTHER > 1.8, 38.0, COUNT),
            "signed": NOISE,
        },
    ),
    "capped": planted(
        {("price", "low")},
        "its highest value",
        columns={"price": np.minimum(np.round(np.exp(OTHER) * 1000), 3000), "hour": rng.integers(0, 24, ROWS)},
    ),
    "outliers": planted(
        {("trip", "low")}, "reaches 1e+06", columns={"trip": np.where(np.arange(ROWS) == 5, 1e6, OTHER)}
    ),
    "text_as_missing": planted(
        {("job", "low")}, "'?' (", columns={"job": np.where(OTHER > 1, "?", np.where(OTHER < -1.5, " NA", "clerk"))}
    ),
    "text_variants": planted(
        {("city", "low")}, "'NY'/", columns={"city": np.where(OTHER > 0, "NY", np.where(OTHER > -1, "ny ", "Rome"))}
    ),
    "numbers_as_text": planted(
        {("rain", "low")},
        "are numbers; the others say 'T'",
        columns={
            "rain": np.where(OTHER > 1.5, "T", np.round(COUNT / 10, 1).astype(str)),
            "zip": [f"0{i % 50:04}" for i in range(ROWS)],
        },
    ),
    "rare_values": planted(
        {("shore", "low")},
        "'island' (2 rows)",
        rows=2,
        columns={"shore": np.where(np.arange(ROWS) < 2, "island", WORD)},
    ),
    "imbalance": planted(
        {("y > 0", "medium")}, "positives: 9 of 3,000", rows=9, label=(np.arange(ROWS) < 9).astype(float), columns={}
    ),
    "sample_weight": planted(
        {("fnlwgt", "medium"), ("sample_weight", "medium")},
        "named like a sample weight",
        columns={"fnlwgt": COUNT, "sample_weight": COUNT, "body_weight": COUNT, "weight_kg": COUNT},
    ),
    "derived": planted(
        {("grade", "low"), ("status", "medium")},
        "grade goes one to one with level",
        spec=lambda: spec_of(more="bias: {groups: [sex]}"),
        extra=("sex",),
        columns={
            "level": WORD,
            "grade": np.char.upper(WORD),
            "status": np.where(NOISE > 0, "mr", np.where(OTHER > 0, "ms", "mrs")),
            "sex": np.where(NOISE > 0, "m", "f"),
        }
        | {"word": COUNT},
    ),
    "duplicate_rows": planted(
        {(None, "low")},
        "20 training rows (0.7%) repeat",
        rows=20,
        label=np.r_[LABEL[:-20], LABEL[:20]],
        columns={"noise": np.r_[NOISE[:-20], NOISE[:20]], "word": np.r_[WORD[:-20], WORD[:20]]},
    ),
    "shared_rows": planted({(None, "high")}, "times its noise", **copied(0.05)),
    "repeated_ids": planted(
        {("person", "high"), ("shop", "medium")},
        "and 0.0% on new values of person",
        columns={
            "person": [f"p{i % 60}" for i in range(ROWS)],
            "born": 1950 + np.arange(ROWS) % 60 / 7,
            "city": [f"c{i % 37}" for i in range(ROWS)],
            "shop": [f"s{i % 60}" for i in range(ROWS)],
            "count": np.arange(ROWS) % 60,
        },
        label=(np.random.default_rng(1).random(60) < 0.5).astype(float)[np.arange(ROWS) % 60],
    ),
    "null_groups": planted(
        {("person", "medium"), ("visit", "low")},
        "split.group: person is null in",
        part=PART,
        group="person",
        columns={
            "person": masked([f"p{i // 3}" for i in range(ROWS)], OTHER > 0.25),
            "visit": masked(np.arange(ROWS) // 2, np.arange(ROWS) % 50 == 0),
        },
        extra=("person", "visit"),
        spec=lambda: spec_of(split="{by: random, group: person}", more="evaluate: {cluster: visit}"),
    ),
    "outside_train": planted(
        {("month", "medium"), ("year", "medium"), ("season", "medium")},
        "month has no value in test that train knows",
        part=np.where(np.arange(ROWS) < 2000, 0, np.where(np.arange(ROWS) < 2500, 1, 2)),
        columns={
            "month": np.where(
                np.arange(ROWS) < 2000, 1 + np.arange(ROWS) % 4 * 2, np.where(np.arange(ROWS) < 2500, 7, 4)
            ),
            "year": 2000.0 + np.arange(ROWS) / 100,
            "season": np.where(np.arange(ROWS) < 2000, "winter", np.where(np.arange(ROWS) < 2500, "fall", "may"))
            + (np.arange(ROWS) % 2).astype(str),
            "hour": rng.integers(0, 24, ROWS),
        },
    ),
    "shared_groups": planted(
        {("person", "high")},
        "person overlaps: ",
        part=PART,
        group="person",
        columns={"person": [f"p{i // 3}" for i in range(ROWS)]},
        extra=("person",),
        spec=lambda: spec_of(split="{by: random, group: person}"),
    ),
    "time_order": planted(
        {("asked", "high")},
        "earlier than the last training row",
        part=np.where(np.arange(ROWS) < 500, 2, np.where(np.arange(ROWS) > 2500, 1, 0)),
        time=TIME,
        columns={},
        spec=lambda: spec_of(features=", time: asked", split="{by: column, column: part}"),
    ),
    "uneven_files": planted(
        {("few", "medium"), ("other", "low"), ("odd", "low")},
        "it is null where it is missing",
        columns={"few": NOISE},
        footers={
            "labels": footers_of(
                unified={
                    "few": "labels: column 'few' is missing in 2 files; it is null where it is missing",
                    "other": "labels: column 'other' is int64 in 2 files, int32 in 1 files; it is read as int64",
                },
                partial={"few": 1},
                uneven={"odd": Problem(found="rain: column 'odd' is int64 in 2 files, string in 1 files")},
            )
        },
    ),
    "layout": planted(
        {(None, "low"), (None, "medium")},
        "1 of 3 files have 0 rows",
        columns={},
        footers={"rain": footers_of(largest_group=5 << 30)},
    ),
    "drift": planted(
        {("level", "medium"), ("tone", "medium")},
        "population stability index of",
        part=PART,
        columns={"level": NOISE + (PART == 2), "tone": np.where((PART == 1) & (OTHER > 0), "new", WORD), "same": COUNT},
    ),
}


def test_every_check_of_the_folder_is_tried_here() -> None:
    assert set(menu("checks")) == set(CASES)


@pytest.mark.parametrize("word", CASES)
def test_a_planted_fault_is_found_with_its_severity_and_nothing_else_is(word: str) -> None:
    case = CASES[word]
    findings = list(find("checks", word)().check(case.make(), case.spec()))
    columns = {(f.column, f.severity) for f in findings}
    assert columns == case.expected
    assert any(case.says in f.found for f in findings), findings
    assert all(
        f.check == word and f.severity in SEVERITIES and f.fix and (f.rows > 0 or word in ("uneven_files", "layout"))
        for f in findings
    )
    assert case.rows is None or case.rows in {f.rows for f in findings}


@pytest.mark.parametrize("word", menu("checks"))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_clean_rows_give_no_finding(word: str, task: str) -> None:
    label: Any = {"binary": LABEL, "multiclass": rng.choice(["a", "b", "c"], ROWS), "regression": np.exp(OTHER)}[task]
    label_name = "y > 0" if task == "binary" else "y"
    profile = profile_of(
        {"noise": NOISE, "word": WORD, "count": COUNT, "yes": COUNT + OTHER > 20}, label, PART, task=task, time=TIME
    )
    spec = spec_of(
        task, label_name, ", time: at", "{by: time, validation: 2024-03-01, test: 2024-04-01}", "bias: {groups: [word]}"
    )
    assert list(find("checks", word)().check(profile, spec)) == []


def test_a_column_that_determines_one_of_many_classes_is_found() -> None:
    label = rng.choice(["a", "b", "c"], ROWS)
    profile = profile_of({"copied": np.char.upper(label), "noise": NOISE}, label, task="multiclass")
    (finding,) = find("checks", "leakage")().check(profile, spec_of("multiclass", "y"))
    assert (finding.column, finding.severity) == ("copied", "high")
    assert "an accuracy of 1.0000" in finding.found


def test_a_duration_is_found_to_be_its_end_less_the_moment_of_prediction() -> None:
    seconds = rng.integers(60, 9_000, ROWS).astype(float)
    ended = TIME + (seconds * 1e6).astype("timedelta64[us]")
    profile = profile_of({"ended": ended, "noise": NOISE}, seconds, task="regression", time=TIME)
    (finding,) = find("checks", "label_sum")().check(profile, spec_of("regression", "took", features=", time: began"))
    assert finding.column == "ended"
    assert "began" in finding.found


@pytest.mark.parametrize("few", [30, 900])
def test_rows_that_are_equal_by_chance_are_no_copies(few: int) -> None:
    columns = {"word": WORD, "few": rng.integers(0, few, ROWS)}
    findings = list(find("checks", "shared_rows")().check(profile_of(columns, LABEL, PART), spec_of()))
    assert findings
    assert {f.severity for f in findings} == {"low"}


def test_repeated_rows_of_an_easy_table_are_no_leak() -> None:
    """As in the letters: a tenth of all rows equal another one with the same label, in every part."""
    a, b = rng.integers(0, 150, ROWS), rng.integers(0, 16, ROWS)
    label = (a + b > 80).astype(float)
    findings = list(find("checks", "shared_rows")().check(profile_of({"a": a, "b": b}, label, PART), spec_of()))
    assert max(f.rows for f in findings) > 50
    assert "high" not in {f.severity for f in findings}


@pytest.mark.parametrize("seed", range(4))
def test_independent_rows_of_a_few_coarse_columns_are_no_leak(seed: int) -> None:
    """Nearly all rows equal another one, and the rows whose values are in one part alone are the odd ones."""
    draw = np.random.default_rng(seed)
    age = np.clip(np.round(draw.normal(40, 15, ROWS) / 10) * 10, 0, 200)
    kids, female = np.clip(np.round(draw.normal(1.5, 1.2, ROWS)), 0, None), draw.random(ROWS) < 0.5
    label = (draw.random(ROWS) < 1 / (1 + np.exp(1 - (age - 40) / 12 + female))).astype(float)
    profile = profile_of({"age": age, "kids": kids, "female": female}, label, PART)
    findings = list(find("checks", "shared_rows")().check(profile, spec_of()))
    assert max(f.rows for f in findings) > 0.9 * (PART == 2).sum()
    assert {f.severity for f in findings} <= {"low", "medium"}


@pytest.mark.parametrize("times", [2, 5])
def test_rows_that_were_repeated_before_a_random_split_are_a_leak(times: int) -> None:
    source = np.arange(ROWS) // times
    columns = {"a": NOISE[source], "b": OTHER[source]}
    findings = list(find("checks", "shared_rows")().check(profile_of(columns, LABEL[source], PART), spec_of()))
    assert {f.severity for f in findings} == {"high"}


def test_a_handful_of_copies_changes_nothing_and_is_low() -> None:
    case = copied(0.01)
    findings = find("checks", "shared_rows")().check(
        profile_of(case["columns"], case["label"], case["part"]), spec_of()
    )
    assert [f.severity for f in findings] == ["low"]


def test_copies_in_a_table_that_is_too_small_to_measure_are_a_leak_by_their_share() -> None:
    case = copied(1.0)
    few = np.r_[np.flatnonzero(PART == 0)[:100], np.flatnonzero(PART == 2)[:20]]
    columns = {name: np.asarray(values)[few] for name, values in case["columns"].items()}
    profile = profile_of(columns, case["label"][few], PART[few])
    (finding,) = find("checks", "shared_rows")().check(profile, spec_of())
    assert (finding.severity, finding.rows) == ("high", 20)


def test_an_easy_table_has_no_dominating_column() -> None:
    """Every column is the label with noise; any three of them suffice."""
    columns = {f"x{i}": LABEL + rng.normal(size=ROWS) / 4 for i in range(9)}
    assert list(find("checks", "dominating")().check(profile_of(columns, LABEL), spec_of())) == []
    assert {f.severity for f in find("checks", "leakage")().check(profile_of(columns, LABEL), spec_of())} == {"medium"}


@pytest.mark.parametrize("noise", [0.02, 0.05])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_noisy_copy_of_the_label_dominates(task: str, noise: float) -> None:
    label: Any = {"binary": LABEL, "multiclass": rng.choice(["a", "b", "c", "d"], ROWS), "regression": np.exp(OTHER)}[
        task
    ]
    copy = np.where(rng.random(ROWS) < noise, label[rng.permutation(ROWS)], label)
    if task == "regression":
        copy = label * (1 + noise * rng.normal(size=ROWS))
    related = NOISE + (label == "a") if task == "multiclass" else NOISE + label
    profile = profile_of({"copy": copy, "related": related, "word": WORD}, label, task=task)
    findings = list(find("checks", "dominating")().check(profile, spec_of(task, "y > 0" if task == "binary" else "y")))
    assert [(f.column, f.severity) for f in findings] == [("copy", "high")]


def test_a_near_copy_of_many_classes_is_high_even_where_the_other_columns_explain_them() -> None:
    classes = np.array(["a", "b", "c", "d"])
    draw = np.random.default_rng(4)
    code = draw.integers(0, 4, ROWS)
    near = np.where(draw.random(ROWS) < 0.03, draw.integers(0, 4, ROWS), code)
    columns = {"clear": code + draw.normal(size=ROWS) / 9, "near": np.array(["w", "x", "y", "z"])[near], "word": WORD}
    profile = profile_of(columns, classes[code], task="multiclass")
    found = {f.column: f.severity for f in find("checks", "leakage")().check(profile, spec_of("multiclass", "y"))}
    assert found == {"clear": "medium", "near": "high"}


def test_a_column_that_says_nothing_of_new_groups_does_not_dominate() -> None:
    """Each person has one label; those in validation do not occur in train."""
    person = np.where(PART == 0, np.arange(ROWS) % 20, 20 + np.arange(ROWS) % 8)
    label = rng.random(28)[person]
    columns = {"person": np.char.add("p", person.astype(str)), "noise": NOISE, "word": WORD}
    profile = profile_of(columns, label, PART, task="regression")
    assert list(find("checks", "dominating")().check(profile, spec_of("regression", "y"))) == []


def test_a_copy_of_the_label_is_high_even_where_the_other_columns_explain_it() -> None:
    columns = {"a": LABEL + NOISE / 9, "b": LABEL + OTHER / 9, "copy": np.where(LABEL > 0, "yes", "no")}
    findings = {f.column: f.severity for f in find("checks", "leakage")().check(profile_of(columns, LABEL), spec_of())}
    assert findings == {"a": "medium", "b": "medium", "copy": "high"}


def test_ids_that_say_nothing_of_the_label_may_be_in_several_parts() -> None:
    columns = {"person": [f"p{i % 300}" for i in range(ROWS)], "noise": LABEL + NOISE}
    assert list(find("checks", "repeated_ids")().check(profile_of(columns, LABEL), spec_of())) == []


def test_copies_are_estimated_from_a_share_of_the_contents() -> None:
    case = copied(0.4)
    profile = profile_of(case["columns"], case["label"], case["part"], share=0.5)
    (finding,) = find("checks", "shared_rows")().check(profile, spec_of())
    assert finding.severity == "high"
    assert finding.rows == pytest.approx(0.4 * (PART == 2).sum(), rel=0.25)
