"""XGBoost without scikit-learn: what a run imports, and what a user's code in the same process still finds."""

import json
import subprocess
import sys

import pytest

BEGIN = """
import json, sys, threading
import numpy as np
from ray_pipeline.components.models._private_xgboost import import_xgboost
x, y = np.random.default_rng(0).random((40, 2)), np.arange(40) % 2
"""


def printed(code: str) -> object:
    """The JSON value that a new process prints."""
    command = [sys.executable, "-c", BEGIN + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_training_and_scoring_by_the_core_need_no_scikit_learn() -> None:
    code = """
xgboost = import_xgboost()
booster = xgboost.Booster({}, [data := xgboost.QuantileDMatrix(x, y)])
booster.update(data, 0)
print(json.dumps([len(booster.inplace_predict(x)), "sklearn" in sys.modules, import_xgboost() is xgboost]))
"""
    assert printed(code) == [40, False, True]


@pytest.mark.parametrize(
    "use",
    [
        "from xgboost import XGBClassifier; model = XGBClassifier(n_estimators=2).fit(x, y)",
        "from xgboost.sklearn import XGBClassifier; model = XGBClassifier(n_estimators=2).fit(x, y)",
        "import xgboost; model = xgboost.XGBRFClassifier(n_estimators=2).fit(x, y)",
        "from xgboost import *; model = XGBClassifier(n_estimators=2).fit(x, y)",
    ],
)
def test_a_users_code_finds_the_wrappers_in_the_same_process(use: str) -> None:
    code = f"""
import_xgboost()
{use}
from sklearn.base import BaseEstimator
from sklearn.model_selection import cross_val_score
print(json.dumps([isinstance(model, BaseEstimator), len(cross_val_score(model, x, y, cv=2))]))
"""
    assert printed(code) == [True, 2]


def test_a_users_code_finds_train_and_stratified_cv() -> None:
    code = """
import_xgboost()
import xgboost
data = xgboost.DMatrix(x, y)
params = {"objective": "binary:logistic"}
booster = xgboost.train(params, data, 3)
found = xgboost.cv(params, data, 3, nfold=2, stratified=True, as_pandas=False)
print(json.dumps([booster.num_boosted_rounds(), len(found["test-logloss-mean"]), hasattr(xgboost, "no_such_name")]))
"""
    assert printed(code) == [3, 3, False]


def test_other_threads_find_scikit_learn_all_the_time() -> None:
    code = """
import importlib.util
before, found, import_module = list(sys.meta_path), [], importlib.import_module

def watched(name):
    other = threading.Thread(target=lambda: found.append(importlib.util.find_spec("sklearn") is not None))
    other.start()
    other.join()
    return import_module(name)

importlib.import_module = watched
import_xgboost()
print(json.dumps([all(found), len(found) > 0, sys.meta_path == before, "sklearn" in sys.modules]))
"""
    assert printed(code) == [True, True, True, False]


def test_xgboost_still_has_the_modules_that_are_imported_without_scikit_learn() -> None:
    import xgboost

    from ray_pipeline.components.models._private_xgboost import WITH_SCIKIT_LEARN

    for name in WITH_SCIKIT_LEARN:
        assert f"xgboost.{name}" in sys.modules or hasattr(xgboost, name), name
    assert xgboost.XGBClassifier.__module__ == "xgboost.sklearn"
    assert xgboost.cv.__module__ == "xgboost.training"
