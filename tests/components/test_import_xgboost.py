"""XGBoost is imported without scikit-learn, and other code of the process sees no difference."""

import subprocess
import sys

PRELUDE = """
import sys
import numpy as np
from ray_pipeline.components.models._xgboost import READERS, import_xgboost
before = list(sys.meta_path)
xgboost = import_xgboost()
x, y = np.arange(20.0)[:, None], np.arange(20) > 9
"""


def passes(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_scikit_learn_is_not_loaded_not_even_by_an_unknown_name_and_can_be_imported_afterwards() -> None:
    passes("""
assert "sklearn" not in sys.modules and sys.meta_path == before
try:
    xgboost.nothing
except AttributeError as error:
    assert str(error) == "module 'xgboost' has no attribute 'nothing'" and "sklearn" not in sys.modules
else:
    raise AssertionError
import sklearn.linear_model
assert import_xgboost() is xgboost is sys.modules["xgboost"]
""")


def test_no_module_that_was_imported_without_scikit_learn_stays() -> None:
    passes("""
taken = {name for name, module in sys.modules.items() if name.startswith("xgboost")
         and {"SKLEARN_INSTALLED", "XGBModel", "XGBModelBase", "XGBStratifiedKFold"} & set(vars(module))}
assert not taken, taken
from xgboost import *
stale = {name for name in READERS if not sys.modules[name].__dict__.get("SKLEARN_INSTALLED", True)}
assert not stale, stale
""")


def test_the_scikit_learn_classes_of_xgboost_work_afterwards() -> None:
    passes("""
from sklearn.base import ClassifierMixin
from sklearn.model_selection import cross_val_score
from xgboost import XGBClassifier
model = XGBClassifier(n_estimators=3).fit(x, y)
assert isinstance(model, ClassifierMixin) and model.score(x, y) == 1
assert type(model.get_booster()) is xgboost.Booster and xgboost.sklearn.XGBClassifier is XGBClassifier
assert cross_val_score(model, x, y, cv=2).shape == (2,)
data = xgboost.DMatrix(x, y)
assert len(xgboost.cv({"objective": "binary:logistic"}, data, 2, nfold=2, stratified=True)) == 2
""")


def test_only_the_importing_thread_goes_without_scikit_learn() -> None:
    passes("""
import threading
from ray_pipeline.components.models._without_scikit_learn import _NoScikitLearn
found = []
with _NoScikitLearn():
    other = threading.Thread(target=lambda: found.append(__import__("sklearn")))
    other.start()
    other.join()
    del sys.modules["sklearn"]
    try:
        import sklearn
    except ModuleNotFoundError as error:
        found.append(error.name)
assert [getattr(one, "__name__", one) for one in found] == ["sklearn", "sklearn"]
""")
