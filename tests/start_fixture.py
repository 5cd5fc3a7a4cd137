"""Tables to start from, with a signal, and what `init` says of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from ray_pipeline.cli import build

ROWS = 1_200
LEVELS = ("basic", "gold", "silver")


def customers(rows: int = ROWS, **more: Any) -> pa.Table:
    """Customers, some of whom leave; `more` columns come last but one, the label `churned` last."""
    rng = np.random.default_rng(1)
    usage, months, level = rng.normal(size=rows), rng.integers(1, 60, rows), rng.choice(LEVELS, rows)
    risk = 2 * usage - 0.06 * months + 1.5 * (level == "basic") + rng.normal(size=rows)
    columns = {
        "customer_id": [f"C{number:05}" for number in range(rows)],
        "usage": usage.round(3),
        "months": months,
        "level": level,
        "gender": rng.choice(["f", "m"], rows),
    }
    return pa.table({**columns, **more, "churned": np.where(risk > 0, "yes", "no")})


def write_csv(table: pa.Table, file: Path) -> Path:
    """The table as CSV, without quotes where they are not needed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pa.csv.write_csv(table, file, pa.csv.WriteOptions(quoting_style="needed"))
    return file


def typed(*words: Any, capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON answer and standard error of a command line."""
    with pytest.raises(SystemExit) as ended:
        build()([*map(str, words), "--json"], standalone_mode=False)
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), json.loads(out.splitlines()[-1]), err


def columns_of(text: str) -> dict[str, Sequence[str]]:
    """The columns of a written spec: those that are features, and those that are left out."""
    lines = [line.strip() for line in text.splitlines()]
    left_out = [line for line in lines if line.startswith("# - ")]
    kept = [line.split("#")[0][2:].strip() for line in lines if line.startswith("- ")]
    return {"kept": kept, "left_out": [line[4:].split("  #")[0] for line in left_out]}
