"""The cost of a slot, on the joined flights: two workers against one, and the memory of training beyond encoded rows.

usage: bench_slots.py CASE [FLIGHTS_DIR] [--copies N] [--rounds N] [--family xgboost]   -> one JSON line
cases: workers   one trial on 2 workers x 1 thread against 1 worker x 2 threads; both are started and have their data
       cells     peak memory of all processes beyond the encoded rows, per cell, while one worker bins and trains
                 (it also runs `bare`: XGBoost alone on the same blocks, in a process of its own)
       external  the same if the rows are four times the memory of a worker: bins are paged from disk
       wide      `external` with half of the rows and every column twice
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bench_run import HERE
from peak import Peak

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.preprocessing.encode import Encoded, encode_rows
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.fit_encoders import fit_encoders
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.profiling.table_profile import profile_table
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.session import session
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.training_memory import training_context
from ray_pipeline.tuning.trial_worker import TrialStep
from ray_pipeline.tuning.worker_group import WorkerGroup

ONE, TWO = (
    Layout(slots=1, workers=1, threads=2, gpus=0.0, fit_threads=2),
    Layout(slots=1, workers=2, threads=1, gpus=0.0, fit_threads=2),
)


ROWS = """\
name: bench
task: binary
features: {{labels: {{path: joined.parquet, label: late, key: flight_id}}}}
split: {{by: random, test: 0.05, validation: 0.05}}
model: {family}
"""


@contextmanager
def encoded_rows(
    flights: Path, copies: int, family: str, wide: int = 1
) -> Iterator[tuple[EncodedRows, TrainingContext, dict[str, Any]]]:
    """The encoded rows, with every column `wide` times, the training context, and the family's default parameters."""
    with tempfile.TemporaryDirectory() as made:
        joined = [
            sys.executable,
            str(HERE / "peers" / "flights_joined.py"),
            str(flights),
            str(Path(made) / "joined.parquet"),
            str(copies),
        ]
        subprocess.run(joined, check=True)
        if wide > 1:
            widen(Path(made) / "joined.parquet", wide)
        spec = Spec.from_text(ROWS.format(family=family), folder=Path(made))
        with session(Where()):
            table = split(read(spec, Where()), spec)
            profile = profile_table(table, spec)
            encoders = fit_encoders(profile, spec.encoders, table.own_encodings(spec))
            rows = encode_rows(table, profile, spec, encoders, {})
            encoded = Encoded(rows=rows, table=table, profile=profile, edges={})
            context = training_context(encoded, spec, ONE, ONE.threads)
            space, start = spec.model[family].space(context), find("models", family).start
            yield rows, context, {name: start.get(name, value) for name, value in space.items()}


def widen(file: Path, times: int) -> None:
    """Repeats every feature column of a file."""
    table = pq.read_table(file)
    for name in (name for name in table.column_names if name not in ("late", "flight_id")):
        for turn in range(1, times):
            table = table.append_column(f"{name}_{turn}", table[name])
    pq.write_table(table, file, row_group_size=65_536)


def group_of(rows: EncodedRows, context: TrainingContext, layout: Layout, family: str, storage: str) -> WorkerGroup:
    data = {"encoded": rows, "context": context, "metric": "auc"}
    return WorkerGroup(data, layout, find("models", family).collective, storage)


def trained(
    encoded: EncodedRows, context: TrainingContext, params: dict[str, Any], layout: Layout, family: str, rounds: int
) -> float:
    """Seconds of a trial on a worker group that has trained another one, so that start and data are not counted."""
    with tempfile.TemporaryDirectory() as storage:
        group = group_of(encoded, replace(context, threads=layout.threads), layout, family, storage)
        try:
            group.run_step(TrialStep(trial=0, family=family, params=params, seed=0, rounds=1))
            begun = time.perf_counter()
            state = group.run_step(TrialStep(trial=1, family=family, params=params, seed=1, rounds=rounds))
            seconds = time.perf_counter() - begun
        finally:
            group.close()
    if state.failed or state.rounds != rounds:
        raise SystemExit(f"{state.failed or state.rounds}")
    return seconds


def workers(flights: Path, copies: int, family: str, rounds: int) -> dict[str, Any]:
    with encoded_rows(flights, copies, family) as (encoded, context, params):
        seconds: dict[str, list[float]] = {"one": [], "two": []}
        for _ in range(2):
            for name, layout in (("one", ONE), ("two", TWO)):
                seconds[name].append(round(trained(encoded, context, params, layout, family, rounds), 2))
        return {
            "ratio": round(min(seconds["two"]) / min(seconds["one"]), 3),
            "seconds": seconds,
            "rows": dict(encoded.rows),
        }


