"""Planted faults are found with their severity; columns without a fault have no finding."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline.data.rows import LABEL, RowCounts
from ray_pipeline.errors import DataError
from ray_pipeline.profiling.column_statistics import describe_column
from ray_pipeline.profiling.findings import check, raise_on_findings
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

ROWS = 2_000
SPEC = """\
name: checked
task: {task}
features: {{labels: {{path: rows.parquet, label: y{when}, key: id}}}}
split: {{by: random}}
model: xgboost
checks: {{fail_on: {fail_on}, ignore: [{ignore}]}}
"""


def spec_of(task: str = "binary", fail_on: str = "high", ignore: str = "") -> Spec:
    return Spec.from_text(
        SPEC.format(task=task, when=" > 0" if task == "binary" else "", fail_on=fail_on, ignore=ignore),
        file="checked.yaml",
    )


def profile_of(columns: Mapping[str, Any], label: Any, null_label: int = 0) -> Profile:
    made = {name: pa.chunked_array([values]) for name, values in columns.items()}
    return Profile(
        types={name: values.type for name, values in made.items()},
        columns={name: describe_column(values) for name, values in made.items()},
        counts=RowCounts(null_label=null_label),
        parts={"train": len(label)},
        labels={},
        classes=("0", "1"),
        sample=pa.table({**made, LABEL: np.asarray(label, float)}),
    )


def planted(task: str = "binary") -> tuple[dict[str, Any], Any]:
    """Columns by the fault that was planted in them, and the label."""
    rng = np.random.default_rng(0)
    number = rng.normal(size=ROWS)
    label = (number > 0.5).astype(float) if task == "binary" else number
    noise = rng.normal(size=ROWS)
    word = rng.choice(["a", "b", "c", "d"], ROWS)
    return {
        "clean": noise,
        "weak": label + 2 * noise,
        "clean_word": word,
        "some_missing": pa.array(noise, mask=rng.random(ROWS) < 0.3),
        "copy": label * 3 + 1,
        "reversed": -label,
        "copied_word": np.where(label > 0, "yes", "no"),
        "near": np.where(rng.random(ROWS) < 0.01, 1 - label, label),
        "filled_after": pa.array(noise, mask=label > 0),
        "constant": np.full(ROWS, 4.0),
        "constant_word": ["x"] * ROWS,
        "empty": pa.nulls(ROWS, pa.float64()),
        "infinite": np.where(np.arange(ROWS) < 7, np.inf, noise),
        "huge": noise * 1e39,
        "id": [f"id-{i}" for i in range(ROWS)],
    }, label


def test_each_planted_fault_is_found_with_its_severity_and_clean_columns_with_none() -> None:
    columns, label = planted()
    found = {(f.column, f.check, f.severity) for f in check(profile_of(columns, label), spec_of())}
    assert found == {
        ("copy", "leakage", "high"),
        ("reversed", "leakage", "high"),
        ("copied_word", "leakage", "high"),
        ("near", "leakage", "medium"),
        ("filled_after", "leakage", "high"),
        ("constant", "constant", "medium"),
        ("constant_word", "constant", "medium"),
        ("empty", "all_null", "medium"),
        ("infinite", "infinite", "medium"),
        ("huge", "too_large", "high"),
        ("id", "id_like", "medium"),
        ("filled_after", "after_the_fact", "medium"),
        ("reversed", "derived", "low"),
        ("copied_word", "derived", "low"),
    }


def test_a_regression_s_label_in_disguise_is_found_by_rank() -> None:
    _, label = planted("regression")
    noise = np.random.default_rng(1).normal(size=ROWS)
    columns = {"cubed": label**3, "related": label + noise, "clean": np.random.default_rng(2).normal(size=ROWS)}
    assert [(f.column, f.check, f.severity) for f in check(profile_of(columns, label), spec_of("regression"))] == [
        ("cubed", "leakage", "high")
    ]


def test_a_finding_counts_its_rows_and_the_gravest_come_first() -> None:
    columns, label = planted()
    findings = check(profile_of(columns, label, null_label=12), spec_of())
    grades = [f.severity for f in findings]
    assert grades == sorted(grades, key=["high", "medium", "low"].index)
    by = {f.column: f for f in reversed(findings)}
    assert by["infinite"].rows == 7 and "7 training rows" in by["infinite"].found
    assert (
        by["constant"].rows == ROWS
        and by["filled_after"].rows == int(label.sum())
        and "missing" in by["filled_after"].found
    )
    assert findings[-1].check == "null_label" and findings[-1].rows == 12
    assert f"{ROWS:,} distinct values in {ROWS:,} rows" in by["id"].found


def test_rare_values_of_a_category_do_not_predict_themselves() -> None:
    rng = np.random.default_rng(2)
    columns = {"rare": [f"v{i}" for i in rng.integers(0, 900, ROWS)]}
    assert check(profile_of(columns, rng.integers(0, 2, ROWS)), spec_of()) == ()


@pytest.mark.parametrize("ignore", ["leakage", "'leakage:copy'"])
def test_what_is_ignored_by_check_or_by_column_is_not_reported(ignore: str) -> None:
    columns, label = planted()
    assert check(profile_of({"copy": columns["copy"]}, label), spec_of(ignore=ignore)) == ()
    kept = {f.check for f in check(profile_of({"near": columns["near"]}, label), spec_of(ignore=ignore))}
    assert kept == ({"dominating"} if ignore == "leakage" else {"dominating", "leakage"})


@pytest.mark.parametrize(("present", "found"), [(19, 0), (20, 1), (150, 1)])
def test_texts_that_all_differ_are_ids_in_a_small_table_too(present: int, found: int) -> None:
    texts = pa.array([f"b{row}" if row < present else None for row in range(160)])
    label = np.arange(160) % 2.0
    findings = check(profile_of({"bottle": texts, "wine": pa.array(["red", "white"] * 80)}, label), spec_of())
    assert sum(one.check == "id_like" and one.column == "bottle" for one in findings) == found
    assert not any(one.check == "id_like" and one.column == "wine" for one in findings)


def test_amounts_that_hardly_repeat_are_no_ids() -> None:
    draw = np.random.default_rng(0)
    columns = {
        "drawn": draw.permutation(10**7)[:3_000],
        "counted": np.arange(3_000) * 3 + 5,
        "bytes": draw.lognormal(14, 1, 3_000).astype(np.int64),
        "balance": draw.normal(0, 10**9, 3_000).astype(np.int64),
    }
    findings = check(profile_of(columns, np.arange(3_000) % 2.0), spec_of())
    assert {one.column for one in findings if one.check == "id_like"} == {"drawn", "counted"}


@pytest.mark.parametrize(
    ("fail_on", "refused"), [("high", {"b"}), ("medium", {"a", "b"}), ("low", {"a", "b", "c"}), ("never", set())]
)
def test_findings_at_or_above_fail_on_refuse_the_run(fail_on: str, refused: set[str]) -> None:
    findings = tuple(
        Finding(check=check, severity=severity, column=column, rows=9, found="x", fix="y")
        for check, severity, column in (
            ("leakage", "high", "b"),
            ("id_like", "medium", "a"),
            ("null_label", "low", "c"),
        )
    )
    if not refused:
        raise_on_findings(findings, spec_of(fail_on=fail_on))
        return
    with pytest.raises(DataError) as raised:
        raise_on_findings(findings, spec_of(fail_on=fail_on))
    assert raised.value.exit_code == 3 and {p.column for p in raised.value.problems} == refused
    assert "add 'leakage:b' to checks.ignore" in str(raised.value)
