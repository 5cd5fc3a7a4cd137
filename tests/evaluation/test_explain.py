"""Explanations: a column that decides is found, one that says nothing is not, and Shapley values add up to the
score."""

from pathlib import Path

import numpy as np
import xgboost
from bundle_fixture import train
from part_fixture import spec_of

from ray_pipeline.components.choice import find
from ray_pipeline.evaluation.explain import importance_of
from ray_pipeline.values import Predictions


def test_the_columns_that_made_the_label_come_first_and_the_others_are_within_noise(tmp_path: Path) -> None:
    trained = train(tmp_path)
    bundle = trained.bundle
    matrix = bundle.encoder.apply(trained.rows)
    n = len(matrix)
    label = (trained.raw > 0.5).astype(float)
    rows = Predictions(
        task="binary",
        classes=("0", "1"),
        key=np.arange(n),
        label=label,
        score=bundle.score_matrix(matrix),
        weight=np.ones(n),
        cluster=np.arange(n, dtype=np.uint64),
    )
    contributions = find("models", "xgboost").contributions(bundle.folder, matrix)
    found = importance_of(bundle, matrix, rows, spec_of(), contributions, np.random.default_rng(0))
    by_name = {one.column: one for one in found.importance}
    assert {one.column for one in found.importance[:3]} == {"distance", "carrier", "weather.temp"}
    assert by_name["distance"].low > 0 and by_name["distance"].value > 0.1
    assert by_name["late"].low <= 0.01 and by_name["late"].value < 0.02
    assert by_name["distance"].shap is not None and by_name["distance"].shap > 3 * (by_name["late"].shap or 0)


def test_shapley_values_add_up_to_the_log_odds(tmp_path: Path) -> None:
    bundle = (trained := train(tmp_path)).bundle
    matrix = bundle.encoder.apply(trained.rows)
    contributions = find("models", "xgboost").contributions(bundle.folder, matrix)
    assert contributions is not None and contributions.shape == matrix.shape
    booster = xgboost.Booster(model_file=bundle.folder / "model.ubj")
    margin = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    bias = margin - contributions.sum(1)
    np.testing.assert_allclose(bias, bias[0], atol=1e-4)
