"""Whether `fit.on: auto` chooses right: the test metric of the trial's own model and of the refit, and the choice.

One search for each table, then both models of its winner. The tables are Parquet files with columns `row_id`,
`label`, `part` (train, validation, test) and features. `NAME@row` takes the rows in order of `row_id` instead of the
parts: 64 % train, 16 % validation, 20 % test.

usage: bench_fit_on.py FOLDER TABLE ... [--trials 24] [--seeds 0 1] -> one JSON line for each table and seed
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline import encode, profile_table, read, search, split
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.runs.context import open_run
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.final_fit import fit_winner
from ray_pipeline.tuning.fit_choice import FitChoice, choose_fit

METRICS = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


def table_of(folder: Path, name: str) -> tuple[pa.Table, str]:
    """The rows with their parts, and the task."""
    name, _, order = name.partition("@")
    table = pq.read_table(folder / f"{name}.parquet")
    if order:
        table = table.sort_by("row_id")
        at = np.arange(len(table)) / len(table)
        parts = np.where(at < 0.64, "train", np.where(at < 0.8, "validation", "test"))
        table = table.set_column(table.column_names.index("part"), "part", pa.array(parts))
    values = len(table["label"].unique())
    return table, "binary" if values == 2 else "multiclass" if values < 40 else "regression"


def compared(folder: Path, name: str, trials: int, seed: int) -> dict:
    table, task = table_of(folder, name)
    metric = metric_of(METRICS[task])
    group = {"group": "subject"} if "subject" in table.column_names else {}
    spec = {
        "name": "fit_on",
        "task": task,
        "features": {"labels": {"path": table, "label": "label", "key": "row_id", "slice_only": list(group.values())}},
        "split": {"by": "column", "column": "part", "folds": 0, **group},
        "model": "xgboost",
        "search": {"trials": trials, "metric": metric.name, "seed": seed},
        "checks": {"fail_on": "never"},
        "register": False,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as storage, open_run(spec, Where(storage=storage)) as run:
        rows = split(read(run.spec, run.where), run.spec)
        encoded = encode(rows, profile_table(rows, run.spec), run.spec, run)
        leaderboard = search(encoded, run.spec, run)
        chosen = choose_fit(leaderboard, encoded, run.spec, run)
        scored = {}
        for on in ("train", "train+validation"):
            file = fit_winner(leaderboard, encoded, FitChoice(on=on, why="", own_model=on == "train"), run)
            scorer = leaderboard.family.load(file.parent)
            scored[on] = score_part(scorer, encoded.rows, leaderboard.family.encoder, "test")
    values = {on: float(metric(one.label, one.score, one.weight)) for on, one in scored.items()}
    draws = [replicate([metric], one, draws=300, seed=0)[metric.name] for one in scored.values()]
    sign = 1 if metric.better == "higher" else -1
    return {
        "table": name,
        "seed": seed,
        "metric": metric.name,
        **values,
        "refit_gains": sign * (values["train+validation"] - values["train"]),
        "standard_error": float(np.std(draws[1] - draws[0])),
        "chosen": chosen.on,
        "backtests": [[one.order, round(one.gain, 5), round(one.error, 5)] for one in chosen.backtests],
        "seconds": run.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args()
    for name in asked.tables:
        for seed in asked.seeds:
            print(json.dumps(compared(asked.folder, name, asked.trials, seed)), flush=True)


if __name__ == "__main__":
    main()
