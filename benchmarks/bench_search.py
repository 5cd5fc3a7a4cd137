"""The search against what a user would run instead, on the joined flights: from a cold start, peers in the same run.

usage: bench_search.py CASE [FLIGHTS_DIR] [--trials N] [--rounds N]   -> one JSON line; the ratio is the result, not the
seconds
cases: wall     16 trials x 100 rounds against the plain script
       score    time to the best validation AUC of the plain script's 32 trials x 100 rounds, on its own split
       recipe   8 trials x 50 rounds, and one more trial, against Ray's documented recipe and the same recipe as an
                expert tunes it
       times10  ten times the rows, 16 trials, against the plain script: wall time and peak memory of all processes
       small    100 trials on 5,000 rows: seconds per trial beyond training itself
       stage    the search of 32 trials with halving, from the first slot on, against the same boosters trained alone on
                one thread, divided by the slots
       lag      the same search with decisions that lag (deterministic) and with decisions at once
       growth   rows x 1, 2, 4, 8: seconds of the search per row
       fit      one worker's fit through the family's interface against bare `xgboost.train` on the same arrays
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from bench_run import HERE
from search_runs import Ran, copied, ours, peer, plain_trials

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.components.models.xgboost import XGBoost
from ray_pipeline.encoded_block import EncodedBlock


def wall(table: Path, trials: int, rounds: int) -> dict:
    mine, plain = ours(table, trials, rounds), peer("plain_script.py", table, trials, rounds)
    ratios = {
        "ratio_seconds": round(mine["seconds"] / plain["seconds"], 3),
        "ratio_peak": round(mine["peak_gib"] / plain["peak_gib"], 3),
    }
    return {**ratios, "ours": mine, "plain": plain}


def recipe(table: Path, trials: int, rounds: int) -> dict:
    few, runs = 2, {}
    for name, run in (
        ("ours", partial(ours, table)),
        ("expert", lambda n, rounds: peer("ray_recipe.py", table, n, rounds, "expert")),
        ("documented", lambda n, rounds: peer("ray_recipe.py", table, n, rounds)),
    ):
        # One more trial of ours takes a second or two: more trials give less noise.
        runs[name] = run(trials, rounds), run(few if name != "ours" else 3 * trials, rounds)
    whole = {name: one["seconds"] for name, (one, _) in runs.items()}
    more = {
        name: (other["seconds"] - one["seconds"]) / (2 * trials if name == "ours" else few - trials)
        for name, (one, other) in runs.items()
    }
    return {
        **{f"times_faster_than_{name}": round(whole[name] / whole["ours"], 2) for name in ("expert", "documented")},
        **{f"one_more_trial_than_{name}": round(more[name] / more["ours"], 1) for name in ("expert", "documented")},
        "seconds_of_one_more": {name: round(seconds, 2) for name, seconds in more.items()},
        **{name: one for name, (one, _) in runs.items()},
    }


def score(table: Path, trials: int, rounds: int) -> dict:
    from sklearn.model_selection import train_test_split

    rows = pq.read_table(table)
    y = rows["late"].to_numpy()
    part, places = np.full(len(y), "train", object), np.arange(len(y))
    # As the plain script splits.
    rest, test, of_rest, _ = train_test_split(places, y, test_size=0.2, random_state=0, stratify=y)
    _, validation, _, _ = train_test_split(rest, of_rest, test_size=0.2, random_state=0, stratify=of_rest)
    part[test], part[validation] = "test", "validation"
    parted = table.with_name("parted.parquet")
    pq.write_table(rows.append_column("part", pa.array(part, pa.string())), parted)
    seen, target = plain_trials(table, trials, rounds)
    theirs = next(seconds for seconds, value in seen if value == target)
    mine = ours(parted, 2 * trials, rounds, "split={by: column, column: part}", f"search.target={target!r}")
    reached = [trial["ended"] for trial in mine.trials if trial["status"] == "completed" and trial["metric"] >= target]
    seconds = round(min(reached), 1) if reached else None
    ratio = round(min(reached) / theirs, 3) if reached else None
    return {
        "ratio_seconds": ratio,
        "validation": round(target, 5),
        "ours_seconds": seconds,
        "plain_seconds": round(theirs, 1),
        "plain_all": round(seen[-1][0], 1),
        "ours": mine,
    }


def stage(table: Path, trials: int, rounds: int) -> dict:
    mine = ours(table, trials, rounds)
    first = min(mine.trials, key=lambda trial: trial["ended"])
    spent = max(trial["ended"] for trial in mine.trials) - (first["ended"] - first["seconds"])
    slots, rows = os.cpu_count() or 1, mine.rows["train"]
    alone = replayed(table, mine, [mine.trials])
    together = replayed(table, mine, [mine.trials[i::slots] for i in range(slots)])
    return {
        "ratio": round(spent / (alone / slots), 3),
        "ratio_to_bare_processes_at_once": round(spent / together, 3),
        "search_seconds": round(spent, 1),
        "alone_seconds": round(alone, 1),
        "at_once_seconds": round(together, 1),
        "slots": slots,
        "rows": rows,
        "ours": mine,
    }


def replayed(table: Path, mine: Ran, shares: list[list[dict]]) -> float:
    """Seconds in which bare processes, one for each share, train the boosters of their trials on one thread each.

    Their matrices are in memory before the clock starts.
    """
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Barrier(len(shares) + 1), spawn.Barrier(len(shares) + 1)
    workers = [
        spawn.Process(target=replay, args=(str(table), mine.rows["train"], mine.encoder, share, ready, done))
        for share in shares
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    done.wait()
    seconds = time.perf_counter() - begun
    for worker in workers:
        worker.join()
    return seconds


def replay(table: str, num_rows: int, encoder: dict, trials: list[dict], ready: Barrier, done: Barrier) -> None:
    import xgboost

    from ray_pipeline.components.encoders._base import Encoder

    rows, max_bin = pq.read_table(table).slice(0, num_rows), trials[0]["params"]["max_bin"]
    applied = Encoder.from_json(encoder)
    matrix, label = applied.apply(rows), rows["late"].to_numpy().astype(float)
    types = ["c" if codes else "q" for codes in applied.cardinalities]
    data = xgboost.QuantileDMatrix(
        matrix, label, max_bin=max_bin, nthread=1, feature_types=types, enable_categorical=True
    )
    ready.wait()
    for trial in trials:
        params = {
            name: value
            for name, value in trial["params"].items()
            if name not in ("num_boost_round", "early_stopping_rounds")
        }
        xgboost.train({**params, "tree_method": "hist", "nthread": 1}, data, trial["rungs"][-1][0])
    done.wait()


def lag(table: Path, trials: int, rounds: int) -> dict:
    runs = {
        name: ours(table, trials, rounds, f"search.deterministic={written}")
        for name, written in (("deterministic", "true"), ("free", "false"))
    }
    times = {
        name: {"search": run["stages"]["search"], "training": run["training"], "validation": run["validation"]}
        for name, run in runs.items()
    }
    idle = {name: round(1 - one["training"] / (os.cpu_count() or 1) / one["search"], 3) for name, one in times.items()}
    return {
        "price": round(times["deterministic"]["search"] / times["free"]["search"], 3),
        "idle_share": idle,
        "runs": times,
    }


def growth(table: Path, trials: int, rounds: int) -> dict:
    results = {}
    for copies in (1, 2, 4, 8):
        mine = ours(copied(table, copies), trials, rounds)
        results[copies] = {
            "microseconds_a_row": round(1e6 * mine["stages"]["search"] / mine.rows["train"], 1),
            "search": mine["stages"]["search"],
            "training": mine["training"],
            "peak_gib": mine["peak_gib"],
        }
    return {"ratio": round(results[8]["microseconds_a_row"] / results[1]["microseconds_a_row"], 3), "copies": results}


def times10(table: Path, trials: int, rounds: int) -> dict:
    return wall(copied(table, 10), trials, rounds)


def small(table: Path, trials: int, rounds: int) -> dict:
    few = table.with_name("few.parquet")
    rows = pq.read_table(table)
    pq.write_table(rows.take(np.random.default_rng(0).choice(rows.num_rows, 5_000, replace=False)), few)
    mine = ours(few, trials, rounds)
    slots = os.cpu_count() or 1
    return {
        "seconds_per_trial_beyond_training": round((mine["stages"]["search"] - mine["training"] / slots) / trials, 3),
        "ours": mine,
    }


def prepared(table: Path, rounds: int) -> tuple[np.ndarray, np.ndarray, dict, TrainingContext]:
    """The numbers and the label of a table, and the default's hyperparameters with their context."""
    rows = pq.read_table(table)
    label = rows["late"].to_numpy().astype(float)
    names = [
        field.name
        for field in rows.schema
        if field.name not in ("late", "flight_id")
        and not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
    ]
    matrix = np.column_stack([rows[name].to_numpy().astype(np.float32) for name in names])
    context = TrainingContext(
        task="binary",
        num_classes=2,
        cardinalities={"trees": (0,) * len(names)},
        threads=os.cpu_count() or 1,
        rows=len(label),
    )
    searched = {name: value for name, value in XGBoost.start.items() if name != "objective"}
    return matrix, label, {**XGBoost().space(context), **searched, "num_boost_round": rounds}, context


