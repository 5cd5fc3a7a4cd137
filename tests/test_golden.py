"""Bundles and run folders that earlier releases have written are read for ever, with the same scores.

`tests/golden/VERSION/` has a bundle for each family and an ensemble, with rows and the scores that the run stored for
them; `run` is a whole run folder. A release adds a folder, and none is ever changed.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ray_pipeline.bundle import Bundle
from ray_pipeline.report.compare import compare
from ray_pipeline.report.run_files import RunFiles
from ray_pipeline.report.write import render
from ray_pipeline.serving.loaded_model import LoadedModel

GOLDEN = Path(__file__).parent / "golden"
BUNDLES = sorted(GOLDEN.glob("*/*/bundle"))
RUNS = sorted(GOLDEN.glob("*/run"))


def name(folder: Path) -> str:
    """Version and family."""
    return folder.relative_to(GOLDEN).parent.as_posix()


def test_every_family_has_a_bundle_of_the_first_version_that_is_read_for_ever() -> None:
    families = {family for folder in BUNDLES for family in Bundle.load(folder).families}
    assert families == {"xgboost", "lightgbm", "catboost", "linear", "mlp"}
    assert RUNS


@pytest.mark.parametrize("folder", BUNDLES, ids=name)
def test_a_bundle_of_an_earlier_version_gives_its_own_scores(folder: Path) -> None:
    rows, scores = pq.read_table(folder.parent / "rows.parquet"), np.load(folder.parent / "scores.npy")
    loaded = LoadedModel.load(folder)
    # Sums of nets and of linear models depend in their last bit on the machine's vector instructions.
    tolerance = 0.0 if set(loaded.families) <= {"xgboost", "lightgbm", "catboost"} else 1e-6
    np.testing.assert_allclose(loaded.predict(rows), scores, rtol=tolerance, atol=0.0)
    assert len(scores) >= 100


@pytest.mark.parametrize("folder", RUNS, ids=name)
def test_a_run_folder_of_an_earlier_version_is_reported_and_compared(folder: Path) -> None:
    files = RunFiles.read(folder)
    assert "<title>" in render(files)
    same = compare(files, files)
    assert same["same_rows"] is True and [same[part] for part in ("spec", "data", "model", "gates")] == [[]] * 4
    assert {row["metric"] for row in same["metrics"]} == set(files.overall)
    assert all(row["first"] == row["second"] for row in same["metrics"])
