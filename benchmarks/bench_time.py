"""Whether a search keeps to `search.time`: seconds of search and final fit, and how right the time left was.

The table has the columns `row_id`, `label` (0 or 1) and `part`. `of_time` is the wall time from the start of the search
to the end of the final fit, by the time asked. `left_off` is the median error of the time left, as a share of what was
really left, from the first third of the search on and while at least 5 s were left.

usage: bench_time.py TABLE [--times 30 60 180] [--families xgboost catboost lightgbm]   -> one JSON line
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parents[1]
SPEC = """\
name: timed
task: binary
features: {{labels: {{path: {table}, key: row_id, label: label}}}}
split: {{by: column, column: part}}
model: {families}
search: {{time: {seconds}s, metric: log_loss}}
"""


def events(folder: Path, table: Path, seconds: int, families: list[str]) -> list[dict]:
    """The events of a run, with the time of each in seconds."""
    spec = folder / f"timed{seconds}.yaml"
    listed = "[" + ", ".join(families) + "]"
    spec.write_text(SPEC.format(table=table.resolve(), families=listed, seconds=seconds))
    command = [sys.executable, "-m", "ray_pipeline", "run", str(spec), "--json", "--progress", "json"]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 3):  # refused by a gate is no matter here
        raise SystemExit(done.stderr[-3000:])
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return [{**line, "at": datetime.fromisoformat(line["time"]).timestamp()} for line in lines]


def judged(told: list[dict], seconds: int) -> dict:
    """What the run took, and how far its time left was off."""
    at = {(one["event"], one["stage"]): one["at"] for one in told if one["event"] in ("started", "done")}
    begun, searched, fitted = at["started", "search"], at["done", "search"], at["done", "fit"]
    trials = [one for one in told if one["event"] == "trials"]
    off = [
        abs(one["left_s"] - (searched - one["at"])) / (searched - one["at"])
        for one in trials
        if one["left_s"] is not None and one["at"] > begun + (searched - begun) / 3 and searched - one["at"] >= 5
    ]
    return {
        "search": round(searched - begun, 1),
        "fit": round(fitted - searched, 1),
        "of_time": round((fitted - begun) / seconds, 3),
        "trials": trials[-1]["done"],
        "left_off": round(statistics.median(off), 3) if off else None,
        "left_told": len(off),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[30, 60, 180])
    parser.add_argument("--families", nargs="+", default=["xgboost", "catboost", "lightgbm"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        results = {
            seconds: judged(events(Path(made), asked.table, seconds, asked.families), seconds)
            for seconds in asked.times
        }
    print(json.dumps({"benchmark": "time", "families": asked.families, "times": results, "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
