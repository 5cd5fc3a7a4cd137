"""Names of the spec become canonical names, globs become features; absent and unfit columns are reported at once."""

import pyarrow as pa
import pytest

from ray_pipeline.column_types import plain_schema
from ray_pipeline.data.column_checks import check_columns
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec

SPEC = """\
name: loans
task: binary
features:
  labels: {path: loans, label: loss > 0, key: id, time: asked, weight: w, slice_only: [sex]COLUMNS}
  rates: {path: rates, on: [branch], time: hour, known_at: known}
  branches: {path: branches, on: [branch]}
split: {by: random}
model: xgboost
MORE
"""
LABELS = {
    "id": pa.int64(),
    "asked": pa.timestamp("us", "UTC"),
    "branch": pa.string(),
    "amount": pa.float64(),
    "amount_eur": pa.decimal128(9, 2),
    "purpose": pa.string(),
    "size": pa.int32(),
    "sex": pa.string(),
    "w": pa.float32(),
    "loss": pa.float64(),
}
RATES = {
    "branch": pa.large_string(),
    "hour": pa.timestamp("ms", "UTC"),
    "known": pa.timestamp("us", "UTC"),
    "rate": pa.float64(),
}
BRANCHES = {"branch": pa.dictionary(pa.int8(), pa.string()), "size": pa.int16(), "opened": pa.date32()}


def resolved(
    columns: str = "",
    more: str = "",
    labelled: bool = True,
    labels: dict[str, pa.DataType] | None = None,
    rates: dict[str, pa.DataType] | None = None,
) -> ResolvedColumns:
    """The columns of the spec over three tables, of which some columns may be of another type, or absent (None)."""
    text = SPEC.replace("COLUMNS", f", columns: {columns}" if columns else "").replace("MORE", more)
    types = {"labels": {**LABELS, **(labels or {})}, "rates": {**RATES, **(rates or {})}, "branches": BRANCHES}
    schemas = {
        name: plain_schema(pa.schema([(column, type_) for column, type_ in schema.items() if type_ is not None]))
        for name, schema in types.items()
    }
    return ResolvedColumns(Spec.from_text(text, file="loans.yaml"), schemas, labelled)


def problems(columns: ResolvedColumns) -> list[Problem]:
    with pytest.raises(DataError) as raised:
        check_columns(columns)
    return list(raised.value.problems)


def test_a_bare_name_means_the_one_table_that_has_it_and_every_column_has_a_full_name() -> None:
    resolve = resolved().resolve
    assert (resolve["rate"], resolve["rates.rate"], resolve["opened"]) == (
        "rates.rate",
        "rates.rate",
        "branches.opened",
    )
    assert (resolve["amount"], resolve["labels.amount"]) == ("amount", "amount")
    assert resolve["size"] == "size" and resolve["branches.size"] == "branches.size"
    assert "known" in resolve and "branches.hour" not in resolve


def test_without_columns_every_column_without_a_role_is_a_feature() -> None:
    columns = resolved()
    check_columns(columns)
    assert columns.features == [
        *("branch", "amount", "amount_eur", "purpose", "size"),
        *("rates.rate", "branches.size", "branches.opened"),
    ]
    assert columns.types["amount_eur"] == pa.decimal128(9, 2)


@pytest.mark.parametrize(
    ("written", "features"),
    [
        ("['amount*']", ["amount", "amount_eur"]),
        ("[purpose, 'amount*', amount]", ["purpose", "amount", "amount_eur"]),
        ("['[ap]*']", ["amount", "amount_eur", "purpose"]),
        ("['?????']", []),
        ("['*']", ["branch", "amount", "amount_eur", "purpose", "size"]),
    ],
)
def test_globs_name_columns_in_the_table_s_order_once_and_never_a_column_with_a_role(
    written: str, features: list[str]
) -> None:
    columns = resolved(written)
    assert [name for name in columns.features if "." not in name] == features
    if not features:  # `asked` has five letters, but is the time
        (problem,) = problems(columns)
        assert problem.found.startswith("there is no column '?????' in labels (10 columns); Known: id, asked, branch")
        assert (problem.file, problem.line, problem.key) == ("loans.yaml", 4, "features.labels.columns[0]")


