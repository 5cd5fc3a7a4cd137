"""LightGBM is imported without scikit-learn and CatBoost without pandas, and other code of the process sees nothing."""

import subprocess
import sys

FORBID = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "polars"):
            raise ModuleNotFoundError(f"forbidden: {name}", name=name)

sys.meta_path.insert(0, Forbid())
"""


def passes(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_lightgbm_is_imported_without_scikit_learn_and_its_scikit_learn_classes_work_afterwards() -> None:
    passes("""
import sys
import numpy as np
from ray_pipeline.components.models._lightgbm import READERS, import_lightgbm
lightgbm = import_lightgbm()
assert "sklearn" not in sys.modules and not set(READERS) & set(sys.modules)
assert import_lightgbm() is lightgbm is sys.modules["lightgbm"]
from lightgbm import LGBMClassifier
from sklearn.base import ClassifierMixin
from sklearn.model_selection import cross_val_score
x, y = np.arange(200.0)[:, None], np.arange(200) > 90
model = LGBMClassifier(n_estimators=3, verbosity=-1)
assert isinstance(model, ClassifierMixin) and model.fit(x, y).score(x, y) == 1
assert cross_val_score(model, x, y, cv=2).shape == (2,)
assert type(model.booster_) is lightgbm.Booster
rows = lightgbm.Dataset(x, y * 1)
assert len(lightgbm.cv({"objective": "binary", "verbosity": -1}, rows, 2, nfold=2, stratified=True)) == 2
""")


def test_catboost_is_imported_without_pandas_where_there_is_none_and_leaves_no_stand_in() -> None:
    passes(
        FORBID
        + """
import numpy as np
from ray_pipeline.components.models._catboost import import_catboost
catboost = import_catboost()
assert "pandas" not in sys.modules and import_catboost() is catboost
x = np.arange(40.0, dtype=np.float32)[:, None]
quiet = {"iterations": 3, "allow_writing_files": False, "logging_level": "Silent", "loss_function": "Logloss"}
assert catboost.CatBoost(quiet).fit(x, np.arange(40) > 20).predict(x).shape == (40,)
"""
    )


def test_catboost_takes_frames_where_there_is_pandas() -> None:
    passes("""
from ray_pipeline.components.models._catboost import import_catboost
catboost = import_catboost()
import pandas as pd
frame = pd.DataFrame({"a": range(40), "b": ["x", "y"] * 20})
quiet = {"iterations": 3, "allow_writing_files": False, "logging_level": "Silent", "loss_function": "RMSE"}
model = catboost.CatBoost(quiet).fit(frame, list(range(40)), cat_features=["b"])
assert model.predict(frame).shape == (40,)
""")
