"""Coverage of intervals and sets on the quality tables: one JSON line for each table and method.

    python benchmarks/bench_intervals.py DATA [--coverage 0.9] [--trials 6] [--sets concrete dry_bean]

DATA is a folder with the tables of `bench_quality.py`. Each run is `model: xgboost`; the reported error is that of
the coverage of the test rows and that of the calibration rows together.
"""

import argparse
import json
import tempfile
from pathlib import Path

import ray_pipeline as rp

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


def spec_of(name: str, task: str, method: str, options: argparse.Namespace) -> dict[str, object]:
    """The spec of one run."""
    return {
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


def main() -> None:
    """Run every table, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS])
    options = parser.parse_args()
    options.data = options.data.absolute()
    for name in options.sets:
        for method in METHODS[SETS[name]]:
            with tempfile.TemporaryDirectory() as storage:
                spec = rp.Spec.from_dict(spec_of(name, SETS[name], method, options))
                release = rp.run(spec, rp.Where(storage=storage))
                model = json.loads((Path(release.report).parent / "model" / "schema.json").read_bytes())["intervals"]
                metrics = {name: value["value"] for name, value in release.metrics.items()}
            rows = release.rows["test"], model["rows"]
            error = (options.coverage * (1 - options.coverage) * (1 / rows[0] + 1 / rows[1])) ** 0.5
            known = {"calibration_rows": model["rows"], "crossed": model["crossed"]}
            print(json.dumps({"set": name, "method": method, "error": round(error, 4), **metrics, **known}), flush=True)


if __name__ == "__main__":
    main()
