"""Odd but real tables, a spec for each, and what must come out; cases of one column are in the type matrix."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 900
RNG = np.random.default_rng(5)
X = RNG.normal(size=ROWS)
KIND = pa.array(RNG.choice(["a", "b", "c"], ROWS))
BASE = {
    "id": pa.array(np.arange(ROWS)),
    "x": pa.array(X),
    "y": pa.array((X + RNG.normal(size=ROWS) > 0).astype("int64")),
}
HOURS = [datetime(2024, 1, 1) + timedelta(hours=8 * row) for row in range(ROWS)]
MICROSECONDS = pa.timestamp("us")


@dataclass(frozen=True, kw_only=True)
class OddTable:
    """One table: how it is written, what its spec says beside the base, and what is expected of it."""

    name: str
    write: Callable[[Path], None]
    path: str = "rows.parquet"
    labels: str = ", columns: [x]"
    tables: str = ""
    rest: str = ""
    split: str = "{by: random}"
    refused: str = ""
    """What a problem of `check` says."""
    null_keys: int | None = None
    matched: int | None = None
    where: int | None = None
    """Rows: without a join key, joined, dropped by `where`."""
    nulls: int | None = None
    """Rows in which the last feature is missing."""

    def spec(self) -> str:
        """Its spec as text."""
        return (
            f"name: {self.name}\ntask: binary\nfeatures:\n"
            f"  labels: {{path: '{self.path}', label: y, key: id{self.labels}}}\n"
            f"{self.tables}{self.rest}split: {self.split}\nmodel: xgboost\n"
        )


def _rows(**columns: pa.Array) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(pa.table({**BASE, **columns}), folder / "rows.parquet")


def _slices(columns: dict[str, pa.Array], parts: int) -> list[pa.Table]:
    """The rows in equal parts."""
    size = ROWS // parts
    return [pa.table({name: values.slice(i * size, size) for name, values in columns.items()}) for i in range(parts)]


def _in_folders(*folders: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for folder, part in zip(folders, _slices(BASE, len(folders)), strict=True):
            (root / folder).mkdir(parents=True)
            pq.write_table(part, root / folder / "a.parquet")

    return write


_CUSTOMERS = np.where(np.arange(ROWS) % 5 == 0, np.nan, np.arange(ROWS) % 40).astype(float)


def _nan_keys(folder: Path) -> None:
    _rows(c=pa.array(_CUSTOMERS))(folder)
    keys = pa.array([*map(float, range(40)), float("nan")])
    pq.write_table(pa.table({"c": keys, "v": pa.array(np.arange(41.0))}), folder / "cust.parquet")


def _known_in_9999(folder: Path) -> None:
    _rows(t=pa.array(HOURS, MICROSECONDS))(folder)
    known = pa.array([datetime(9999, 12, 31)] * ROWS, MICROSECONDS)
    late = pa.table({"id": BASE["id"], "ft": pa.array(HOURS, MICROSECONDS), "kn": known, "v": pa.array(X)})
    pq.write_table(late, folder / "late.parquet", use_deprecated_int96_timestamps=True)


def _mixed_files(folder: Path) -> None:
    (folder / "mixed").mkdir()
    codes = np.arange(ROWS) % 7
    for number, part in enumerate(_slices({**BASE, "k": pa.array(codes), "s": KIND}, 2)):
        if number == 0:
            part = part.set_column(3, "k", part["k"].cast(pa.int32()))
        else:
            part = part.set_column(4, "s", pa.nulls(part.num_rows))
        pq.write_table(part, folder / "mixed" / f"{number}.parquet")


ODD_TABLES = (
    OddTable(
        name="nan_keys",
        write=_nan_keys,
        tables="  cust: {path: cust.parquet, on: [c], columns: [v]}\n",
        null_keys=int(np.isnan(_CUSTOMERS).sum()),
        matched=int((~np.isnan(_CUSTOMERS)).sum()),
        nulls=int(np.isnan(_CUSTOMERS).sum()),
    ),
    OddTable(
        name="where_is_null",
        write=_rows(z=pa.array(np.where(np.arange(ROWS) % 3 == 0, np.nan, X))),
        labels="",
        rest="select: {where: 'z is not null'}\n",
        where=ROWS // 3,
        nulls=0,
    ),
    OddTable(
        name="text_time",
        write=_rows(t=pa.array([str(moment) for moment in HOURS])),
        labels=", time: t, columns: [x]",
        rest="select: {to: 2024-09-01}\n",
        split="{by: time, validation: 2024-06-01, test: 2024-07-15}",
        refused="column 't' is string, and a time is date or timestamp",
    ),
    OddTable(
        name="int96",
        write=_known_in_9999,
        labels=", time: t, columns: [x]",
        tables="  late: {path: late.parquet, on: [id], time: ft, known_at: kn, columns: [v]}\n",
        matched=0,
        nulls=ROWS,
    ),
    OddTable(
        name="null_hive",
        write=_in_folders("hive/r=__HIVE_DEFAULT_PARTITION__", "hive/r=east", "hive/r=west"),
        path="hive",
        labels="",
        nulls=ROWS // 3,
    ),
    OddTable(name="box", write=_in_folders("box [1]"), path="box [1]", nulls=0),
    OddTable(name="mixed", write=_mixed_files, path="mixed", labels="", nulls=ROWS // 2),
)
