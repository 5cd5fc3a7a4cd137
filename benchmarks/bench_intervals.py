"""Coverage of intervals and sets on the quality tables: one JSON line for each table and method.

    python benchmarks/bench_intervals.py DATA [--coverage 0.9] [--trials 6] [--sets concrete dry_bean] [--plain]

DATA is a folder with the tables of `bench_quality.py`. Each line is a run of `model: xgboost`; with `--plain` it is one
XGBoost with fixed hyperparameters, calibrated as a run does it, which takes seconds. `error` is the standard error of
the coverage, from test rows and calibration rows together.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

METHODS = {"regression": ("conformal", "quantile"), "multiclass": ("conformal",), "binary": ("conformal",)}
SETS = {
    "concrete": "regression",
    "ames_housing": "regression",
    "bike_sharing": "regression",
    "california_housing": "regression",
    "fuel_economy": "regression",
    "parkinsons": "regression",
    "heart_attack": "multiclass",
    "student_dropout": "multiclass",
    "dry_bean": "multiclass",
    "letter": "multiclass",
    "telco_churn": "binary",
}
PLAIN = {"learning_rate": 0.1, "max_depth": 6, "subsample": 0.9, "colsample_bytree": 0.8, "min_child_weight": 2}
ROUNDS, PATIENCE = 300, 30


def by_a_run(name: str, task: str, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Metrics of a whole run, and its calibration and test rows."""
    import ray_pipeline as rp

    spec = {
        "name": f"intervals_{name}_{method}",
        "task": task,
        "features": {"labels": {"path": str(options.data / f"{name}.parquet"), "label": "label", "key": "row_id"}},
        "split": {"by": "column", "column": "part"},
        "model": {"xgboost": {"num_boost_round": 600}},
        "search": {"trials": options.trials, "seed": options.seed},
        "intervals": {"coverage": options.coverage, "method": method},
        "checks": {"fail_on": "never"},
        "register": False,
    }
    with tempfile.TemporaryDirectory() as storage:
        release = rp.run(rp.Spec.from_dict(spec), rp.Where(storage=storage))
        intervals = json.loads((Path(release.folder) / "intervals.json").read_bytes())
    metrics = {name: value["value"] for name, value in release.metrics.items()}
    return {**metrics, "calibration_rows": intervals["rows"], "test_rows": release.rows["test"]}


def by_xgboost(name: str, task: str, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Coverage and size of one XGBoost's intervals, and the rows that they are from."""
    import numpy as np
    import pandas as pd
    import xgboost

    from ray_pipeline.conformal import Calibration
    from ray_pipeline.prediction_regions import class_scores

    table = pd.read_parquet(options.data / f"{name}.parquet")
    rows = table.drop(columns=["row_id", "label", "part"])
    rows = rows.astype({column: "category" for column in rows if rows[column].dtype.kind not in "fiub"})
    label = table["label"].astype("category").cat.codes if task == "multiclass" else table["label"]
    data = {
        part: xgboost.DMatrix(rows[table["part"] == part], label[table["part"] == part], enable_categorical=True)
        for part in ("train", "validation", "test")
    }
    tail = (1 - options.coverage) / 2
    objective = {
        "regression": {"objective": "reg:squarederror"},
        "binary": {"objective": "binary:logistic"},
        "multiclass": {"objective": "multi:softprob", "num_class": int(label.max()) + 1},
    }[task]
    if method == "quantile":
        objective = {"objective": "reg:quantileerror", "quantile_alpha": [tail, 0.5, 1 - tail]}
    given = {**PLAIN, **objective, "nthread": 1, "seed": options.seed}
    watched = [(data["validation"], "validation")]
    booster = xgboost.train(
        given, data["train"], ROUNDS, evals=watched, early_stopping_rounds=PATIENCE, verbose_eval=False
    )
    booster = booster[: booster.best_iteration + 1]
    scores = {part: np.asarray(booster.predict(data[part]), float) for part in ("validation", "test")}
    ends = {part: of[:, [0, 2]] if method == "quantile" else None for part, of in scores.items()}
    scores = {part: of[:, 1] if method == "quantile" else class_scores(task, of) for part, of in scores.items()}
    known, new = (data[part].get_label().astype(float) for part in ("validation", "test"))
    fitted = Calibration.fit(known, scores["validation"], np.ones(len(known)), options.coverage, ends["validation"])
    coverage, size = fitted.regions(scores["test"], ends["test"]).measures(new).mean(axis=0)
    rows_of = {"calibration_rows": len(known), "test_rows": len(new)}
    return {"coverage": round(float(coverage), 4), "size": round(float(size), 3), "crossed": fitted.crossed, **rows_of}


def main() -> None:
    """Measure every table, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS])
    parser.add_argument("--plain", action="store_true", help="one XGBoost instead of a run")
    options = parser.parse_args()
    options.data = options.data.absolute()
    for name in options.sets:
        for method in METHODS[SETS[name]]:
            found = (by_xgboost if options.plain else by_a_run)(name, SETS[name], method, options)
            share = options.coverage * (1 - options.coverage)
            error = (share * (1 / found["calibration_rows"] + 1 / found["test_rows"])) ** 0.5
            print(json.dumps({"set": name, "method": method, "error": round(error, 4), **found}), flush=True)


if __name__ == "__main__":
    main()
