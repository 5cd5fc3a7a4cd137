"""The estimator of a registered model follows scikit-learn's conventions; it is fitted and frozen."""

import copy
import pickle
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bundle_fixture import train
from serving_fixture import numbers, train_on_numbers
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from ray_pipeline.serving import LoadedModel

WIDTHS = (1, 2, 3, 4, 5, 10)
"""Numbers of columns in the data of scikit-learn's checks: a fitted model takes one of them only."""
LEARNS = "`fit` learns nothing, because the model is fitted already"
JUDGES = "`fit` does not look at its data, because the model is fitted already"
NAMED = "the columns of a data frame are found by their names, and these are 0, 1, ..."
TEXTS = "the classes of a multiclass model are texts, and the check compares them with numbers"
DO_NOT_APPLY = {
    "check_complex_data": JUDGES,
    "check_estimators_empty_data_messages": JUDGES,
    "check_estimator_sparse_tag": JUDGES,
    "check_estimator_sparse_array": JUDGES,
    "check_estimator_sparse_matrix": JUDGES,
    "check_supervised_y_no_nan": JUDGES,
    "check_supervised_y_2d": JUDGES,
    "check_fit1d": JUDGES,
    "check_classifiers_train": JUDGES,
    "check_regressors_train": JUDGES,
    "check_classifiers_regression_target": JUDGES,
    "check_n_features_in": "`n_features_in_` is there before `fit`, because the model is fitted already",
    "check_classifiers_one_label": LEARNS,
    "check_classifiers_classes": LEARNS,
    "check_classifier_data_not_an_array": NAMED,
    "check_regressor_data_not_an_array": NAMED,
    "check_array_api_input": "it is skipped unless SCIPY_ARRAY_API is set",
}
DO_NOT_APPLY_TO_TEXTS = {
    "check_fit_score_takes_y": TEXTS,
    "check_pipeline_consistency": TEXTS,
    "check_estimators_pickle": TEXTS,
    "check_methods_sample_order_invariance": TEXTS,
    "check_methods_subset_invariance": TEXTS,
    "check_fit_idempotent": TEXTS,
    "check_classifiers_one_label_sample_weights": TEXTS,
}


def named(columns: int) -> list[str]:
    """The names of as many columns."""
    return [f"x{place}" for place in range(columns)]


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model on columns of every kind."""
    folder = tmp_path_factory.mktemp(request.param)
    train(folder, task=request.param)
    return LoadedModel.load(folder / "model")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Rows for that model."""
    return train(tmp_path_factory.mktemp("rows")).rows


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_check_of_scikit_learn_that_applies_passes(task: str, tmp_path: Path) -> None:
    statuses: dict[str, list[set[str]]] = defaultdict(list)
    for columns in WIDTHS:
        estimator = train_on_numbers(tmp_path / str(columns), task, named(columns)).estimator()
        found: dict[str, set[str]] = defaultdict(set)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # arrays have no names of columns
            for result in check_estimator(estimator, on_fail=None, on_skip=None):
                found[result["check_name"]].add(result["status"])
        for name, status in found.items():
            statuses[name].append(status)
    never = {name for name, found in statuses.items() if {"passed"} not in found}
    allowed = {*DO_NOT_APPLY, *(DO_NOT_APPLY_TO_TEXTS if task == "multiclass" else ())}
    assert never - allowed == set()
    assert allowed & {*statuses} <= never  # none is excused for nothing
    assert len(statuses) - len(never) >= (25 if task == "multiclass" else 32)


def test_it_decides_and_gives_probabilities_as_the_bundle_does(model: LoadedModel, rows: pa.Table) -> None:
    estimator, score = model.estimator(), model.score(rows)
    frames = (rows, rows.to_pandas(), pl.from_arrow(rows), rows.to_pylist())
    for frame in frames:
        decisions = estimator.predict(frame)
        assert decisions.tolist() == model.decide(score).tolist()
        if model.schema["task"] == "regression":
            assert is_regressor(estimator) and not hasattr(estimator, "predict_proba")
            continue
        assert is_classifier(estimator) and decisions.dtype == estimator.classes_.dtype
        probability = estimator.predict_proba(frame)
        assert probability.shape == (len(rows), len(estimator.classes_))
        np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(probability[:, 1] if score.ndim == 1 else probability, score)
    classes = {"binary": [0, 1], "multiclass": ["high", "low", "mid"], "regression": None}[model.schema["task"]]
    assert classes is None or estimator.classes_.tolist() == classes


def test_its_columns_are_those_of_the_bundle(model: LoadedModel, rows: pa.Table) -> None:
    estimator = model.estimator()
    assert estimator.feature_names_in_.tolist() == list(model.columns) == rows.column_names
    assert estimator.n_features_in_ == 6
    shuffled = rows.select(rows.column_names[::-1]).append_column("other", pa.nulls(len(rows)))
    assert estimator.predict(shuffled).tolist() == estimator.predict(rows).tolist()