def block(matrix: np.ndarray, label: np.ndarray) -> EncodedBlock:
    return EncodedBlock(matrix=matrix, label=label, weight=np.ones(len(label)), rows=pa.table({}))


def look(table: Path, trials: int, rounds: int) -> dict:
    matrix, label, params, context = prepared(table, 2 * rounds)
    cut = len(label) * 4 // 5
    judged, context = matrix[cut:], replace(context, threads=1, rows=cut)
    data = XGBoost.prepare_data(params, context, [block(matrix[:cut], label[:cut])], [block(judged, label[cut:])])
    training = XGBoost.start_training(params, context, data, 0)
    training.advance(rounds)
    training.scores()
    begun = time.perf_counter()
    training.advance(2 * rounds)
    training_s = time.perf_counter() - begun
    begun = time.perf_counter()
    scores = training.scores()
    mine = time.perf_counter() - begun
    booster = xgboost.Booster(model_file=bytearray(training.model(2 * rounds)))
    booster.set_param({"nthread": 1})
    since = {"iteration_range": (rounds, 2 * rounds), "validate_features": False}
    margin = booster.inplace_predict(
        judged, iteration_range=(0, rounds), predict_type="margin", validate_features=False
    )
    begun = time.perf_counter()
    expected = booster.inplace_predict(judged, base_margin=margin, **since)
    booster.inplace_predict(judged, base_margin=margin, predict_type="margin", **since)
    bare = time.perf_counter() - begun
    return {
        "ratio": round(mine / bare, 3),
        "look_ms": round(1000 * mine, 1),
        "two_predictions_ms": round(1000 * bare, 1),
        "training_ms": round(1000 * training_s, 1),
        "rows": len(judged),
        "same_bits": bool(np.array_equal(scores, expected)),
    }


