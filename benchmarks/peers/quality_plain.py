"""The peer that a user writes by hand, on fixed parts: Optuna's TPE and XGBoost with early stopping, 32 trials at most.
usage: quality_plain.py FOLDER OUT SECONDS SEED"""
import sys
import time

BEGUN = time.time()

import numpy as np
import optuna
import pandas as pd
import xgboost
from quality_data import read, write
from sklearn.preprocessing import OrdinalEncoder

folder, out, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
optuna.logging.set_verbosity(optuna.logging.WARNING)
parts, labels, task = read(folder)
text = [c for c in parts["train"] if not pd.api.types.is_numeric_dtype(parts["train"][c])]
encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
if text:
    encoder.fit(parts["train"][text].astype(object).fillna("NA"))
    for rows in parts.values():
        rows[text] = encoder.transform(rows[text].astype(object).fillna("NA"))
        rows[text] = rows[text].astype(float)
fixed = {"binary": {"objective": "binary:logistic", "eval_metric": "auc"}, "regression": {"objective": "reg:squarederror", "eval_metric": "rmse"},
         "multiclass": {"objective": "multi:softprob", "eval_metric": "mlogloss"}}[task["task"]]
if task["task"] == "multiclass":
    fixed["num_class"] = len(task["classes"])
    labels = {name: some.map({c: i for i, c in enumerate(task["classes"])}) for name, some in labels.items()}
train, val = (xgboost.DMatrix(parts[name], labels[name]) for name in ("train", "validation"))
sign, best = (1 if task["metric"] == "auc" else -1), (-np.inf, None)


class StopInTime(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, log):
        return epoch > 0 and time.time() - BEGUN > seconds  # after the first round, which has a score


def objective(trial):
    global best
    params = dict(fixed, tree_method="hist", max_depth=trial.suggest_int("max_depth", 3, 9), eta=trial.suggest_float("eta", 0.03, 0.3, log=True),
                  subsample=trial.suggest_float("subsample", 0.5, 1), min_child_weight=trial.suggest_float("min_child_weight", 1, 20, log=True), seed=seed)
    booster = xgboost.train(params, train, 1000, evals=[(val, "v")], early_stopping_rounds=50, verbose_eval=False, callbacks=[StopInTime()])
    if sign * booster.best_score > best[0]:
        best = (sign * booster.best_score, booster)
    return booster.best_score


study = optuna.create_study(direction="maximize" if sign > 0 else "minimize", sampler=optuna.samplers.TPESampler(seed=seed))
study.optimize(objective, n_trials=32, timeout=seconds - (time.time() - BEGUN))
score = best[1].predict(xgboost.DMatrix(parts["test"]), iteration_range=(0, best[1].best_iteration + 1))
write(out, parts["test"], score, task["classes"])
