"""What a model costs those who serve it: measured on one row, with the size of its files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundle_fixture import train

from ray_pipeline.components.choice import find
from ray_pipeline.evaluation import latency
from ray_pipeline.evaluation.latency import CALLS, ServingCosts, row_ms, row_ms_of


def test_the_size_is_that_of_the_files_and_a_row_takes_some_time(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    costs = ServingCosts.of(bundle)
    assert costs.size_mb == sum(file.stat().st_size for file in bundle.folder.iterdir()) / 1e6
    assert 0 < costs.latency_ms < 1_000


def test_the_whole_bundle_scores_one_row_of_its_own_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, seen = train(tmp_path).bundle, []
    score = type(bundle).score
    monkeypatch.setattr(type(bundle), "score", lambda self, rows: (seen.append(rows), score(self, rows))[1])
    ServingCosts.of(bundle)
    assert len(seen) == CALLS
    assert all(rows.num_rows == 1 and set(rows.column_names) == set(bundle.columns) for rows in seen)


def test_the_median_of_the_calls_counts_and_not_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    row, scored = np.zeros((1, 3), np.float32), []

    def timed(call: Callable[[], object], number: int, repeat: int) -> list[float]:
        call()
        assert (number, repeat) == (1, CALLS)
        return [5.0 if turn % 10 == 0 else 0.002 for turn in range(repeat)]  # one call in ten is held up

    monkeypatch.setattr(latency, "repeat", timed)
    assert row_ms(scored.append, row) == 2.0  # type: ignore[arg-type]
    assert scored == [row]


def test_a_model_that_is_no_file_yet_is_timed_as_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = train(tmp_path).bundle
    family, timed = find("models", "xgboost"), []
    monkeypatch.setattr(latency, "row_ms", lambda scorer, row: timed.append(scorer(row)) or 1.5)
    matrix = bundle.encoder.apply(train(tmp_path / "rows").rows)[:1]
    assert row_ms_of(family, (bundle.folder / family.file).read_bytes(), matrix) == 1.5
    np.testing.assert_array_equal(timed[0], family.load(bundle.folder)(matrix))
