"""Every check finds what was planted for it, with its severity and rows, and says nothing of columns without a
fault."""

from collections.abc import Callable
from dataclasses import dataclass
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
    "too_large": planted({("huge", "high")}, "float32 cannot hold", columns={"huge": OTHER * 1e39}),
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
        {("left", "high")},
        "later than asked in",
        spec=lambda: spec_of(features=", time: asked"),
        time=TIME,
        columns={
            "left": TIME + np.where(NOISE > 1, 60, -60).astype("timedelta64[s]"),
            "born": TIME - np.timedelta64(9, "D"),
        },
    ),
    "after_the_fact": planted(
        {("dep_time", "medium"), ("endStation", "medium"), ("total_duration", "medium")},
        "dep_time is named like the outcome of sched_dep_time",
        spec=lambda: spec_of(label="arr_loss_delay > 0"),
        columns={
            "dep_time": NOISE,
            "sched_dep_time": OTHER,
            "startStation": WORD,
            "endStation": WORD,
            "total_duration": NOISE,
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
    "shared_rows": planted({(None, "high")}, "test rows (20.", **copied(0.2)),
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
        {("few", "low"), ("odd", "low")},
        "is in 1 of 3 files only",
        columns={},
        footers={
            "rain": footers_of(
                extra={"few": 1},
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


@pytest.mark.parametrize("coarse", [False, True])
def test_rows_that_are_equal_by_chance_are_no_copies(coarse: bool) -> None:
    columns = {"word": WORD, "few": rng.integers(0, 30 if coarse else 900, ROWS)}
    findings = list(find("checks", "shared_rows")().check(profile_of(columns, LABEL, PART), spec_of()))
    assert findings
    assert {f.severity for f in findings} == {"medium"}


def test_copies_are_estimated_from_a_share_of_the_contents() -> None:
    case = copied(0.4)
    profile = profile_of(case["columns"], case["label"], case["part"], share=0.5)
    (finding,) = find("checks", "shared_rows")().check(profile, spec_of())
    assert finding.severity == "high"
    assert finding.rows == pytest.approx(0.4 * (PART == 2).sum(), rel=0.25)
