"""From unknown tables to a spec, and to a registered model: are task and label right, and how long does it take?

Each Parquet file of the folder has the columns `row_id`, `label`, `part` and features. It is written as CSV without
`part`, as a user would have it. `init` must propose the label among its three likeliest
columns (exit 2 without a terminal), then get the task right with `--label`; `check` must accept the spec. With `--run`,
`run` must register the model.

usage: bench_start.py FOLDER [--sets adult ...] [--format csv] [--with-part] [--run]
-> one JSON line
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

TASKS = {
    **dict.fromkeys(["adult", "online_shoppers", "telco_churn", "blood_transfusion", "open_payments"], "binary"),
    **dict.fromkeys(["letter", "student_dropout", "dry_bean", "heart_attack"], "multiclass"),
    **dict.fromkeys(["california_housing", "bike_sharing", "ames_housing", "concrete"], "regression"),
    **dict.fromkeys(["fuel_economy", "parkinsons"], "regression"),
}


def answered(*command: str, folder: Path) -> tuple[int, dict, float]:
    """Exit code, JSON answer and seconds of one verb."""
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", *command, "--json", "--quiet"],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), round(time.time() - begun, 1)


def started(table: Path, asked: argparse.Namespace) -> dict:
    """What `init`, `check` and `run` answer for one table."""
    rows = pq.read_table(table)
    rows = rows if asked.with_part else rows.drop_columns(["part"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.format == "csv":
            file = folder / f"{table.stem}.csv"
            pyarrow.csv.write_csv(rows, file)
        else:
            file = folder / f"{table.stem}.parquet"
            pq.write_table(rows, file)
        code, answer, _ = answered("init", "guess", "--from", str(file), folder=folder)
        found = answer["problems"][0]["found"]
        offered = [one.split(" (")[0] for one in found.partition("Likeliest: ")[2].split("; ")]
        row = {"exit_without_label": code, "offered": offered, "label_offered": "label" in offered}
        code, answer, seconds = answered("init", "model", "--from", str(file), "--label", "label", folder=folder)
        row |= {"init": code, "task": answer.get("task"), "seconds": {"init": seconds}}
        row |= {key: answer.get(key) for key in ("split", "features", "left_out", "gates", "problems")}
        row["right"] = row["label_offered"] and row["task"] == TASKS[table.stem]
        row["check"] = answered("check", "model/model.yaml", folder=folder)[0]
        if asked.run:
            code, answer, row["seconds"]["run"] = answered("run", "model/model.yaml", folder=folder)
            row |= {"run": code, "status": answer["status"], "problems": answer["problems"]}
            row["judged"] = [[one["gate"], one["passed"], one["value"], one["low"]] for one in answer.get("gates", [])]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--with-part", action="store_true", help="keep the column that names the parts")
    parser.add_argument("--run", action="store_true", help="train and register a model too")
    asked = parser.parse_args()
    results = {}
    for name in asked.sets:
        results[name] = started(asked.folder / f"{name}.parquet", asked)
        print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    right = sum(one["right"] for one in results.values())
    print(json.dumps({"benchmark": "start", "format": asked.format, "right": right, "sets": results}))


if __name__ == "__main__":
    main()
