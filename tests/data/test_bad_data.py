"""Data that cannot be meant, case by case: message, column, rows, file and exit code, without Ray.

The numbers are those of the list of faults.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.data.table import Table
from ray_pipeline.errors import PipelineError
from ray_pipeline.profiling.findings import check
from ray_pipeline.profiling.profile import Profile, profile_rows
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROWS = 600
RNG = np.random.default_rng(3)
TABLE = pa.table(
    {
        "id": np.arange(ROWS),
        "a": RNG.normal(size=ROWS),
        "b": RNG.choice(["x", "y"], ROWS),
        "y": RNG.integers(0, 2, ROWS),
        "w": np.ones(ROWS),
    }
)
SPEC = (
    "name: bad\ntask: {task}\nfeatures:\n  labels: {{path: rows, label: {label}, key: id{more}}}\nsplit: {{by:"
    " random}}\nmodel: xgboost\n"
)
Spoil = Callable[[Path], None]


def write(folder: Path, table: pa.Table = TABLE, part: int = 0) -> None:
    pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=200, compression="none")


def put(column: str, values: object) -> pa.Table:
    return (
        TABLE.set_column(
            TABLE.column_names.index(column), column, values if isinstance(values, pa.Array) else pa.array(values)
        )
        if column in TABLE.column_names
        else TABLE.append_column(column, values)
    )


def table(made: pa.Table) -> Spoil:
    return lambda folder: write(folder, made)


def two(first: pa.Table, second: pa.Table) -> Spoil:
    def spoil(folder: Path) -> None:
        write(folder, first)
        write(folder, second.set_column(0, "id", pa.array(np.arange(ROWS) + ROWS)), 1)

    return spoil


def bytes_of(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content) and None


def replaced(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("14")


def cut(folder: Path) -> None:
    path = folder / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def flipped(folder: Path) -> None:
    path = folder / "part-0.parquet"
    start = pq.read_metadata(path).row_group(1).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 12] = b"\xff" * 12  # the header of a page of column a
    path.write_bytes(bytes(content))


def not_utf8(folder: Path) -> None:
    values = pa.array([b"\xff\xfe", *[b"x"] * (ROWS - 1)], pa.binary())
    write(folder, put("b", pa.Array.from_buffers(pa.string(), ROWS, values.buffers())))


@dataclass(frozen=True)
class Bad:
    """How the table is spoiled, and what the message must say."""

    spoil: Spoil
    message: str
    column: str | None = None
    file: str | None = None
    rows: int | None = None
    more: str = ""
    task: str = "binary"
    label: str = "y"
    exit: int = 3


CASES: dict[str, Bad] = {
    "D01 no file": Bad(replaced, "labels: no Parquet file here (1 other files)", file="rows"),
    "D02 empty file": Bad(
        bytes_of("part-1.parquet", b""), "labels: the file is empty (0 bytes)", file="rows/part-1.parquet"
    ),
    "D03 CSV": Bad(
        bytes_of("part-1.parquet", b"a,b\n1,2\n"),
        "not Parquet: it starts with b'a,b\\n1,2\\n'",
        file="rows/part-1.parquet",
    ),
    "D04 cut": Bad(cut, "the footer is missing: the file is cut at", file="rows/part-0.parquet"),
    "D05 damaged page": Bad(flipped, "row group 1 of column 'a' cannot be read", "a", "rows/part-0.parquet", 200),
    "D10 no rows": Bad(table(TABLE.slice(0, 0)), "labels: 0 rows in 1 files", file="rows", rows=0),
    "D11 label missing in some": Bad(
        two(TABLE, TABLE.drop_columns("y")),
        "labels: 1 of 2 files have no column 'y'",
        "y",
        "rows",
    ),
    "D13 two types": Bad(
        two(TABLE, put("a", [str(i) for i in range(ROWS)])),
        "column 'a' is double in 1 files, string in 1 files",
        "a",
        "rows/part-1.parquet",
    ),
    "D15 beyond 63 bits": Bad(
        table(put("u", pa.array([2**63, 2**64 - 1, *range(ROWS - 2)], pa.uint64()))),
        "labels: 'u' is above 9,223,372,036,854,775,807 in 2 rows",
        "u",
        "rows",
        2,
    ),
    "D17 year 300,000": Bad(
        table(put("t", pa.array([-(10**13), 10**13, None, *range(ROWS - 3)], pa.timestamp("s")))),
        "'t' is beyond the year 290,000 in 2 rows",
        "t",
        "rows",
        2,
    ),
    "D16 with zone and without": Bad(
        two(
            put("t", pa.array(np.arange(ROWS), pa.timestamp("us", "UTC"))),
            put("t", pa.array(np.arange(ROWS), pa.timestamp("us"))),
        ),
        "column 't' is timestamp[us, tz=UTC] in 1 files, timestamp[us] in 1 files",
        "t",
        "rows/part-1.parquet",
    ),
    "D19 list": Bad(
        table(put("items", pa.array([[1]] * ROWS))),
        "column 'items' is list<element: int64>, which cannot be a feature",
        "items",
    ),
    "D20 twice": Bad(
        table(pa.Table.from_arrays([*TABLE.columns, TABLE["a"]], names=[*TABLE.column_names, "a"])),
        "'a' appears twice",
        "a",
        "rows/part-0.parquet",
    ),
    "D21 case": Bad(table(put("A", TABLE["a"])), "'a' and 'A' differ by case or Unicode form alone", "A"),
    "D25 no label": Bad(table(TABLE), "there is no column 'yy' in labels", "yy", label="yy"),
    "D27 infinite label": Bad(
        table(put("y", np.where(np.arange(ROWS) == 7, np.inf, 1.0))),
        "the label is infinite in 1 rows",
        "y",
        rows=1,
        task="regression",
    ),
    "D28 words for a number": Bad(
        table(put("y", ["p", "q"] * (ROWS // 2))),
        "the label is string with 2 values ('p', 'q'); task regression needs numbers",
        "y",
        task="regression",
    ),
    "D28 words for two classes": Bad(
        table(put("y", ["p", "q"] * (ROWS // 2))), "the label is string with the values 'p', 'q'", "y"
    ),
    "D29 one class": Bad(table(put("y", np.zeros(ROWS, int))), "the label has one class in train: false (0)", "y"),
    "D41 no UTF-8": Bad(not_utf8, "row group 0 of column 'b' cannot be read: ", "b", "rows/part-0.parquet", 200),
    "D42 bytes": Bad(
        table(put("raw", pa.array([b"\0"] * ROWS))), "column 'raw' is binary, which cannot be a feature", "raw"
    ),
    "D49 encrypted": Bad(
        bytes_of("part-1.parquet", b"PARE" + b"\0" * 20 + b"PARE"), "the file is encrypted", file="rows/part-1.parquet"
    ),
    "D53 negative weight": Bad(
        table(put("w", np.where(np.arange(ROWS) < 3, -1.0, 1.0))),
        "w is -1.0 in 3 rows",
        "w",
        rows=3,
        more=", weight: w",
    ),
    "D53 all weights 0": Bad(
        table(put("w", np.zeros(ROWS))),
        "every weight in train, validation, test is 0",
        "w",
        rows=ROWS,
        more=", weight: w",
    ),
    "D57 few rows": Bad(
        table(TABLE.slice(0, 38)), "38 rows are left of 38; train, validation and test need 50 together", rows=38
    ),
    "D53 no weight": Bad(
        table(put("w", np.where(np.arange(ROWS) < 2, np.nan, 1.0))),
        "w is null in 2 rows",
        "w",
        rows=2,
        more=", weight: w",
    ),
    "key twice": Bad(
        table(put("id", np.arange(ROWS) // 2)), "'id' is not unique: 300 rows repeat a key", "id", rows=300
    ),
    "key missing": Bad(table(put("id", pa.array([None, *range(1, ROWS)]))), "'id' is null in 1 rows", "id", rows=1),
}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good table, whose rows are scanned by this process in two blocks instead of by Ray."""

    def map_here(made: Table, work: Callable[[pa.Table], pa.Table]) -> list[pa.Table]:
        whole = made.labels.rows(made.columns_read["labels"])
        return [work(whole.slice(start, ROWS // 2)) for start in range(0, whole.num_rows, ROWS // 2)]

    monkeypatch.setattr(Table, "map_blocks", map_here)
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows")
    return tmp_path


def profiled(at: Path, task: str = "binary", label: str = "y", more: str = "") -> tuple[Profile, Spec]:
    spec = Spec.from_text(SPEC.format(task=task, label=label, more=more), file="bad.yaml", folder=at)
    return profile_rows(split(read(spec, Where()), spec), spec), spec


@pytest.mark.parametrize("name", CASES)
def test_data_that_cannot_be_meant_is_reported_with_its_place_and_its_count(name: str, at: Path) -> None:
    case = CASES[name]
    case.spoil(at / "rows")
    with pytest.raises(PipelineError) as raised:
        profiled(at, case.task, case.label, case.more)
    (problem,) = raised.value.problems
    assert raised.value.exit_code == case.exit
    assert case.message in problem.found
    assert problem.fix
    assert problem.column == case.column
    assert case.rows is None or problem.rows == case.rows
    assert case.file is None or problem.file == str(at / case.file)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"MAX_COLUMNS": 4}, "labels: 5 columns; at most 4 are read"),
        ({"MIN_BOMB": 0, "MAX_EXPANSION": 0.5}, "row group 0 of column 'id' expands 1 times to 0 MB"),
        ({"MIN_BOMB": 0, "MAX_TEXT": 50}, "row group 0 holds 0.0 GB of text in column 'b'"),
    ],
)
def test_what_would_fill_the_memory_is_refused_by_its_footer(
    limit: dict[str, float], message: str, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(f"ray_pipeline.components.sources._parquet_footers.{name}", value)
    with pytest.raises(PipelineError) as raised:
        profiled(at)
    (problem,) = raised.value.problems
    assert message in problem.found and problem.file == str(at / "rows/part-0.parquet") and raised.value.exit_code == 3


WARNED: dict[str, tuple[Spoil, str, str | None, str]] = {
    "D09 some files without rows": (
        lambda f: write(f, TABLE.slice(0, 0), 1),
        "layout",
        None,
        "1 of 2 files have 0 rows",
    ),
    "D12 extra column": (
        lambda f: (
            [
                write(f, TABLE.slice(part * 200, 200) if part else put("c", TABLE["a"]).slice(0, 200), part)
                for part in range(3)
            ]
            and None
        ),
        "uneven_files",
        "c",
        "'c' is missing in 2 files, double in 1 files; it is read as double; it is null where it is missing",
    ),
    "D26 null label": (
        table(put("y", pa.array([None] * 5 + [0, 1] * ((ROWS - 5) // 2) + [1]))),
        "null_label",
        "y",
        "5 rows without a label were dropped",
    ),
    "D33 infinite": (
        table(put("a", np.where(np.arange(ROWS) < 40, np.inf, TABLE["a"].to_numpy()))),
        "infinite",
        "a",
        "a is infinite in",
    ),
    "D34 all null": (table(put("a", pa.nulls(ROWS, pa.float64()))), "all_null", "a", "a is null in all"),
    "D35 constant": (table(put("a", np.ones(ROWS))), "constant", "a", "a has one value in all"),
    "D36 id-like": (table(put("a", [f"u{i}" for i in range(ROWS)])), "id_like", "a", "distinct values in"),
    "D39 words for nothing": (table(put("b", ["nan", "x"] * (ROWS // 2))), "text_as_missing", "b", "b says 'nan'"),
    "D43 leakage": (
        table(put("paid", TABLE["y"])),
        "leakage",
        "paid",
        "paid alone predicts the label with an AUC of 1.0000",
    ),
    "D44 copies": (
        table(
            pa.concat_tables(
                [TABLE.slice(0, 300), TABLE.slice(0, 300).set_column(0, "id", pa.array(np.arange(300, 600)))]
            )
        ),
        "shared_rows",
        None,
        "occur in train with all features and the label",
    ),
    "D46 beyond float32": (
        table(put("a", TABLE["a"].to_numpy() * 1e39)),
        "too_large",
        "a",
        "which float32 cannot hold",
    ),
    "D47 sentinel": (
        table(put("a", np.where(np.arange(ROWS) % 10 == 0, -999, np.arange(ROWS) % 97))),
        "sentinel",
        "a",
        "a is -999 in",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_data_that_may_be_meant_is_a_finding(name: str, at: Path) -> None:
    spoil, word, column, message = WARNED[name]
    spoil(at / "rows")
    findings = [one for one in check(*profiled(at)) if one.check == word]
    assert [one for one in findings if one.column == column and message in one.found], findings


def test_good_data_gives_no_finding_of_weight(at: Path) -> None:
    findings = check(*profiled(at, more=", columns: [a, b]"))
    assert [one for one in findings if one.severity != "low"] == []
