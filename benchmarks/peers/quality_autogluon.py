"""AutoGluon with a preset and a time limit, without its neural networks where torch is not installed.
usage: quality_autogluon.py FOLDER OUT SECONDS SEED [best] [pooled]
`best`: best_quality and not medium_quality; `pooled`: it divides train and validation by itself"""
import json
import sys
import tempfile

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from quality_data import read, write

folder, out, seconds, options = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[5:]
parts, labels, task = read(folder)
train, validation = (parts[name].assign(label=labels[name]) for name in ("train", "validation"))
given = {"train_data": train, "tuning_data": validation}
if "pooled" in options:
    given = {"train_data": pd.concat([train, validation])}
elif "best" in options:
    given["use_bag_holdout"] = True
metric = {"auc": "roc_auc", "rmse": "root_mean_squared_error"}.get(task["metric"], task["metric"])
with tempfile.TemporaryDirectory() as path:
    predictor = TabularPredictor(label="label", problem_type=task["task"], eval_metric=metric, path=path, verbosity=0)
    predictor.fit(**given, presets="best_quality" if "best" in options else "medium_quality", time_limit=seconds)
    if task["task"] == "regression":
        score = predictor.predict(parts["test"]).to_numpy()
    else:
        found = predictor.predict_proba(parts["test"])
        score = found[1].to_numpy() if task["task"] == "binary" else found.reindex(columns=task["classes"], fill_value=0.0).to_numpy()
    write(out, parts["test"], np.asarray(score, float), task["classes"])
    print(json.dumps({"chosen": predictor.model_best, "models": predictor.model_names()}))
