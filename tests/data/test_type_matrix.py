"""Every role x every Arrow type x nulls x files that differ: right, or refused before a row is read.

What is right is computed here from plain Python values. A seeded sample of the cells runs in `make test`, all of them
in `make test-all`.
"""

import itertools
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.data import split as split_stage
from ray_pipeline.data.check_tables import check_tables
from ray_pipeline.data.labels import class_names
from ray_pipeline.data.read import read
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME, WEIGHT
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError
from ray_pipeline.preprocessing.encode import _encode_block
from ray_pipeline.preprocessing.fit_encoders import fit_encoders
from ray_pipeline.preprocessing.slice_names import slice_edges
from ray_pipeline.profiling.profile import profile_rows
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.estimate import estimate

ROWS = 120
DAY = date(2024, 1, 1)
NOON = datetime(2024, 1, 1, 12)
SAMPLE = 220
"""Cells that `make test` tries."""


@dataclass(frozen=True)
class Type:
    """One type of a column: what its values are in plain Python, and how Arrow stores them."""

    name: str
    kind: str
    value: Callable[[int], Any]
    store: Callable[[Sequence[Any]], pa.Array]
    siblings: tuple[str, ...] = ()
    """Names of types that another file of the table may have."""


def _plain(type_: pa.DataType) -> Callable[[Sequence[Any]], pa.Array]:
    return lambda values: pa.array(values, type_)


def _dictionary(index: pa.DataType, type_: pa.DataType) -> Callable[[Sequence[Any]], pa.Array]:
    """Unsorted, and one value twice. (Parquet has no null in a dictionary; `test_column_types.py` has.)"""

    def store(values: Sequence[Any]) -> pa.Array:
        known = [*sorted({value for value in values if value is not None}, reverse=True)]
        entries = [*known, *known[:1]]
        return pa.DictionaryArray.from_arrays(
            pa.array([None if value is None else entries.index(value) for value in values], index),
            pa.array(entries, type_),
        )

    return store


def _extension(type_: pa.DataType, storage: Callable[[Any], Any]) -> Callable[[Sequence[Any]], pa.Array]:
    return lambda values: pa.ExtensionArray.from_storage(
        type_, pa.array([None if one is None else storage(one) for one in values], type_.storage_type)
    )


