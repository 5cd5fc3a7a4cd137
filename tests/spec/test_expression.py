"""Expressions against a plain-Python oracle of three-valued logic, on rows, on Arrow scans and on Ray scans."""

import math
import operator
import random
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.errors import DataError
from ray_pipeline.spec.expression import Expression

COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
NUMBERS = ("i", "f", "g")

numbers = st.one_of(st.integers(-4, 4), st.sampled_from([0.5, -1.5, 2.0, 1e3]))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-4, 4),
            "f": st.none() | st.sampled_from([math.nan, 0.0, -1.5, 0.5, 2.0, 4.0, math.inf]),
            "g": st.none() | st.integers(-4, 4).map(float),
            "s": st.none() | st.sampled_from(["", "a", "b", "it's"]),
            "b": st.none() | st.booleans(),
            "t": st.none() | st.datetimes(datetime(2013, 1, 1), datetime(2013, 1, 3)),
        }
    ),
    max_size=8,
)
SCHEMA = pa.schema(
    {
        "i": pa.int32(),
        "f": pa.float64(),
        "g": pa.float32(),
        "s": pa.dictionary(pa.int8(), pa.string()),
        "b": pa.bool_(),
        "t": pa.timestamp("us", "UTC"),
    }
)

values = st.recursive(
    st.sampled_from(NUMBERS) | numbers.map(lambda n: ("number", n)),
    lambda inner: st.tuples(st.sampled_from(sorted(ARITHMETIC)), inner, inner),
    max_leaves=4,
)
comparisons = st.one_of(
    st.tuples(st.just("compare"), st.sampled_from(sorted(COMPARISONS)), values, values),
    st.tuples(st.just("in"), st.sampled_from(NUMBERS), st.lists(numbers, min_size=1, max_size=3)),
    st.tuples(st.just("in"), st.just("s"), st.lists(st.sampled_from(["", "a", "it's"]), min_size=1, max_size=2)),
    st.tuples(st.just("null"), st.sampled_from([*NUMBERS, "s", "b", "t"])),
    st.tuples(st.just("text"), st.sampled_from(sorted(COMPARISONS)), st.sampled_from(["", "a", "it's"])),
    st.tuples(
        st.just("time"), st.sampled_from(sorted(COMPARISONS)), st.datetimes(datetime(2013, 1, 1), datetime(2013, 1, 3))
    ),
    st.just(("column", "b")),
)
truths = st.recursive(
    comparisons,
    lambda inner: st.one_of(st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)),
    max_leaves=5,
)


def write(tree: Any) -> str:
    """The tree as a person would write it, in full parentheses."""
    match tree:
        case str():
            return tree
        case ("number", n):
            return repr(n)
        case ("compare", op, left, right):
            return f"{write(left)} {op} {write(right)}"
        case ("in", name, items):
            return f"{name} in [{', '.join(quote(one) for one in items)}]"
        case ("null", name):
            return f"{name} is null"
        case ("text", op, text):
            return f"s {op} {quote(text)}"
        case ("time", op, moment):
            return f"t {op} '{moment}'"
        case ("column", name):
            return str(name)
        case ("not", inner):
            return f"not ({write(inner)})"
        case (op, left, right):
            return f"({write(left)} {op} {write(right)})"
    raise AssertionError(tree)