def fit(table: Path, trials: int, rounds: int) -> dict:
    matrix, label, params, context = prepared(table, rounds)
    bare = {name: value for name, value in params.items() if name not in ("num_boost_round", "early_stopping_rounds")}
    bare |= {"tree_method": "hist", "nthread": context.threads, "seed": 0}
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(3):
        begun = time.perf_counter()
        training = XGBoost.start_training(
            params, context, XGBoost.prepare_data(params, context, [block(matrix, label)], []), 0
        )
        training.advance(rounds)
        times["ours"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        xgboost.train(
            bare, xgboost.QuantileDMatrix(matrix, label, max_bin=params["max_bin"], nthread=context.threads), rounds
        )
        times["bare"].append(time.perf_counter() - begun)
    mine, theirs = (sorted(times[name])[1] for name in ("ours", "bare"))
    return {
        "ratio_seconds": round(mine / theirs, 3),
        "seconds": {name: [round(t, 2) for t in taken] for name, taken in times.items()},
    }


CASES: dict[str, tuple[Callable[[Path, int, int], dict], int, int]] = {
    "wall": (wall, 16, 100),
    "score": (score, 32, 100),
    "recipe": (recipe, 8, 50),
    "times10": (times10, 16, 100),
    "small": (small, 100, 50),
    "stage": (stage, 32, 100),
    "lag": (lag, 32, 100),
    "growth": (growth, 8, 50),
    "fit": (fit, 1, 100),
    "look": (look, 1, 15),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument(
        "flights", nargs="?", type=Path, default=HERE.parent / "ray_pipeline" / "examples" / "flights" / "data"
    )
    parser.add_argument("--trials", type=int)
    parser.add_argument("--rounds", type=int)
    asked = parser.parse_args()
    measure, trials, rounds = CASES[asked.case]
    trials, rounds = asked.trials or trials, asked.rounds or rounds
    with tempfile.TemporaryDirectory() as made:
        table = Path(made) / "joined.parquet"
        subprocess.run(
            [sys.executable, str(HERE / "peers" / "flights_joined.py"), str(asked.flights), str(table)], check=True
        )
        result = measure(table, trials, rounds)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("ray", "xgboost", "optuna")},
    }
    print(
        json.dumps(
            {"benchmark": f"search {asked.case}", "trials": trials, "rounds": rounds, **result, "machine": machine}
        )
    )


if __name__ == "__main__":
    main()
