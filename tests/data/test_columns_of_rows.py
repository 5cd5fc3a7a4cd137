"""Rows for a registered model that lack columns: one problem names the rows and all that they lack."""

import pyarrow as pa
import pytest

from ray_pipeline.data.column_checks import check_columns
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.columns_of_rows import require_columns_of_rows
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec

SPEC = """\
name: loans
task: binary
features:
  labels: {path: loans, label: labels.loss > 0, key: id, time: asked, weight: w, slice_only: [sex]MORE}
  rates: {path: rates, on: [branch], time: hour}
split: {by: random}
encode: {purpose: {as: one_hot}, size: {impute: 0}}
monotone: {amount: increasing}
model: xgboost
evaluate: {slices: [sex, region, rate], cluster: house}
"""
RATES = pa.schema([("branch", pa.string()), ("hour", pa.timestamp("us")), ("rate", pa.float64())])
TYPES = {"asked": pa.timestamp("us"), "branch": pa.string(), "purpose": pa.string(), "sex": pa.string()}
NEEDED = ("amount", "purpose", "size", "rates.rate")
OF_MODEL = ("asked", "branch", "amount", "purpose", "size")
OF_EVALUATION = ("id", "w", "sex", "loss", "region", "house")


def columns_of(*names: str, more: str = "", labelled: bool = False) -> ResolvedColumns:
    """The columns of rows with these names."""
    spec = Spec.from_text(SPEC.replace("MORE", more), file="loans/1")
    rows = pa.schema([(name, TYPES.get(name, pa.float64())) for name in names])
    return ResolvedColumns(spec, {"labels": rows, "rates": RATES}, labelled)


def refused(columns: ResolvedColumns) -> Problem:
    with pytest.raises(DataError) as raised:
        require_columns_of_rows(columns, NEEDED, "rows.parquet")
    (problem,) = raised.value.problems
    assert (problem.file, problem.line, problem.key) == ("rows.parquet", None, None)
    return problem


def test_rows_with_the_columns_of_the_model_are_scored_whatever_else_the_spec_names() -> None:
    columns = columns_of("id", *OF_MODEL)
    require_columns_of_rows(columns, NEEDED, "rows.parquet")
    check_columns(columns, of_model=True)
    with_labels = columns_of(*OF_MODEL, *OF_EVALUATION, labelled=True)
    require_columns_of_rows(with_labels, NEEDED, "rows.parquet")
    check_columns(with_labels, of_model=True)


def test_a_column_that_the_model_never_used_may_be_absent_though_the_spec_encodes_it() -> None:
    columns = columns_of("id", "asked", "branch", "amount", "purpose")
    require_columns_of_rows(columns, ("amount", "purpose"), "rows.parquet")
    check_columns(columns, of_model=True)


@pytest.mark.parametrize("more", ["", ", columns: [branch, amount, 'p*', size]"])
def test_a_missing_column_is_told_with_the_rows_and_not_with_the_spec(more: str) -> None:
    problem = refused(columns_of("asked", "branch", "amount", "Size", "purpose", more=more))
    assert str(problem) == (
        "rows.parquet: read: the rows have no column 'size', which the model needs (they have asked, branch, amount,"
        " Size, purpose) · Fix: did you mean 'Size'? bring the columns that the model was trained on; a missing value"
        " is null"
    )


def test_all_missing_columns_are_one_problem() -> None:
    problem = refused(columns_of("branch", "amount"))
    assert problem.found.startswith("the rows have no columns 'purpose', 'size', 'asked', which the model needs (they")


def test_labelled_rows_also_need_the_label_and_what_slices_name() -> None:
    problem = refused(columns_of(*OF_MODEL[:-1], "id", labelled=True))
    missing = "'size', 'w', 'sex', 'loss', 'region', 'house'"
    assert problem.found.startswith(f"the rows have no columns {missing}, which the model or its evaluation needs (")
