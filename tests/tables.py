"""Three small feature tables with a planted signal, a planted gap between groups, late corrections and missing keys;
and their spec."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 6_000
START = np.datetime64("2024-01-01T00:00:00", "us")
HOUR = np.timedelta64(3_600_000_000, "us")
SPEC = """\
name: loans
task: binary
features:
  labels:
    path: data/loans
    label: loss > 0
    key: loan_id
    time: asked
    columns: [amount, income, purpose, married]
    slice_only: [sex, branch]
  rates: {path: data/rates.parquet, on: [branch], time: hour, known_at: known, max_age: 6h, columns: [rate]}
  branches: {path: data/branches.parquet, on: [branch], columns: [size, region]}
split: {by: time, validation: 2024-01-18, test: 2024-01-24, gap: 12h}
model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}
search: {trials: 6, metric: auc, seed: 3}
evaluate:
  metrics: [auc, log_loss, accuracy]
  slices: [purpose, {column: amount, bins: 3}, [sex, purpose]]
  draws: 200
  min_rows: 50
bias: {groups: [sex], min_rows: 50}
gates: [auc >= 0.6, auc >= champion - 0.2, selection_rate gap by sex <= 0.6]
register: {alias: challenger}
"""


def write_tables(folder: Path, rows: int = ROWS, seed: int = 0) -> None:
    """Writes the tables: `loans` in three files, `rates` with corrections known late, `branches` as a lookup without
    branch z."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.integers(0, 30 * 24 * 60, rows))  # minutes of January
    branch = rng.choice(list("abcz"), rows, p=[0.5, 0.3, 0.15, 0.05])
    income, amount, sex = rng.lognormal(10, 0.5, rows), rng.lognormal(8, 1, rows), rng.choice(["f", "m"], rows)
    purpose = rng.choice(["car", "home", "trip"], rows, p=[0.4, 0.4, 0.2])
    rate = 3 + 2 * np.sin(np.arange(30 * 24) / 20)
    seen = rate[hours // 60]
    risk = (
        1.2 * (np.log(amount) - 8)
        - 1.5 * (np.log(income) - 10)
        + 0.8 * (purpose == "trip")
        + 0.5 * (seen - 3)
        + 0.4 * (sex == "m")
    )
    loss = np.where(rng.random(rows) < 1 / (1 + np.exp(1.0 - risk)), amount * 0.3, 0.0)
    asked = START + (hours * 60_000_000).astype("timedelta64[us]")
    incomes = [None if rng.random() < 0.05 else float(x) for x in income]
    table = pa.table(
        {
            "loan_id": pa.array(np.arange(rows) * 7 + 1, pa.int64()),
            "asked": pa.array(asked, pa.timestamp("us", "UTC")),
            "branch": branch,
            "amount": amount,
            "income": incomes,
            "purpose": purpose,
            "married": rng.random(rows) < 0.5,
            "sex": sex,
            "loss": [None if i % 97 == 0 else float(x) for i, x in enumerate(loss)],
        }
    )
    (folder / "loans").mkdir(parents=True, exist_ok=True)
    for part in range(3):
        third = rows // 3
        pq.write_table(
            table.slice(part * third, third if part < 2 else rows),
            folder / "loans" / f"part-{part}.parquet",
            row_group_size=1000,
        )
    hour = np.repeat(START + np.arange(30 * 24) * HOUR, 3)
    known = hour + np.repeat(HOUR, len(hour))
    first = pa.table(
        {
            "branch": np.tile(list("abc"), 30 * 24),
            "hour": pa.array(hour, pa.timestamp("us", "UTC")),
            "known": pa.array(known, pa.timestamp("us", "UTC")),
            "rate": np.repeat(rate, 3),
        }
    )
    late = first.slice(0, 600).set_column(2, "known", pa.array(known[:600] + 40 * HOUR, pa.timestamp("us", "UTC")))
    pq.write_table(pa.concat_tables([late, first]), folder / "rates.parquet")
    pq.write_table(
        pa.table({"branch": list("abc"), "size": pa.array([3, 1, 2], pa.int16()), "region": ["n", "s", "s"]}),
        folder / "branches.parquet",
    )


def write_spec(folder: Path, file: str = "loans.yaml", **changes: str) -> Path:
    """The spec beside the tables, with pieces of its text replaced (`old="new"` pairs come as `a="x => y"`)."""
    text = SPEC
    for change in changes.values():
        old, new = change.split(" => ")
        assert old in text, old
        text = text.replace(old, new)
    path = folder / file
    path.write_text(text)
    return path