def test_every_absent_column_is_reported_at_once_with_its_line_and_the_nearest_name() -> None:
    columns = resolved(
        "[amuont, purpose]",
        "select: {where: rats.rate > 1}\nevaluate: {slices: [six], cluster: nobody}",
        labels={"w": None, "loss": None},
        rates={"known": None},
    )
    found = {(p.key, p.column): p for p in problems(columns)}
    assert set(found) == {
        ("features.labels.columns[0]", "amuont"),
        ("features.labels.weight", "w"),
        ("features.labels.label", "loss"),
        ("features.rates.known_at", "known"),
        ("select.where", "rats.rate"),
        ("evaluate.slices[0]", "six"),
        ("evaluate.cluster", "nobody"),
    }
    amount = found["features.labels.columns[0]", "amuont"]
    near = "did you mean 'amount'? Known: id, asked, branch"
    assert amount.found.startswith(f"there is no column 'amuont' in labels (8 columns); {near}")
    assert (amount.fix, amount.stage) == ("correct the name", "read")
    assert (amount.line, found["features.rates.known_at", "known"].line, found["select.where", "rats.rate"].line) == (
        4,
        5,
        9,
    )


@pytest.mark.parametrize("twin", ["Amount", "AMOUNT", "ａmount"])
def test_features_that_differ_by_case_or_unicode_form_alone_are_refused(twin: str) -> None:
    (problem,) = problems(resolved(labels={twin: pa.float64()}))
    assert problem.found == f"'amount' and {twin!r} differ by case or Unicode form alone"
    assert (problem.column, problem.key) == (twin, "features")
    check_columns(resolved("[amount]", labels={twin: pa.float64()}))


def test_a_spec_without_a_feature_is_refused() -> None:
    spec = Spec.from_text(
        "name: a\ntask: binary\nfeatures: {labels: {path: a, label: y, key: id}}\nsplit: {by: random}\nmodel: xgboost"
    )
    (problem,) = problems(ResolvedColumns(spec, {"labels": pa.schema({"id": pa.int64(), "y": pa.int64()})}))
    assert (problem.found, problem.key) == ("no column is left to be a feature", "features.labels.columns")


def test_a_label_that_is_the_odd_name_of_a_column_is_answered_with_its_backticks() -> None:
    text = "name: a\ntask: binary\nfeatures: {labels: {path: a, label: a-b}}\nsplit: {by: random}\nmodel: xgboost"
    schema = pa.schema({"a-b": pa.int64(), "x": pa.int64()})
    found = problems(ResolvedColumns(Spec.from_text(text), {"labels": schema}))
    assert {one.fix for one in found} == {"write the name in backticks: `a-b`"}


def test_a_column_that_cannot_be_a_feature_is_refused_unless_it_is_left_out() -> None:
    (problem,) = problems(resolved(labels={"tags": pa.list_(pa.string())}))
    assert problem.found == "column 'tags' is list<item: string>, which cannot be a feature"
    assert problem.fix == "leave it out of `columns`, or write one column for each part of it"
    check_columns(resolved("[amount]", labels={"tags": pa.list_(pa.string())}))


@pytest.mark.parametrize(
    ("encode", "found", "fix"),
    [
        ("{sex: {as: ordinal}}", "'sex' is no feature", "Known: branch, amount"),
        ("{amuont: {impute: mean}}", "'amuont' is no feature", "did you mean 'amount'?"),
        ("{amount: {as: one_hot}}", "`as` is not for amount, which is double", "for a number there are as, impute"),
        (
            "{purpose: {scale: log}}",
            "`scale` is not for purpose, which is string",
            "for a category there are as, impute",
        ),
        ("{purpose: {impute: mean}}", "`impute: mean` is not for purpose, which is string", "for a category"),
        ("{amount: {impute: none at all}}", "`impute: none at all` is not for amount, which is double", "for a number"),
        ("{opened: {rare: 5}}", "`rare` is not for branches.opened, which is date32[day]", "for a time there are"),
    ],
)
def test_an_encoding_is_for_a_feature_of_its_kind(encode: str, found: str, fix: str) -> None:
    (problem,) = problems(resolved(more=f"encode: {encode}"))
    assert problem.found == found and fix in problem.fix
    assert problem.line == 9 and str(problem.key).startswith("encode.")


def test_encodings_that_fit_are_accepted() -> None:
    check_columns(resolved(more="encode: {purpose: {as: one_hot, impute: car}, rate: {impute: 2, scale: log}}"))
    check_columns(resolved(more="encode: {branches.opened: {parts: [month], cycles: true}}"))


@pytest.mark.parametrize(
    ("labels", "rates", "column", "found"),
    [
        ({"branch": pa.int64()}, {}, "branch", "'branch' is int64 in labels and string in rates"),
        ({}, {"hour": pa.string()}, "hour", "column 'hour' of rates is string, and a time is date or timestamp"),
        (
            {},
            {"known": pa.timestamp("us")},
            "known",
            "rates.known is timestamp[us], but asked is timestamp[us, tz=UTC]: one has a time zone, the other none",
        ),
    ],
)
def test_keys_and_times_of_both_tables_can_be_compared(
    labels: dict[str, pa.DataType], rates: dict[str, pa.DataType], column: str, found: str
) -> None:
    (problem,) = [p for p in problems(resolved(labels=labels, rates=rates)) if "branches" not in str(p.key)]
    assert (problem.found, problem.column) == (found, column)
    assert str(problem.key).startswith("features.rates.") and problem.fix.startswith("write")


