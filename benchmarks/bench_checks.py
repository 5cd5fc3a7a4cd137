"""Findings of weight in a folder of tables, as they are and with planted leaks, and the seconds that the checks take.

Each table is Parquet with `row_id`, `label`, `part` (train, validation, test) and features. A label of text has many
classes, one of two numbers is binary, else it is a number. Leaks are planted into copies of the table: 5 % of the test
rows copied into train, the label as a feature, the same with noise (3 % of the rows, or of the standard deviation), and
a column that is missing in the rows of one class (1 % of the rows excepted).

usage: bench_checks.py FOLDER [--tables adult ...] [--leaks rows copy noisy missing] [--severity medium]
-> one JSON line
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SPEC = """\
name: checks
task: {task}
features: {{labels: {{path: {path}, label: label, key: row_id}}}}
split: {{by: column, column: part}}
model: xgboost
"""


def task_of(table: pa.Table) -> str:
    if pa.types.is_string(table["label"].type) or pa.types.is_large_string(table["label"].type):
        return "multiclass"
    return "binary" if pc.count_distinct(table["label"]).as_py() == 2 else "regression"


def copied_rows(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    test = table.filter(pc.equal(table["part"], "test"))
    copies = test.take(rng.permutation(len(test))[: round(0.05 * len(test))]).to_pydict()
    copies["part"] = ["train"] * len(copies["part"])
    copies["row_id"] = [10**8 + number for number in range(len(copies["part"]))]
    return pa.concat_tables([table, pa.table(copies, schema=table.schema)])


def label_copy(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    return table.append_column("planted", table["label"])


def noisy_copy(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    label = np.array(table["label"].to_pylist())
    if task_of(table) == "regression":
        return table.append_column("planted", pa.array(label + 0.03 * label.std() * rng.normal(size=len(label))))
    return table.append_column(
        "planted", pa.array(np.where(rng.random(len(label)) < 0.03, rng.permutation(label), label))
    )


def missing(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """A column that is missing in one class; for a number or many classes nothing to plant decides the label alone."""
    hidden = (np.array(table["label"].to_pylist()) > 0) ^ (rng.random(len(table)) < 0.01)
    return table.append_column("planted", pa.array(rng.normal(size=len(table)), mask=hidden))


LEAKS: dict[str, Callable[[pa.Table, np.random.Generator], pa.Table]] = {
    "rows": copied_rows,
    "copy": label_copy,
    "noisy": noisy_copy,
    "missing": missing,
}


def profiled(path: Path, task: str) -> dict:
    """The findings of a table, and the seconds of profile and checks."""
    from ray_pipeline.data.read import read
    from ray_pipeline.data.split import split
    from ray_pipeline.profiling.findings import check
    from ray_pipeline.profiling.table_profile import profile_table
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    spec = Spec.from_text(SPEC.format(task=task, path=path.name), folder=path.parent)
    begun = time.time()
    profile = profile_table(split(read(spec, Where()), spec), spec)
    done = time.time()
    findings = check(profile, spec)
    return {"findings": findings, "seconds": round(done - begun, 2), "checks_s": round(time.time() - done, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", help="all of the folder unless given")
    parser.add_argument("--leaks", nargs="*", default=list(LEAKS), choices=list(LEAKS))
    parser.add_argument("--severity", default="medium", choices=["low", "medium", "high"], help="the least to print")
    asked = parser.parse_args()
    from ray_pipeline.runtime.session import session
    from ray_pipeline.spec.where import Where
    from ray_pipeline.values import SEVERITIES

    least, tables = SEVERITIES.index(asked.severity), dict[str, dict]()
    paths = sorted(path for path in asked.folder.glob("*.parquet") if not asked.tables or path.stem in asked.tables)
    with tempfile.TemporaryDirectory() as made, session(Where()):
        for path in paths:
            table = pq.read_table(path)
            task = task_of(table)
            whole = profiled(path, task)
            shown = [
                f"{one.severity} {one.check}{f':{one.column}' if one.column else ''}"
                for one in whole["findings"]
                if SEVERITIES.index(one.severity) >= least
            ]
            row = {"findings": shown, "seconds": whole["seconds"], "checks_s": whole["checks_s"], "planted": {}}
            for leak in asked.leaks if task == "binary" else [one for one in asked.leaks if one != "missing"]:
                planted = Path(made) / f"{path.stem}_{leak}.parquet"
                pq.write_table(LEAKS[leak](table, np.random.default_rng(0)), planted)
                high = [one for one in profiled(planted, task)["findings"] if one.severity == "high"]
                row["planted"][leak] = sorted({f"{one.check}{f':{one.column}' if one.column else ''}" for one in high})
                planted.unlink()
            tables[path.stem] = row
            print(path.stem, row, file=sys.stderr, flush=True)
    refused = [name for name, row in tables.items() if any(one.startswith("high") for one in row["findings"])]
    found = {
        leak: f"{sum(bool(row['planted'][leak]) for row in with_it)} of {len(with_it)}"
        for leak in asked.leaks
        if (with_it := [row for row in tables.values() if leak in row["planted"]])
    }
    print(
        json.dumps({"bench": "checks", "refused_as_they_are": refused, "planted_and_refused": found, "tables": tables})
    )


if __name__ == "__main__":
    main()
