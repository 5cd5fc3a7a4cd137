"""Gates lie between the baseline and a constant model, on the side that a sane model reaches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from start_fixture import customers, write_csv

from ray_pipeline.spec.gate import Gate
from ray_pipeline.start import propose
from ray_pipeline.start.baseline import FoldScore
from ray_pipeline.start.draft import Draft
from ray_pipeline.start.gates import with_gates
from ray_pipeline.start.split import SplitProposal

BY_TIME = SplitProposal(keys={"by": "time"}, why="")


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """A binary task whose metric is auc."""
    folder = tmp_path_factory.mktemp("gates")
    return propose("m", str(write_csv(customers(), folder / "a.csv")), folder, label="churned")


def folds(*values: float, constant: float = 0.5, error: float = 0.01, rows: int = 1000) -> list[FoldScore]:
    return [FoldScore(value=value, constant=constant, error=error, rows=rows) for value in values]


def first(draft: Draft) -> Gate:
    return Gate.parse(draft.gates[0].value)


def test_a_gate_leaves_room_for_the_interval_and_for_another_sample(draft: Draft) -> None:
    gate = first(with_gates(draft, folds(0.9, 0.9, 0.9), 1000))
    noise = 0.01 * np.hypot(1, 1 / np.sqrt(3))
    assert (gate.metric, gate.op, gate.point) == ("auc", ">=", False)
    assert gate.number == pytest.approx(0.9 - 2 * noise - 1.96 * 0.01, abs=1e-3)


def test_the_gate_is_below_the_worst_fold(draft: Draft) -> None:
    assert 0.79 < (first(with_gates(draft, folds(0.9, 0.8, 0.9, error=1e-4), 1000)).number or 0) <= 0.8


def test_a_split_by_time_leaves_a_quarter_of_the_way(draft: Draft) -> None:
    scores = folds(0.9, 0.9, error=1e-5)
    assert first(with_gates(draft, scores, 1000)).number == 0.86
    assert first(with_gates(replace(draft, split=BY_TIME), scores, 1000)).number == 0.8


def test_a_wide_interval_is_judged_by_its_point_and_stays_clearly_above_the_constant(draft: Draft) -> None:
    gated = with_gates(draft, folds(0.72, 0.7, 0.71, error=0.05), 1000)
    gate = first(gated)
    assert gate.point and 0.58 <= (gate.number or 0) < 0.71
    assert "the interval is wide" in gated.gates[0].why


def test_few_test_rows_are_judged_by_the_value_itself(draft: Draft) -> None:
    """A few rows of a loss decide its interval: on 36 rows one of scikit-learn's wines made it five times as wide."""
    scores = folds(0.9, 0.9, 0.9)
    few, many = (with_gates(draft, scores, rows) for rows in (199, 200))
    assert first(few).point and not first(many).point
    assert first(few).number == pytest.approx(first(many).number, abs=1e-3)
    assert few.gates[0].why.endswith("199 test rows are too few for an interval, so the value itself is judged")


def test_noise_gives_no_gate_but_a_reason(draft: Draft) -> None:
    gated = with_gates(draft, folds(0.52, 0.49, error=0.02), 1000)
    assert gated.gates == () and gated.no_gate.endswith("the difference is within the noise of so few rows")
    worse = with_gates(draft, folds(0.45, 0.49, error=0.02), 1000)
    assert worse.gates == () and worse.no_gate.endswith("it has learned nothing that holds for other rows")
    assert with_gates(draft, [], 1000).no_gate == "the rows are too few to score a baseline on"


def test_a_lower_error_is_gated_from_above(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 800))
    table = pa.table({"x": x, "z": z, "price": 1000 * x + 800 * z + 300 * rng.normal(size=800)})
    draft = propose("m", str(write_csv(table, tmp_path / "a.csv")), tmp_path, label="price")
    gate = first(draft)
    assert (gate.metric, gate.op) == ("rmse", "<=")
    assert 100 < (gate.number or 0) < 0.6 * float(np.std(table["price"].to_numpy()))
    assert draft.gates[1].value.startswith("rmse <= champion + ")


def test_the_baseline_gives_the_same_gates_each_time(draft: Draft, tmp_path: Path) -> None:
    again = propose("m", str(write_csv(customers(), tmp_path / "a.csv")), tmp_path, label="churned")
    assert again.gates == draft.gates
