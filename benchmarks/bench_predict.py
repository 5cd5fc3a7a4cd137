"""`predict` against bare XGBoost: rows per second, and whether the peak memory stays flat as the rows grow.

usage: bench_predict.py [--rows 1000000 30000000] [--rounds 300] [--depth 6]   -> one JSON line; `ratio` and `peak_gib`
are the results

The peer is `Booster.inplace_predict` on all cores, on an encoded float32 matrix in memory: it does not read, encode or
write. `predict` reads Parquet, encodes, scores, decides and writes Parquet. The start of Ray (seconds, once) is not in
the rate; `seconds` includes it. Memory is the proportional set size of the command and all its child processes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE_ROWS = 1_000_000
SPEC = """\
name: bench
task: binary
features: {{labels: {{path: train.parquet, label: late, key: id}}}}
split: {{by: random}}
model:
  xgboost: {{num_boost_round: {rounds}, early_stopping_rounds: {rounds}, max_depth: {depth}, learning_rate: 0.05}}
search: {{trials: 1, metric: auc}}
evaluate: {{metrics: [auc], draws: 100}}
register: {{alias: champion}}
"""


def rows(count: int, seed: int) -> pa.Table:
    """Ten numeric and two text columns, with nulls; three of them determine the label."""
    draw = np.random.default_rng(seed)
    table = {
        f"x{i}": pa.array(draw.normal(size=count).astype(np.float32), mask=draw.random(count) < 0.05) for i in range(10)
    }
    kinds = draw.choice(list("abcdefgh"), count)
    late = draw.random(count) < 1 / (
        1 + np.exp(-(np.asarray(table["x0"].fill_null(0)) + np.asarray(table["x1"].fill_null(0)) * (kinds < "d")))
    )
    return pa.table(
        {
            "id": np.arange(count) + seed * FILE_ROWS,
            **table,
            "kind": kinds,
            "place": draw.choice([f"p{i}" for i in range(60)], count),
            "late": late,
        }
    )


def memory(pid: int) -> float:
    """GiB of a process and its descendants; shared pages count once."""
    parents, found, grown, total = {}, {pid}, True, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        grown, found = bool(more), found | more
    for one in found:
        with suppress(OSError, AttributeError):
            total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
    return total / 2**20


def command(folder: Path, *words: str) -> tuple[dict, float, float]:
    """The answer of a command, its seconds and its peak memory."""
    begun, peak = time.monotonic(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "ray_pipeline", *words, "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.extend(process.communicate()))
    reader.start()
    while reader.is_alive():
        peak = max(peak, memory(process.pid))
        reader.join(0.5)
    if process.returncode:
        raise SystemExit(texts[1])
    return json.loads(texts[0].splitlines()[-1]), time.monotonic() - begun, peak


def bare(folder: Path, run: str) -> float:
    """Rows per second of XGBoost alone, the best of three."""
    import xgboost

    from ray_pipeline.bundle import Bundle

    bundle = Bundle.load(folder / "runs" / run / "model")
    matrix = bundle.encoder.apply(bundle.select(pq.read_table(folder / "one" / "0000.parquet")))
    booster = xgboost.Booster(model_file=folder / "runs" / run / "model" / "model.ubj")
    rates = []
    for _ in range(3):
        begun = time.monotonic()
        booster.inplace_predict(matrix, validate_features=False)
        rates.append(len(matrix) / (time.monotonic() - begun))
    return max(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 30_000_000])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--depth", type=int, default=6)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rpp") as root:
        folder, results = Path(root), {}
        pq.write_table(rows(60_000, 0), folder / "train.parquet")
        (folder / "bench.yaml").write_text(SPEC.format(rounds=args.rounds, depth=args.depth))
        run, *_ = command(folder, "run", "bench.yaml")
        (folder / "one").mkdir()
        pq.write_table(rows(FILE_ROWS, 1), folder / "one" / "0000.parquet", row_group_size=131_072)
        alone = bare(folder, run["run"])
        for count in args.rows:
            many = folder / f"many-{count}"
            many.mkdir()
            for number in range(max(1, count // FILE_ROWS)):
                (many / f"{number:04d}.parquet").hardlink_to(folder / "one" / "0000.parquet")
            answer, seconds, peak = command(
                folder, "predict", "models:/bench@champion", "--rows", str(many), "--out", str(folder / "out.parquet")
            )
            assert answer["rows"] == max(1, count // FILE_ROWS) * FILE_ROWS, answer
            results[count] = {
                "rows_per_s": round(answer["rows"] / answer["seconds"]["score"]),
                "seconds": round(seconds, 1),
                "peak_gib": round(peak, 2),
            }
        ratio = {count: round(result["rows_per_s"] / alone, 2) for count, result in results.items()}
        print(
            json.dumps(
                {
                    "bare_rows_per_s": round(alone),
                    "rounds": args.rounds,
                    "predict": results,
                    "ratio": ratio,
                    "cores": os.cpu_count(),
                }
            )
        )


if __name__ == "__main__":
    main()