def test_rows_that_do_not_fit_are_a_value_error_as_scikit_learn_expects(model: LoadedModel, rows: pa.Table) -> None:
    estimator = model.estimator()
    with pytest.raises(ValueError, match="1 of 6 columns are missing: carrier"):
        estimator.predict(rows.drop_columns("carrier"))
    with (
        pytest.warns(UserWarning, match="does not have valid feature names"),
        pytest.raises(ValueError, match=r"X has 2 features, but Bundle.* is expecting 6 features as input"),
    ):
        estimator.predict(np.zeros((3, 2)))


def test_an_array_has_the_columns_in_the_order_of_the_model(tmp_path: Path) -> None:
    model, matrix = train_on_numbers(tmp_path, "binary", named(4)), numbers(50, 4, seed=1)
    estimator, frame = model.estimator(), pd.DataFrame(matrix, columns=named(4))
    for given in (matrix, matrix.tolist(), matrix.astype(object)):
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            np.testing.assert_array_equal(estimator.predict_proba(given), estimator.predict_proba(frame))


def test_the_threshold_of_the_model_decides(tmp_path: Path) -> None:
    frame = pd.DataFrame(numbers(300, 2, seed=2), columns=named(2))
    for threshold in (0.02, 0.98):
        estimator = train_on_numbers(tmp_path / str(threshold), "binary", named(2), threshold=threshold).estimator()
        chosen = estimator.predict_proba(frame)[:, 1] >= threshold
        assert estimator.predict(frame).tolist() == chosen.astype(int).tolist()


def test_it_is_fitted_and_fit_changes_nothing(model: LoadedModel, rows: pa.Table) -> None:
    estimator = model.estimator()
    check_is_fitted(estimator)
    before = estimator.predict(rows).tolist()
    assert estimator.fit(rows.slice(0, 3), [1, 0, 1]) is estimator
    assert estimator.predict(rows).tolist() == before


def test_it_clones_copies_and_pickles(model: LoadedModel, rows: pa.Table) -> None:
    estimator = model.estimator()
    assert estimator.get_params() == {"model": model}
    score = model.score(rows)
    for again in (clone(estimator), copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        assert type(again) is type(estimator) and again is not estimator
        assert again.model.fingerprint == model.fingerprint
        np.testing.assert_array_equal(again.model.score(rows), score)
        np.testing.assert_array_equal(again.predict(rows), estimator.predict(rows))


def test_a_pickled_model_that_was_changed_is_refused(model: LoadedModel) -> None:
    from ray_pipeline.errors import RegistryError

    rebuild, (files, fingerprint) = model.__reduce__()
    changed = {**files, "calibration.json": files["calibration.json"] + b" "}
    with pytest.raises(RegistryError, match=r"calibration\.json"):
        rebuild(changed, fingerprint)


def test_it_works_where_scikit_learn_takes_a_fitted_estimator(tmp_path: Path) -> None:
    estimator = train_on_numbers(tmp_path, "binary", named(3)).estimator()
    frame = pd.DataFrame(numbers(400, 3, seed=3), columns=named(3))
    label = (frame["x0"] > 0).to_numpy()
    accuracy = accuracy_score(label, estimator.predict(frame))
    assert accuracy > 0.9 and estimator.score(frame, label) == accuracy
    assert np.mean(cross_val_score(estimator, frame, label, cv=4)) == pytest.approx(accuracy)
    importance = permutation_importance(estimator, frame, label, n_repeats=3, random_state=0).importances_mean
    assert importance.argmax() == 0 and importance[0] > 0.3
    piped = make_pipeline(FunctionTransformer(), estimator).fit(frame, label)
    assert piped.predict(frame).tolist() == estimator.predict(frame).tolist()
    calibrated = CalibratedClassifierCV(estimator, cv=2).fit(frame, label)
    assert calibrated.predict_proba(frame).shape == (400, 2)


def test_scikit_learn_is_imported_for_an_estimator_alone(model: LoadedModel) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pathlib; from ray_pipeline.serving import LoadedModel;"
        f"loaded = LoadedModel.load(pathlib.Path({str(model.folder)!r})); before = 'sklearn' in sys.modules;"
        "loaded.estimator(); print(before, 'sklearn' in sys.modules, 'ray' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "True", "False"]


def test_a_loaded_model_is_shown_in_one_line(model: LoadedModel) -> None:
    shown = repr(model)
    assert shown.startswith(f"<LoadedModel {model.fingerprint[:12]}: ") and len(shown) < 80
    assert f"{model.schema['task']}, {len(model.schema['columns'])} columns" in shown
