"""Memory of XGBoost by the number of columns, against the planner's estimate: peak bytes per row of a fit.

usage: bench_footprint.py [--rows 2000000]   -> one JSON line; `row` and `cell` are the straight line through the
measurements
"""

import argparse
import json
import multiprocessing
import os
import platform
from importlib.metadata import version
from typing import Any

import numpy as np
from peak import Peak

from ray_pipeline.components.models.xgboost import LARGE_TABLE_BINS
from ray_pipeline.tuning.training_memory import CELL_BYTES, ROW_BYTES

WIDTHS, BLOCK_ROWS, ROUNDS = (2, 4, 8, 16, 32, 64), 100_000, 8


def bytes_per_row(columns: int, rows: int) -> float:
    """Peak bytes per row, without the interpreter and the one block that is streamed repeatedly."""
    import xgboost

    blocks = rows // BLOCK_ROWS
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(BLOCK_ROWS, columns)).astype(np.float32)
    label = (drawn.random(BLOCK_ROWS) < 0.3).astype(np.float32)

    class Blocks(xgboost.DataIter):  # type: ignore[misc]
        at = 0

        def reset(self) -> None:
            self.at = 0

        def next(self, input_data: Any) -> bool:
            if self.at == blocks:
                return False
            input_data(data=matrix, label=label)
            self.at += 1
            return True

    with Peak(every_s=0.02, store=False) as peak:
        data = xgboost.QuantileDMatrix(Blocks(), max_bin=LARGE_TABLE_BINS, nthread=1)
        params = {
            "tree_method": "hist",
            "max_depth": 8,
            "subsample": 0.8,
            "objective": "binary:logistic",
            "max_bin": LARGE_TABLE_BINS,
            "nthread": 1,
        }
        booster = xgboost.Booster(params, cache=[data])
        for i in range(ROUNDS):
            booster.update(data, i)
    return peak.gib * 2**30 / (blocks * BLOCK_ROWS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    measured = {}
    for columns in WIDTHS:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            measured[columns] = round(alone.apply(bytes_per_row, (columns, rows)), 1)
    cell, row = np.polyfit(list(measured), list(measured.values()), 1)
    estimated = {columns: CELL_BYTES * columns + ROW_BYTES for columns in WIDTHS}
    print(
        json.dumps(
            {
                "benchmark": "footprint",
                "bytes_per_row": measured,
                "row": round(row, 1),
                "cell": round(cell, 2),
                "estimated_by_measured": {
                    columns: round(estimated[columns] / measured[columns], 2) for columns in WIDTHS
                },
                "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "xgboost": version("xgboost")},
            }
        )
    )


if __name__ == "__main__":
    main()
