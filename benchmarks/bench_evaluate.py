"""Evaluation alone, from existing predictions: seconds and peak memory of `evaluate` and of the gates.

The rows lie where a run has them: large columns in files without names (`runtime/scratch.py`). `peak_gib` is memory
that the kernel cannot give back (anonymous), so without these files; `rows_gib` is what the rows take of it.
`moved_by` is by how much AUC and average precision differ from those over all different scores.

usage: bench_evaluate.py [small | large | all] [--rows N] [--slices N] [--draws N]   -> one JSON line

small: 8,000 rows, 5 metrics, one slicing with six values, 1,000 draws (TFMA needs 16 minutes, by its users' report)
large: 5,000,000 rows, 10 metrics, 1,000 slices of one column, 200 draws
"""

import argparse
import json
import os
import platform
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._rank import RankMetric
from ray_pipeline.evaluation.evaluate import Evaluation, evaluate
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.evaluation.pieces import MAX_RANKED
from ray_pipeline.evaluation.predict import ColumnBuilder
from ray_pipeline.spec import Spec
from ray_pipeline.values import Predictions

METRICS = {
    "small": ["auc", "log_loss", "brier", "accuracy", "f1"],
    "large": ["auc", "average_precision", "log_loss", "brier", "accuracy", "ece", "precision", "recall", "f1", "mcc"],
}
ROWS_A_BLOCK = 131_072
SIZES = {"small": (8_000, 6, 1_000), "large": (5_000_000, 1_000, 200)}


def predictions(rows: int, slices: int) -> Predictions:
    """Scores with Gaussian log odds in both classes (AUC 0.76), and slices of unequal sizes."""
    rng = np.random.default_rng(0)
    share = 1 / (10 + np.arange(slices))
    names = np.array([f"store {i}" for i in range(slices)], dtype=object)
    filled = ColumnBuilder(rows)
    for low in range(0, rows, ROWS_A_BLOCK):
        block = min(ROWS_A_BLOCK, rows - low)
        label = (rng.random(block) < 0.3).astype(float)
        filled.append(
            {
                "key": np.arange(low, low + block),
                "label": label,
                "score": 1 / (1 + np.exp(-(rng.normal(size=block) + label - 0.5 + np.log(0.3 / 0.7)))),
                "weight": np.ones(block),
                "cluster": np.arange(low, low + block, dtype=np.uint64),
                "store": names[rng.choice(slices, block, p=share / share.sum())],
            }
        )
    columns = filled.columns
    return Predictions(task="binary", classes=("0", "1"), columns={"store": columns.pop("store")}, **columns)


def measure(size: str, rows: int, slices: int, draws: int) -> dict[str, object]:
    """Seconds of evaluation and of judging, and peak memory of the process."""
    spec = Spec.from_text(
        json.dumps(
            {
                "name": "bench",
                "task": "binary",
                "features": {"labels": {"path": "x.parquet", "label": "y", "key": "key"}},
                "split": {"by": "random"},
                "model": "xgboost",
                "evaluate": {"metrics": METRICS[size], "slices": ["store"], "draws": draws},
                "gates": ["auc >= 0.5", "log_loss <= 1"],
            }
        )
    )
    test = predictions(rows, slices)
    before = anonymous_gib()
    with Anonymous() as memory:
        begun = time.perf_counter()
        evaluation = evaluate(replace(test, threshold=0.4), spec)
        evaluated = time.perf_counter()
        judge(evaluation, ServingCosts(latency_ms=1.0, size_mb=1.0), None, spec)
        judged = time.perf_counter()
    sizes = {
        "rows": rows,
        "slices": slices,
        "metrics": len(METRICS[size]),
        "draws": draws,
        "measured": len(evaluation.measured),
    }
    return {
        **sizes,
        "seconds": round(evaluated - begun, 2),
        "judge_seconds": round(judged - evaluated, 2),
        "rows_gib": round(before, 2),
        "peak_gib": round(memory.peak, 2),
        "moved_by": moved_by(test, evaluation) if rows > MAX_RANKED else {},
    }


def moved_by(test: Predictions, evaluation: Evaluation) -> dict[str, float]:
    """By how much neighbours that share a place move each metric of order."""
    return {
        name: float(
            f"{evaluation.overall_metrics[name].value - metric_of(name)(test.label, test.score, test.weight):.1e}"
        )
        for name in evaluation.overall_metrics
        if isinstance(metric_of(name), RankMetric)
    }


class Anonymous:
    """The peak of this process's anonymous memory in GiB, sampled."""

    def __enter__(self) -> "Anonymous":
        self.peak, self._ended = anonymous_gib(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.peak = max(self.peak, anonymous_gib())


def anonymous_gib() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", nargs="?", choices=[*SIZES, "all"], default="all")
    for option in ("--rows", "--slices", "--draws"):
        parser.add_argument(option, type=int)
    asked = parser.parse_args()
    cases = {}
    for size in SIZES if asked.size == "all" else [asked.size]:
        rows, slices, draws = (
            given or own for given, own in zip((asked.rows, asked.slices, asked.draws), SIZES[size], strict=True)
        )
        cases[size] = measure(size, rows, slices, draws)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "numpy": version("numpy")}
    print(json.dumps({"benchmark": "evaluate", "cases": cases, "machine": machine}))


if __name__ == "__main__":
    main()
