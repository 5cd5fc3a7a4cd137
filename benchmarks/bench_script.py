"""A whole run of XGBoost against the plain script, 32 trials of one space, on quality tables, in alternating pairs.

The script (`peers/quality_plain.py`: pandas, Optuna, XGBoost on all cores with early stopping) scores the same test
rows and does nothing else. Ours also checks, evaluates, explains and reports.

usage: bench_script.py TABLES [--sets adult telco_churn] [--pairs 3]   -> one JSON line: for each table the seconds of
both, the median of the pairs' ratios, and the test metrics
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_systems import label_of, own_spec, run_ours, run_peer, score_of
from paired_errors import metric_value, rounded
from quality_sets import QUALITY_SETS

TRIALS, NO_LIMIT_S = 32, 1e6
SPACE = {
    "max_depth": {"int": [3, 9]},
    "learning_rate": {"log": [0.03, 0.3]},
    "subsample": {"float": [0.5, 1]},
    "min_child_weight": {"log": [1, 20]},
    "num_boost_round": 1000,
    "early_stopping_rounds": 50,
}
"""What the script searches."""


def timed(tables: Path, name: str, system: str, scores: Path) -> float:
    """Run a system; return its seconds."""
    if system == "plain":
        return run_peer(tables, name, "plain", scores.parent, NO_LIMIT_S, 0, scores)["wall"]
    spec, _ = own_spec(tables, name, "xgboost", 0, 0)
    spec["model"] = {"xgboost": SPACE}
    spec["search"] = {"trials": TRIALS, "metric": QUALITY_SETS[name].metric}
    return run_ours(spec, [], scores)["wall"]


def compared(tables: Path, name: str, pairs: int) -> dict[str, object]:
    """The figures of one table."""
    about, table = QUALITY_SETS[name], pq.read_table(tables / f"{name}.parquet")
    test = table.filter(np.asarray(table["part"].to_pylist()) == "test")
    label, keys = label_of(test, table, about), test["row_id"].to_numpy()
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    metrics = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            for system, took in seconds.items():
                scores = Path(folder, f"{system}.parquet")
                took.append(timed(tables, name, system, scores))
                metrics[system] = rounded(metric_value(about.metric, label, score_of(scores, keys)))
    ratios = [ours / plain for ours, plain in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {"ratio": round(statistics.median(ratios), 2), "seconds": seconds, about.metric: metrics}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--sets", nargs="+", default=["adult", "telco_churn"])
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    sets = {name: compared(asked.tables, name, asked.pairs) for name in asked.sets}
    print(json.dumps({"benchmark": "script", "trials": TRIALS, "cores": os.cpu_count(), "sets": sets}))


if __name__ == "__main__":
    main()
