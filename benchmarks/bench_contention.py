"""Two threads of a fit beside other busy programs: the cost of waiting with OpenMP's default spinning and with ours.

usage: bench_contention.py [--busy 0 1 2] [--repeat 3]   -> one JSON line; `ratio` is milliseconds per step with the
default, divided by those with ours
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

from ray_pipeline.runtime.process_state import SETTINGS

STEPS = 40


def boosting() -> float:
    import numpy as np
    import xgboost

    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(200_000, 26)).astype(np.float32)
    data = xgboost.QuantileDMatrix(
        matrix, (matrix[:, 0] + drawn.normal(size=len(matrix)) > 0).astype(np.float32), max_bin=128, nthread=2
    )
    params = {"tree_method": "hist", "max_depth": 8, "nthread": 2, "objective": "binary:logistic", "max_bin": 128}
    xgboost.train(params, data, 3)
    begun = time.perf_counter()
    xgboost.train(params, data, STEPS)
    return time.perf_counter() - begun


def net() -> float:
    import torch

    torch.set_num_threads(2)
    layer, rows = torch.nn.TransformerEncoderLayer(96, 8, 192, batch_first=True), torch.randn(256, 20, 96)
    descent = torch.optim.AdamW(layer.parameters())

    def step() -> None:
        descent.zero_grad()
        layer(rows).square().mean().backward()
        descent.step()

    for _ in range(3):
        step()
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()
    return time.perf_counter() - begun


FITS = {"boosting": boosting, "net": net}


def milliseconds(fit: str, busy: int, spins: str | None) -> float:
    """Milliseconds per step in a process of its own, beside `busy` other busy processes."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        own = {**environment, "GOMP_SPINCOUNT": spins} if spins else environment
        done = subprocess.run(
            [sys.executable, __file__, "--fit", fit], env=own, capture_output=True, text=True, check=True
        )
        return float(done.stdout) / STEPS * 1000
    finally:
        for other in others:
            other.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--fit", choices=FITS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fit:
        print(FITS[asked.fit]())
        return
    results = {}
    for fit in FITS:
        for busy in asked.busy:
            turns = [
                (milliseconds(fit, busy, None), milliseconds(fit, busy, SETTINGS["GOMP_SPINCOUNT"]))
                for _ in range(asked.repeat)
            ]  # in turns: the speed of the machine drifts
            own, ours = (statistics.median(times) for times in zip(*turns, strict=True))
            results[f"{fit}, {busy} busy"] = {
                "ratio": round(own / ours, 2),
                "own_ms": round(own, 1),
                "ours_ms": round(ours, 1),
            }
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "xgboost": version("xgboost"),
        "torch": version("torch"),
    }
    print(json.dumps({"benchmark": "contention", **results, "machine": machine}))


if __name__ == "__main__":
    main()