def test_what_is_read_of_each_table_are_keys_times_features_slices_and_conditions() -> None:
    columns = resolved("[purpose]", "select: {where: branches.opened > '2020-01-01' and size > 2}")
    assert columns.to_read() == {
        "labels": ("id", "asked", "branch", "purpose", "w", "loss", "size"),
        "rates": ("branch", "hour", "known", "rate"),
        "branches": ("branch", "size", "opened"),
    }
    assert columns.joined("rates") == ["rate"] and columns.slice_columns == []


def test_slice_columns_are_read_but_are_no_features() -> None:
    columns = resolved("[amount]", "evaluate: {slices: [sex, [purpose, rates.rate]], cluster: branch}")
    check_columns(columns)
    assert columns.slice_columns == ["sex", "purpose", "branch"]
    assert {"sex", "purpose"} <= set(columns.to_read()["labels"]) and "sex" not in columns.features


def test_rows_without_labels_need_neither_label_nor_weight_nor_slice_columns_nor_conditions() -> None:
    gone = {"loss": None, "w": None, "sex": None}
    columns = resolved("[amount]", "evaluate: {slices: [sex]}\nselect: {where: loss < 9}", labelled=False, labels=gone)
    check_columns(columns)
    assert columns.to_read()["labels"] == ("id", "asked", "branch", "amount")
    assert columns.slice_columns == []


def test_an_ignored_finding_is_of_a_column_by_its_full_name() -> None:
    ignored = (
        "drift, 'drift:rates.rate', 'drift:asked', 'imbalance:loss > 0', 'null_groups:branch', 'uneven_files:gone'"
    )
    check_columns(resolved(more=f"checks: {{ignore: [{ignored}]}}"))
    absent, short = problems(resolved(more="checks: {ignore: [constant, 'drift:amuont', 'leakage:rate']}"))
    assert (absent.key, absent.line, absent.column) == ("checks.ignore[1]", 9, "amuont")
    assert absent.found.startswith("no finding is of a column 'amuont'; did you mean 'amount'? Known: branch")
    assert short.found.startswith("no finding is of a column 'rate'; did you mean 'rates.rate'?")


def test_constraints_are_on_numbers_by_canonical_or_bare_name() -> None:
    check_columns(resolved(more="monotone: {amount: increasing, rate: decreasing, labels.size: increasing}"))
    check_columns(resolved(more="monotone: {purpose: increasing}\nencode: {purpose: {type: number}}"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("monotone: {purpose: increasing}", "'purpose' is string, and a constraint needs a number"),
        ("monotone: {amout: increasing}", "'amout' is no feature · Fix: did you mean 'amount'?"),
        ("monotone: {sex: increasing}", "'sex' is no feature"),
        ("monotone: {opened: increasing}", "'branches.opened' is date32[day], and a constraint needs a number"),
        (
            "monotone: {amount: increasing}\nencode: {amount: {as: frequency}}",
            "'amount' is encoded as frequency, and a constraint needs a number",
        ),
    ],
    ids=["text", "misspelt", "slice only", "date", "encoded as a category"],
)
def test_a_constraint_on_another_column_is_refused_before_any_work(more: str, told: str) -> None:
    with pytest.raises(DataError) as refused:
        check_columns(resolved(more=more))
    assert told in str(refused.value) and "monotone." in str(refused.value)


@pytest.mark.parametrize(
    ("more", "key", "found"),
    [
        ("monotone: {amont: increasing}", "monotone.amont", "'amont' is no feature"),
        (
            "monotone: {purpose: increasing}",
            "monotone.purpose",
            "'purpose' is string, and a constraint needs a number",
        ),
        (
            "monotone: {branches.opened: increasing}",
            "monotone.branches.opened",
            "is date32[day], and a constraint needs a number",
        ),
        ("interactions: [[amount, rate], [opened, sex]]", "interactions[1]", "'sex' is no feature"),
    ],
)
def test_a_constraint_on_a_column_that_cannot_have_it_is_refused_from_the_footers(
    more: str, key: str, found: str
) -> None:
    (problem,) = problems(resolved(more=more))
    assert problem.key == key and found in problem.found


def test_constraints_name_features_by_full_or_bare_names() -> None:
    check_columns(
        resolved(more="monotone: {rate: decreasing, amount: increasing}\ninteractions: [[rates.rate, opened]]")
    )
    check_columns(resolved(more="encode: {purpose: {type: number}}\nmonotone: {purpose: increasing}"))
