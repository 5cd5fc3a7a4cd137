"""FLAML with its defaults and a time budget: it searches on validation, and refits on both parts.
usage: quality_flaml.py FOLDER OUT SECONDS SEED [pooled]   `pooled`: it divides train and validation by itself"""
import json
import sys

import numpy as np
import pandas as pd
from flaml import AutoML
from quality_data import read, write

folder, out, seconds, seed, pooled = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), "pooled" in sys.argv
parts, labels, task = read(folder)
given = {"X_train": parts["train"], "y_train": labels["train"], "X_val": parts["validation"], "y_val": labels["validation"]}
if pooled:
    given = {"X_train": pd.concat([parts["train"], parts["validation"]]), "y_train": pd.concat([labels["train"], labels["validation"]])}
metric = {"auc": "roc_auc"}.get(task["metric"], task["metric"])
automl = AutoML()
automl.fit(**given, task="regression" if task["task"] == "regression" else "classification", metric=metric, time_budget=seconds, seed=seed, n_jobs=-1, verbose=0)
if task["task"] == "regression":
    score = automl.predict(parts["test"])
else:
    found = pd.DataFrame(automl.predict_proba(parts["test"]), columns=list(automl.classes_))
    score = found[1].to_numpy() if task["task"] == "binary" else found.reindex(columns=task["classes"], fill_value=0.0).to_numpy()
write(out, parts["test"], np.asarray(score, float), task["classes"])
print(json.dumps({"chosen": automl.best_estimator}))