def quote(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def oracle(tree: Any, row: dict[str, Any]) -> Any:
    """What the tree means on one row; None is null."""
    match tree:
        case str():
            return clean(row[tree])
        case ("number", n):
            return n
        case ("compare", op, left, right):
            return compare(op, oracle(left, row), oracle(right, row))
        case ("in", name, items):
            return None if clean(row[name]) is None else clean(row[name]) in items
        case ("null", name):
            return clean(row[name]) is None
        case ("text", op, text):
            return compare(op, row["s"], text)
        case ("time", op, moment):
            return compare(op, row["t"], moment)
        case ("column", name):
            return row[name]
        case ("not", inner):
            value = oracle(inner, row)
            return None if value is None else not value
        case ("and", left, right):
            sides = {oracle(left, row), oracle(right, row)}
            return False if False in sides else None if None in sides else True
        case ("or", left, right):
            sides = {oracle(left, row), oracle(right, row)}
            return True if True in sides else None if None in sides else False
        case (op, left, right):
            a, b = oracle(left, row), oracle(right, row)
            if a is None or b is None or (op == "/" and b == 0):
                return None
            return clean(ARITHMETIC[op](float(a), float(b)))
    raise AssertionError(tree)


def clean(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def compare(op: str, left: Any, right: Any) -> bool | None:
    return None if left is None or right is None else bool(COMPARISONS[op](left, right))


def named(tree: Any) -> bool:
    try:
        Expression.parse(write(tree))
    except ValueError as error:
        assert "names no column" in str(error) or "two constants" in str(error)
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(truths.filter(named), rows)
def test_rows_and_scans_agree_with_three_valued_logic(tree: Any, given_rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(given_rows, SCHEMA)
    expression = Expression.parse(write(tree))
    expected = [oracle(tree, row) for row in given_rows]
    assert expression.evaluate(table).to_pylist() == expected
    numbered = table.append_column("n", pa.array(range(len(given_rows)), pa.int64()))
    assert scanned(pads.dataset(numbered), expression)["n"].to_pylist() == [
        number for number, value in enumerate(expected) if value is True
    ]


def scanned(dataset: pads.Dataset, expression: Expression, resolve: dict[str, str] | None = None) -> pa.Table:
    """The rows that a run keeps: the scan drops some of them, the expression itself the others."""
    rows = dataset.to_table(filter=expression.implied(dataset.schema, resolve))
    kept = expression.evaluate(rows, resolve)
    return rows.filter(kept)


@settings(max_examples=60, deadline=None)
@given(values.filter(named), rows)
def test_arithmetic_is_float_and_never_nan(tree: Any, given_rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(given_rows, SCHEMA)
    assert Expression.parse(write(tree)).evaluate(table).to_pylist() == [oracle(tree, row) for row in given_rows]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab1.5 '`()[],=<>!&|+-*/\"\\n%", max_size=30) | st.text(max_size=20))
def test_any_text_parses_or_is_refused_with_a_value_error(text: str) -> None:
    try:
        parsed = Expression.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert parsed.columns


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a = 1", "write `==` to compare"),
        ("a < b < c", "write `a < b and b < c`"),
        ("a && b", "write `and`"),
        ("a AND b", "keywords are lower-case: write `and`"),
        ("a == None", "keywords are lower-case: write `null`"),
        ("a == null", "write `is null` or `is not null`"),
        ("a is 5", "after `is` comes `null` or `not null`"),
        ("len(a)", "there are no functions"),
        ("a ** 2", "there are no powers"),
        ("a in []", "the list is empty"),
        ("a in [b]", "numbers or strings only"),
        ("a in [1, 'x']", "either numbers or strings"),
        ("(a > 1", "a ')' is missing"),
        ("a > 1)", "there is no '(' for this ')'"),
        ("a b", "an operator is missing"),
        ("a > 'x", "the string is not closed"),
        ("`a > 1", "the backtick is not closed"),
        ("a +", "must stand here"),
        ("", "the expression is empty"),
        ("1 + 1", "names no column"),
        ("1 == 1 or a", "two constants"),
        ("a and 3", "a comparison or a boolean column must stand"),
        ("(a > 1) + 1", "where a value must stand"),
        ("a + 'x' > 1", "need numbers"),
        ("__import__('os').system('x')", "no such character here"),
        ("(" * 60 + "a" + ")" * 60, "levels of nesting"),
        (" or ".join(["a"] * 300), "at most 200"),
        ("a" * 10_001, "10,001 characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Expression.parse(text)
    assert hint in str(refused.value)


def test_names_are_found_with_and_without_backticks() -> None:
    expression = Expression.parse("`odd name` > 1 and weather.temp < 3 and `in` == weather.`wind speed`")
    assert expression.columns == ("in", "odd name", "weather.temp", "weather.wind speed")
    assert not expression.is_column
    assert Expression.parse(" weather.temp ").is_column


def test_precedence_is_or_and_not_comparison_sum_product_sign() -> None:
    table = pa.table({"a": [1, 2, 3, 4]})
    assert Expression.parse("not a == 1 and a < 4 or a == 1").evaluate(table).to_pylist() == [True, True, True, False]
    assert Expression.parse("-a + 2 * a - 4 / 2").evaluate(table).to_pylist() == [-1.0, 0.0, 1.0, 2.0]
    assert Expression.parse("a - 1 - 1").evaluate(table).to_pylist() == [-1.0, 0.0, 1.0, 2.0]
    assert Expression.parse("a not in [1, 2] and a is not null").evaluate(table).to_pylist() == [
        False,
        False,
        True,
        True,
    ]


def test_names_as_written_are_resolved_to_the_table_s_columns() -> None:
    table = pa.table({"weather.temp": [1.0, 5.0], "x": [1, 1]})
    resolve = {"temp": "weather.temp"}
    assert Expression.parse("temp > 2").evaluate(table, resolve).to_pylist() == [False, True]
    assert scanned(pads.dataset(table), Expression.parse("temp > 2 and x == 1"), resolve).num_rows == 1


DAY, NOON = date(2013, 1, 2), datetime(2013, 1, 2, 12)


@pytest.mark.parametrize(
    "type",
    [
        pa.date32(),
        pa.date64(),
        *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "America/New_York")),
    ],
    ids=str,
)
def test_a_quoted_date_is_cast_to_the_column_s_type(type: pa.DataType) -> None:
    moments = [datetime(2013, 1, 1), datetime(2013, 1, 2), datetime(2013, 1, 3), None]
    table = pa.table({"t": pa.array(moments, pa.timestamp("us")).cast(type)})
    for text, expected in {
        "t >= '2013-01-02'": [False, True, True, None],
        "t == '2013-01-02'": [False, True, False, None],
        "t < '2013-01-02 12:00:00.000001'": [True, True, False, None],
        "t < '2013-01-02T01:00:00+02:00'": [True, False, False, None],
        "t < '9999-12-31' and t > '0001-01-01'": [True, True, True, None],
        "t in ['2013-01-02', '2013-01-03']": [False, True, True, None],
        "t not in ['2013-01-02']": [True, False, True, None],
    }.items():
        expression = Expression.parse(text)
        assert expression.evaluate(table).to_pylist() == expected, text
        assert scanned(pads.dataset(table), expression).num_rows == expected.count(True), text


def test_large_integers_compare_exactly() -> None:
    big = 2**53 + 1
    table = pa.table(
        {"i": pa.array([big - 1, big, None], pa.int64()), "u": pa.array([2**64 - 1, 1, None], pa.uint64())}
    )
    assert Expression.parse(f"i == {big}").evaluate(table).to_pylist() == [False, True, None]
    assert Expression.parse(f"i in [{big}, 0.5]").evaluate(table).to_pylist() == [False, True, None]
    assert Expression.parse("u > 5").evaluate(table).to_pylist() == [True, False, None]
    assert Expression.parse("u > -5").evaluate(table).to_pylist() == [True, True, None]
    assert Expression.parse("i + 0.5 > 1").evaluate(table).to_pylist() == [True, True, None]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("carier == 'UA'", "did you mean 'carrier'"),
        ("carrier > 5", "column 'carrier' (string) with 5"),
        ("n == 'x'", "column 'n' (int64) with 'x'"),
        ("carrier + 1 > 2", "column 'carrier' is string"),
        ("not n", "column 'n' is int64, not boolean"),
        ("day > 'yesterday'", "'yesterday' is not a date"),
        ("tags == 1", "column 'tags' is list"),
    ],
)
def test_a_column_of_the_wrong_kind_is_a_data_error(text: str, found: str) -> None:
    table = pa.table({"carrier": ["UA"], "n": [1], "day": [datetime(2013, 1, 1, tzinfo=UTC)], "tags": [[1]]})
    with pytest.raises(DataError, match="in ") as refused:
        Expression.parse(text).evaluate(table)
    assert found in str(refused.value)


def test_a_scan_skips_row_groups_by_their_statistics(tmp_path: Any) -> None:
    pq.write_table(
        pa.table({"x": [float(n) for n in range(100)], "i": list(range(100))}),
        tmp_path / "x.parquet",
        row_group_size=10,
    )
    (fragment,) = pads.dataset(tmp_path / "x.parquet").get_fragments()
    for text in ("x >= 90", "i > 89 and x < 1000", "i in [90, 99]"):
        assert len(fragment.split_by_row_group(Expression.parse(text).implied(fragment.physical_schema))) == 1, text


def test_a_scan_keeps_the_same_rows(tmp_path: Any) -> None:
    table = pa.table(
        {
            "f": [math.nan, 1.0, None, -3.0],
            "i": [0, 1, 2, None],
            "s": ["a", None, "b", "a"],
            "t": pa.array([1, 2, None, 3], pa.timestamp("s", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    for text in ("not f > 0", "f / i != 5", "s != 'a' or t >= '1970-01-01 00:00:03'", "i not in [1]"):
        expression = Expression.parse(text)
        expected = [value is True for value in expression.evaluate(table).to_pylist()]
        for found in (
            scanned(pads.dataset(tmp_path / "x.parquet"), expression),
            scanned(pads.dataset(table), expression),
        ):
            assert [repr(f) for f in found["f"].to_pylist()] == [
                repr(row["f"]) for row, keep in zip(table.to_pylist(), expected, strict=True) if keep
            ], text


EXTREMES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "f": (pa.float64(), [None, math.nan, -0.0, 0.0, 1.5, math.inf, -math.inf, 2.0**53, 5e-324]),
    "h": (pa.float32(), [None, math.nan, -0.0, 0.0, 0.1, math.inf, -math.inf, 16777216.0]),
    "i": (pa.int64(), [None, 0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 2**53]),
    "b": (pa.int8(), [None, 0, 1, -128, 127]),
    "u": (pa.uint64(), [None, 0, 1, 2**63 - 1, 2**53 + 1]),
    "s": (pa.string(), [None, "", "a", "nan", "ü"]),
    "t": (pa.timestamp("us"), [None, datetime(1, 1, 1), datetime(2024, 2, 29), datetime(9999, 12, 31)]),
    "p": (pa.bool_(), [None, True, False]),
}
CONDITIONS = [
    *(f"{name} is null" for name in EXTREMES),
    *(f"{name} is not null" for name in EXTREMES),
    *(
        f"{name} {op} {value}"
        for name in "fhibu"
        for op in ("==", "!=", "<", "<=", ">", ">=")
        for value in ("0", "0.1")
    ),
    *(f"{name} {op} 9007199254740993" for name in "fiu" for op in ("==", "!=", "<", ">=")),
    *(f"{name} {op} 'a'" for name in "s" for op in ("==", "!=", "<", ">=")),
    *(f"t {op} '2024-02-29'" for op in ("==", "!=", "<", "<=", ">", ">=")),
    *(f"{name} in [0, 1, 127, 0.1]" for name in "fhibu"),
    *(f"{name} not in [0, 1, 127]" for name in "fhibu"),
    "s in ['a', '']",
    "s not in ['a']",
    "t in ['2024-02-29', '0001-01-01']",
    "p",
    "not p",
    "p == true",
    "f + i > 0",
    "f / h > 0",
    "f - f == 0",
    "f < h",
    "i == u",
    "f == i",
    "not (f > 0 and i > 0)",
    "f > 0 or i > 0 and s != 'a'",
    "f * 0 is null",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_scan_and_memory_keep_the_same_rows_of_extreme_values(condition: str, tmp_path: Any) -> None:
    draw = random.Random(condition)
    table = pa.table({name: pa.array(draw.choices(values, k=400), type_) for name, (type_, values) in EXTREMES.items()})
    table = table.append_column("n", pa.array(range(400)))
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=20)
    expression = Expression.parse(condition)
    expected = [number for number, value in enumerate(expression.evaluate(table).to_pylist()) if value is True]
    found = scanned(pads.dataset(tmp_path / "x.parquet"), expression)["n"].to_pylist()
    assert found == expected
    rows = table.to_pylist()
    if condition.endswith("is null") and "*" not in condition:
        name = condition.split()[0]
        assert found == [row["n"] for row in rows if row[name] is None or row[name] != row[name]]


def test_the_meaning_of_a_long_sum_is_found_in_linear_time() -> None:
    expression = Expression.parse(" + ".join(["a"] * 150) + " > 1 and b > 1")
    schema = pa.schema([("a", pa.float64()), ("b", pa.float64())])
    assert str(expression.implied(schema)) == "(b > 1)"
    assert expression.evaluate(pa.table({"a": [0.0, 1.0], "b": [2.0, 2.0]})).to_pylist() == [False, True]