def _types() -> Iterator[Type]:
    def integer(i: int) -> int:
        return i

    def text(i: int) -> str:
        return f"v{i}"

    def moment(i: int) -> datetime:
        return NOON + timedelta(hours=7 * i)

    for sign, bits in itertools.product(("int", "uint"), (8, 16, 32, 64)):
        siblings = ("int64", "null") if (sign, bits) != ("uint", 64) else ("null",)
        yield Type(f"{sign}{bits}", "integer", integer, _plain(getattr(pa, f"{sign}{bits}")()), siblings)
    for bits in (16, 32, 64):
        name = f"float{bits}"
        yield Type(name, "float", lambda i: i / 4, _plain(getattr(pa, name)()), ("float64", "null"))
    yield Type("decimal", "decimal", lambda i: Decimal(i) / 4, _plain(pa.decimal128(10, 2)), ("wide decimal",))
    yield Type("wide decimal", "decimal", lambda i: Decimal(i) / 4, _plain(pa.decimal256(50, 3)), ("null",))
    yield Type("bool", "boolean", lambda i: bool(i % 2), _plain(pa.bool_()), ("null", "bool8"))
    yield Type("bool8", "boolean", lambda i: bool(i % 2), _extension(pa.bool8(), int), ("bool",))
    for name in ("string", "large_string", "string_view"):
        yield Type(name, "text", text, _plain(getattr(pa, name)()), ("dictionary", "null", "string"))
    yield Type("dictionary", "text", text, _dictionary(pa.int32(), pa.string()), ("large_string", "null"))
    yield Type("large dictionary", "text", text, _dictionary(pa.int64(), pa.large_string()), ("dictionary",))
    yield Type("uuid", "text", lambda i: str(uuid.UUID(int=i)), _extension(pa.uuid(), lambda one: uuid.UUID(one).bytes))
    yield Type("json", "text", lambda i: f'"{i}"', _extension(pa.json_(), str), ("string",))
    for name, type_ in {
        "binary": pa.binary(),
        "large_binary": pa.large_binary(),
        "binary_view": pa.binary_view(),
        "fixed binary": pa.binary(4),
    }.items():
        yield Type(name, "bytes", lambda i: b"\xff%03d" % i, _plain(type_), ("binary",))
    yield Type("date32", "date", lambda i: DAY + timedelta(days=i), _plain(pa.date32()), ("null",))
    yield Type("time32", "time", lambda i: time(i % 24, i // 24), _plain(pa.time32("ms")))
    yield Type("time64", "time", lambda i: time(i % 24, i // 24), _plain(pa.time64("us")))
    for unit, zone in itertools.product(("s", "ms", "us", "ns"), (None, "UTC", "Europe/Berlin")):
        siblings = ("timestamp us", "null") if zone is None else ("timestamp us UTC",)
        aware = (lambda i: moment(i).replace(tzinfo=UTC)) if zone else moment
        name = " ".join(filter(None, ("timestamp", unit, zone)))
        yield Type(name, "timestamp", aware, _plain(pa.timestamp(unit, zone)), siblings)
    yield Type("duration", "duration", lambda i: timedelta(seconds=i), _plain(pa.duration("s")))
    yield Type("null", "null", lambda i: None, _plain(pa.null()))
    yield Type("list", "nested", lambda i: [i], _plain(pa.list_(pa.int64())))
    yield Type("struct", "nested", lambda i: {"a": i}, _plain(pa.struct([("a", pa.int64())])))
    yield Type("map", "nested", lambda i: [("a", i)], _plain(pa.map_(pa.string(), pa.int64())))


TYPES = {type_.name: type_ for type_ in _types()}
NUMBERS = {"integer", "float", "decimal"}
VALUES = {"boolean", *NUMBERS, "text", "date", "timestamp"}


@dataclass(frozen=True)
class Role:
    """One role of a column: where the spec names it, and what it takes."""

    kinds: set[str]
    labels: str = "label: y, key: id, columns: [x]"
    rest: str = "split: {by: random}"
    task: str = "binary"
    table: str = ""
    """The feature table, if there is one."""
    cardinality: int = 7
    """Distinct values of the column."""
    nulls: str = "kept"
    """What becomes of a null: `kept`, `dropped` or `refused`."""
    all_null: str = "kept"
    drawn: dict[str, Any] = field(default_factory=dict)
    """Values by position in place of the type's own."""


ROLES = {
    "binary label": Role(
        {"boolean", *NUMBERS}, "label: c, key: id, columns: [x]", cardinality=2, nulls="dropped", all_null="refused"
    ),
    "multiclass label": Role(
        {"boolean", *NUMBERS, "text", "date"},
        "label: c, key: id, columns: [x]",
        task="multiclass",
        cardinality=3,
        nulls="dropped",
        all_null="refused",
    ),
    "regression label": Role(
        {"boolean", *NUMBERS}, "label: c, key: id, columns: [x]", task="regression", nulls="dropped", all_null="refused"
    ),
    "stratify": Role(
        {"boolean", *NUMBERS, "text", "date"},
        "label: c, key: id, columns: [x]",
        "split: {by: random, stratify: true}",
        "multiclass",
        cardinality=3,
        nulls="dropped",
        all_null="refused",
    ),
    "key": Role(
        {*VALUES, "bytes"}, "label: y, key: c, columns: [x]", cardinality=ROWS, nulls="refused", all_null="refused"
    ),
    "time": Role(
        {"date", "timestamp"}, "label: y, key: id, time: c, columns: [x]", nulls="refused", all_null="refused"
    ),
    "weight": Role(NUMBERS, "label: y, key: id, weight: c, columns: [x]", nulls="refused", all_null="refused"),
    "group": Role({*VALUES, "bytes"}, rest="split: {by: random, group: c}", cardinality=40, all_null="refused"),
    "cluster": Role({*VALUES, "bytes"}, rest="split: {by: random}\nevaluate: {cluster: c}"),
    "split column": Role({"text"}, rest="split: {by: column, column: c}", nulls="refused", all_null="refused"),
    "feature": Role({*VALUES, "null"}, "label: y, key: id, columns: [x, c]"),
    "slice": Role(VALUES, rest="split: {by: random}\nevaluate: {slices: [c]}"),
    "bias group": Role(VALUES, rest="split: {by: random}\nbias: {groups: [c]}"),
    "binned slice": Role(NUMBERS, rest="split: {by: random}\nevaluate: {slices: [{column: c, bins: 3}]}"),
    "lookup key": Role({*VALUES, "bytes", "null"}, table="  f: {path: f.parquet, on: [c], columns: [v]}\n"),
    "as-of key": Role(
        {*VALUES, "bytes", "null"},
        "label: y, key: id, time: at, columns: [x]",
        table="  f: {path: f.parquet, on: [c], time: t, columns: [v]}\n",
    ),
    "event time": Role(
        {"date", "timestamp"},
        "label: y, key: id, time: c, columns: [x]",
        table="  f: {path: f.parquet, on: [one], time: c, columns: [v]}\n",
        nulls="refused",
        all_null="refused",
    ),
    "known_at": Role(
        {"date", "timestamp"},
        "label: y, key: id, time: c, columns: [x]",
        table="  f: {path: f.parquet, on: [one], time: t, known_at: c, columns: [v]}\n",
        nulls="refused",
        all_null="refused",
    ),
}
NULLS = ("none", "some", "all")
FILES = ("one", "two")


@dataclass(frozen=True)
class Cell:
    role: str
    type: str
    nulls: str
    files: str

    def __str__(self) -> str:
        return f"{self.role}-{self.type}-{self.nulls} null-{self.files} file"


def cells() -> list[Cell]:
    every = [Cell(*one) for one in itertools.product(ROLES, TYPES, NULLS, FILES)]
    return [
        one
        for one in every
        if (one.files == "one" or TYPES[one.type].siblings) and (one.type != "null" or one.nulls == "all")
    ]


def values_of(cell: Cell) -> list[Any]:
    """The column in plain Python."""
    role, type_ = ROLES[cell.role], TYPES[cell.type]
    draw = random.Random(f"{cell.role} {cell.type}")
    numbers = list(range(ROWS)) if role.cardinality == ROWS else [i % role.cardinality for i in range(ROWS)]
    draw.shuffle(numbers)
    if cell.role == "split column" and type_.kind == "text" and type_.name not in ("uuid", "json"):
        values = [("train", "validation", "test")[i % 3] for i in numbers]
    else:
        scale = 4 if role.task == "binary" and "label" in cell.role and type_.kind in ("float", "decimal") else 1
        values = [type_.value(i * scale) for i in numbers]
    if cell.nulls == "all":
        return [None] * ROWS
    return [None if cell.nulls == "some" and i % 6 == 5 else value for i, value in enumerate(values)]


def stored(cell: Cell, values: list[Any]) -> list[pa.Array]:
    """The column of each file."""
    names = [cell.type] if cell.files == "one" else [cell.type, TYPES[cell.type].siblings[0]]
    size = ROWS // len(names)
    parts = [values[i * size : (i + 1) * size] for i in range(len(names))]
    arrays = []
    for name, part in zip(names, parts, strict=True):
        if name.startswith("float"):  # half of the missing values are NaN
            part = [float("nan") if one is None and i % 4 == 1 else one for i, one in enumerate(part)]
        arrays.append(TYPES[name].store([None] * size if name == "null" else part))
    return arrays


def write(cell: Cell, folder: Path) -> tuple[Spec, list[Any], dict[str, Any]]:
    """The tables and the spec of a cell; the column's values; and the feature table's rows in plain Python."""
    role, draw = ROLES[cell.role], np.random.default_rng(3)
    values = values_of(cell)
    arrays = stored(cell, values)
    if cell.files == "two" and TYPES[cell.type].siblings[0] == "null":
        values = values[: ROWS // 2] + [None] * (ROWS // 2)
    x = draw.normal(size=ROWS)
    base = {
        "id": np.arange(ROWS),
        "x": x,
        "y": (np.arange(ROWS) % 2),
        "one": np.ones(ROWS, np.int64),
        "at": pa.array([NOON + timedelta(hours=i) for i in range(ROWS)], pa.timestamp("us")),
    }
    (folder / "rows").mkdir()
    for number, array in enumerate(arrays):
        start, size = number * ROWS // len(arrays), ROWS // len(arrays)
        table = pa.table({**{name: pa.array(column).slice(start, size) for name, column in base.items()}, "c": array})
        pq.write_table(table, folder / "rows" / f"{number}.parquet", row_group_size=25)
    feature: dict[str, Any] = {}
    if role.table:
        known = [one for i, one in enumerate(values) if one is not None and one not in values[:i]][:5]
        missing: list[Any] = [None] if cell.type != "null" else []
        column = [*known, *missing] or [None]
        moments = [NOON - timedelta(days=400) + timedelta(hours=i) for i in range(len(column))]
        feature = {"c": column, "v": [float(i) for i in range(len(column))], "t": moments}
        pq.write_table(
            pa.table(
                {
                    "c": TYPES[cell.type].store(column),
                    "v": feature["v"],
                    "t": pa.array(moments, times_like(cell)),
                    "one": np.ones(len(column), np.int64),
                }
            ),
            folder / "f.parquet",
        )
    text = (
        f"name: cell\ntask: {role.task}\nfeatures:\n  labels: {{path: rows, {role.labels}}}\n{role.table}{role.rest}\n"
    )
    return Spec.from_text(text + "model: xgboost\n", file="cell.yaml", folder=folder), values, feature


def times_like(cell: Cell) -> pa.DataType:
    """The type of the event times: with a zone where the column under test has one and is compared with them."""
    zoned = cell.role == "known_at" and TYPES[cell.type].kind == "timestamp" and cell.type.count(" ") == 2
    return pa.timestamp("us", "UTC" if zoned else None)


@pytest.fixture(autouse=True)
def blocks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan's pieces are read by this process instead of by Ray's workers."""

    def map_here(made: Table, work: Callable[[pa.Table], pa.Table]) -> list[pa.Table]:
        return [work(piece()) for piece in made.labels.pieces(made.columns_read["labels"], 50, made.scan_filter)]

    monkeypatch.setattr(Table, "map_blocks", map_here)


def run(spec: Spec) -> tuple[pa.Table, pa.Table, Any]:
    """All stages up to encoding: the rows, the encoded rows and the encoder."""
    table = split_stage.split(read(spec, Where()), spec)
    profile = profile_rows(table, spec)
    encoders = fit_encoders(profile, ["trees"])
    edges = slice_edges(spec.slices, table, profile)
    pieces = table.labels.pieces(table.columns_read["labels"], 50, table.scan_filter)
    rows = [table.row_builder(piece())[0] for piece in pieces]
    encoded = [_encode_block(one, table, profile, spec, encoders, edges) for one in rows]
    return pa.concat_tables(rows), pa.concat_tables(encoded, promote_options="permissive"), encoders["trees"]


def expected_refusal(cell: Cell, values: list[Any]) -> str | None:
    """`type` where the schema dooms the run, `values` where the rows do, None where it must be right."""
    role, type_ = ROLES[cell.role], TYPES[cell.type]
    if type_.kind not in role.kinds:
        return "type"
    missing = sum(value is None for value in values)
    if missing == ROWS and role.all_null == "refused":
        return "values"
    if missing and role.nulls == "refused":
        return "values"
    if cell.role == "split column" and type_.name in ("uuid", "json"):
        return "values"
    if cell.role == "key" and len(set(values)) < ROWS:
        return "values"
    if cell.role == "group" and type_.kind == "boolean":  # two groups cannot fill three parts
        return "values"
    return None


def zone_of(name: str) -> bool:
    return name.startswith("timestamp") and name.count(" ") == 2


def check(cell: Cell, folder: Path) -> None:
    """The cell is right, or refused by name where it must be."""
    spec, values, feature = write(cell, folder)
    refusal = expected_refusal(cell, values)
    early = check_tables(spec, Where()).problems
    if refusal == "type":
        assert early and all(one.fix for one in early)
        assert any(one.column == "c" or "'c'" in one.found for one in early), early
        with pytest.raises(DataError):
            estimate(spec, Where(), LAYOUT)
    else:
        assert not early, early
        estimate(spec, Where(), LAYOUT)
    if refusal:
        with pytest.raises(DataError) as raised:
            run(spec)
        assert raised.value.exit_code == 3
        assert all(problem.found and problem.fix for problem in raised.value.problems)
        return
    rows, encoded, encoder = run(spec)
    dropped = ROLES[cell.role].nulls == "dropped"
    order = [i for i in range(ROWS) if not (dropped and values[i] is None)]
    assert rows.num_rows == len(order)
    VERIFY[cell.role]([values[i] for i in order], rows, encoded, feature, encoder)


LAYOUT = Layout(slots=1, workers=1, threads=1, gpus=0, fit_threads=1)
Verify = Callable[[list[Any], pa.Table, pa.Table, dict[str, Any], Any], None]


def same_groups(values: Sequence[Any], names: Sequence[Any]) -> None:
    """Equal values have equal names, and others have others."""
    ours: dict[Any, set[Any]] = defaultdict(set)
    theirs: dict[Any, set[Any]] = defaultdict(set)
    for value, name in zip(values, names, strict=True):
        ours[value].add(name)
        theirs[name].add(value)
    assert all(len(one) == 1 for one in (*ours.values(), *theirs.values())), (ours, theirs)


def text_of(value: Any) -> str:
    """A value as a class or a slice is named."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def number_label(values: list[Any], rows: pa.Table, *_: Any) -> None:
    assert rows[LABEL].to_pylist() == [float(value) for value in values]


def class_label(values: list[Any], rows: pa.Table, *_: Any) -> None:
    found = class_names(rows[LABEL]).to_pylist()
    same_groups(values, found)
    assert found == [text_of(float(value) if isinstance(value, Decimal) else value) for value in values]


def key(values: list[Any], rows: pa.Table, *_: Any) -> None:
    assert rows[KEY].to_pylist() == values


def moment(values: list[Any], rows: pa.Table, *_: Any) -> None:
    assert [_naive(one) for one in rows[TIME].to_pylist()] == [_naive(value) for value in values]


def _naive(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value.replace(tzinfo=None)
    return datetime(value.year, value.month, value.day)


def weight(values: list[Any], rows: pa.Table, *_: Any) -> None:
    assert rows[WEIGHT].to_pylist() == [float(value) for value in values]


def group(values: list[Any], rows: pa.Table, *_: Any) -> None:
    parts: dict[Any, set[int]] = defaultdict(set)
    for value, part in zip(values, rows[PART].to_pylist(), strict=True):
        parts[value].add(part)
    assert all(len(one) == 1 for one in parts.values())


def cluster(values: list[Any], rows: pa.Table, encoded: pa.Table, *_: Any) -> None:
    same_groups(by_key(values, rows, encoded), encoded["cluster"].to_pylist())


def by_key(values: list[Any], rows: pa.Table, encoded: pa.Table) -> list[Any]:
    """The values in the order of the encoded rows."""
    known = dict(zip(rows[KEY].to_pylist(), values, strict=True))
    return [known[one] for one in encoded["key"].to_pylist()]


def part(values: list[Any], rows: pa.Table, *_: Any) -> None:
    assert [("train", "validation", "test")[code] for code in rows[PART].to_pylist()] == values


def feature_column(values: list[Any], rows: pa.Table, encoded: pa.Table, _: Any, encoder: Any) -> None:
    values = by_key(values, rows, encoded)
    matrix = np.asarray(encoded["matrix:trees"].combine_chunks().flatten()).reshape(len(values), -1)
    train = [value for value, code in zip(values, encoded["part"].to_pylist(), strict=True) if code == 0]
    if len(set(train)) < 2:
        assert list(encoder.columns) == ["x"]
        return
    assert list(encoder.columns) == ["x", "c"]
    column = matrix[:, 1]
    assert np.isnan(column).tolist() == [value is None for value in values]
    present = [(value, number) for value, number in zip(values, column.tolist(), strict=True) if value is not None]
    known = [(value, number) for value, number in present if value in set(train)]
    same_groups([value for value, _ in known], [number for _, number in known])
    for value, number in present:
        if isinstance(value, bool | int | float | Decimal):
            assert number == np.float32(float(value))
        elif isinstance(value, date):
            days = (_naive(value) - datetime(1970, 1, 1)) / timedelta(days=1)
            assert number == pytest.approx(days, abs=1 / 256)


def slices(values: list[Any], rows: pa.Table, encoded: pa.Table, *_: Any) -> None:
    values = by_key(values, rows, encoded)
    names, parts = encoded["slice:c"].cast(pa.string()).to_pylist(), encoded["part"].to_pylist()
    scored = [(value, name) for value, name, code in zip(values, names, parts, strict=True) if code > 0]
    same_groups([value for value, _ in scored], [name for _, name in scored])
    for value, name in scored:
        if value is None:
            assert name == "null"
        elif not isinstance(value, datetime | Decimal):
            assert name == text_of(value)


def bins(values: list[Any], rows: pa.Table, encoded: pa.Table, *_: Any) -> None:
    values = by_key(values, rows, encoded)
    names, parts = encoded["slice:c"].cast(pa.string()).to_pylist(), encoded["part"].to_pylist()
    scored = [(value, name) for value, name, code in zip(values, names, parts, strict=True) if code > 0]
    assert all((name == "null") == (value is None) for value, name in scored)
    spans: dict[str, list[float]] = defaultdict(list)
    for value, name in scored:
        if value is not None:
            spans[name].append(float(value))
    ordered = sorted((min(span), max(span)) for span in spans.values())
    assert all(first[1] < second[0] for first, second in itertools.pairwise(ordered))


def lookup(values: list[Any], rows: pa.Table, _: Any, feature: dict[str, Any], __: Any) -> None:
    known = {value: v for value, v in zip(feature["c"], feature["v"], strict=True) if value is not None}
    assert rows["f.v"].to_pylist() == [None if value is None else known.get(value) for value in values]


def as_of_moment(values: list[Any], rows: pa.Table, _: Any, feature: dict[str, Any], __: Any) -> None:
    expected = []
    for value in values:
        at = _naive(value)
        seen = [(_naive(known), v) for known, v in zip(feature["c"], feature["v"], strict=True) if known is not None]
        latest = max(((moment_, v) for moment_, v in seen if moment_ <= at), default=(None, None))
        expected.append(latest[1])
    assert rows["f.v"].to_pylist() == expected


def as_of_known(values: list[Any], rows: pa.Table, _: Any, feature: dict[str, Any], __: Any) -> None:
    expected = []
    for value in values:
        at = _naive(value)
        seen = [
            (t, v)
            for known, t, v in zip(feature["c"], feature["t"], feature["v"], strict=True)
            if known is not None and _naive(known) <= at and t <= at
        ]
        expected.append(max(seen, default=(None, None))[1])
    assert rows["f.v"].to_pylist() == expected


VERIFY: dict[str, Verify] = {
    "binary label": number_label,
    "multiclass label": class_label,
    "regression label": number_label,
    "stratify": class_label,
    "key": key,
    "time": moment,
    "weight": weight,
    "group": group,
    "cluster": cluster,
    "split column": part,
    "feature": feature_column,
    "slice": slices,
    "bias group": slices,
    "binned slice": bins,
    "lookup key": lookup,
    "as-of key": lookup,
    "event time": as_of_moment,
    "known_at": as_of_known,
}


def test_every_role_of_the_table_is_tried_here() -> None:
    from ray_pipeline.data.column_roles import ROLES as KNOWN

    tried = {"join key": "lookup key", "time with `time_unit`": "time"}
    assert {tried.get(role, role) for role in KNOWN} <= {*ROLES}
    for role, kinds in KNOWN.items():
        if role != "time with `time_unit`":
            assert set(kinds) == ROLES[tried.get(role, role)].kinds, role


@pytest.mark.parametrize("cell", random.Random(14).sample(cells(), SAMPLE), ids=str)
def test_a_cell_of_the_matrix_is_right_or_refused(cell: Cell, tmp_path: Path, ray_local: None) -> None:
    check(cell, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_every_cell_of_a_role_is_right_or_refused(role: str, tmp_path: Path, ray_local: None) -> None:
    wrong = []
    for number, cell in enumerate(one for one in cells() if one.role == role):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            check(cell, folder)
        except Exception as error:
            wrong.append(f"{cell}: {type(error).__name__}: {str(error)[:300]}")
    assert not wrong, f"{len(wrong)} cells\n" + "\n".join(wrong)