def cells(
    flights: Path, copies: int, family: str, rounds: int, *, external: bool = False, wide: int = 1
) -> dict[str, Any]:
    with encoded_rows(flights, copies, family, wide) as (encoded, context, params):
        kind = find("models", family)
        kind.warm_up()
        columns = len(context.cardinalities[kind.encoder])
        num_cells = columns * (encoded.rows["train"] + encoded.rows["validation"])
        # A trial on a few rows comes first: imports and Ray Train's own memory are not part of the figure.
        with tempfile.TemporaryDirectory() as small:
            few = TrialStep(trial=0, family=family, params=params, seed=0, rounds=1, every=1000)
            group = group_of(encoded, replace(context, external=external), ONE, family, small)
            group.run_step(few)
            with Peak(every_s=0.2, store=False) as peak:
                begun = time.perf_counter()
                state = group.run_step(TrialStep(trial=1, family=family, params=params, seed=1, rounds=rounds))
                seconds = time.perf_counter() - begun
            group.close()
        if state.failed:
            raise SystemExit(state.failed)
        figures = {
            "bytes_per_cell": round(peak.gib * 2**30 / num_cells, 2),
            "peak_gib": peak.gib,
            "cells": num_cells,
            "seconds": round(seconds, 1),
        }
        return (
            figures
            if not external
            else {
                "share_of_limit": round(peak.gib * 2**30 / num_cells, 2),
                "limit_gib": round(num_cells / 2**30, 3),
                **figures,
            }
        )


def cells_and_bare(flights: Path, copies: int, family: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "bare", str(flights), "--copies", str(copies), "--rounds", str(rounds)]
    bare = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    mine = cells(flights, copies, family, rounds)
    return {
        "ratio": round(mine["bytes_per_cell"] / bare["bytes_per_cell"], 3),
        **mine,
        "bare_bytes_per_cell": bare["bytes_per_cell"],
    }


def bare(flights: Path, copies: int, family: str, rounds: int) -> dict[str, Any]:
    import xgboost

    with encoded_rows(flights, copies, family) as (encoded, context, params):
        types = ["c" if codes else "q" for codes in context.cardinalities["trees"]]
        parts = {part: list(Shard(encoded, "trees", part)) for part in ("train", "validation")}

        class Blocks(xgboost.DataIter):  # type: ignore[misc]
            def __init__(self, part: str) -> None:
                self.left, self.part = iter(parts[part]), part
                super().__init__()

            def reset(self) -> None:
                self.left = iter(parts[self.part])

            def next(self, input_data: Any) -> bool:
                if (block := next(self.left, None)) is None:
                    return False
                input_data(data=block.matrix, label=block.label, feature_types=types)
                return True

        own = {
            name: value
            for name, value in params.items()
            if name not in ("num_boost_round", "early_stopping_rounds", "max_bin")
        }
        with Peak(every_s=0.2, store=False) as peak:
            shape = {"max_bin": params["max_bin"], "enable_categorical": True, "nthread": 2}
            train = xgboost.QuantileDMatrix(Blocks("train"), **shape)
            validation = xgboost.QuantileDMatrix(Blocks("validation"), ref=train, **shape)
            xgboost.train(
                {**own, "tree_method": "hist", "max_bin": params["max_bin"], "nthread": 2}, train, rounds
            ).predict(validation)
        num_cells = len(types) * (encoded.rows["train"] + encoded.rows["validation"])
        return {"bytes_per_cell": round(peak.gib * 2**30 / num_cells, 2)}


def external(flights: Path, copies: int, family: str, rounds: int) -> dict[str, Any]:
    # Floats have 4 bytes per cell, so the limit is 1 byte per cell.
    return cells(flights, copies, family, rounds, external=True)


def wide(flights: Path, copies: int, family: str, rounds: int) -> dict[str, Any]:
    return cells(flights, copies, family, rounds, external=True, wide=2)


CASES = {
    "workers": (workers, 10, 20),
    "cells": (cells_and_bare, 16, 10),
    "bare": (bare, 16, 10),
    "external": (external, 16, 10),
    "wide": (wide, 8, 10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument(
        "flights", nargs="?", type=Path, default=HERE.parent / "ray_pipeline" / "examples" / "flights" / "data"
    )
    parser.add_argument("--copies", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--family", default="xgboost")
    asked = parser.parse_args()
    measure, copies, rounds = CASES[asked.case]
    result = measure(asked.flights, asked.copies or copies, asked.family, asked.rounds or rounds)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("ray", "xgboost")},
    }
    print(
        json.dumps(
            {
                "benchmark": f"slots {asked.case}",
                "family": asked.family,
                "rounds": asked.rounds or rounds,
                **result,
                "machine": machine,
            }
        )
    )


if __name__ == "__main__":
    main()
