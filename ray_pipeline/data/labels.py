"""Labels and weights of a block of label rows: converted to numbers, and refused if they cannot be meant."""

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.spec.expression import Expression
from ray_pipeline.values import Task


def label_values(values: pa.ChunkedArray | pa.Array, label: Expression, task: Task) -> pa.ChunkedArray:
    """The labels in the type of the task.

    Parameters
    ----------
    values
        The result of the label's expression; shape (rows,).
    label
        The expression, for messages.
    task
        What the labels are for.

    Returns
    -------
    ChunkedArray
        Shape (rows,), null where there is no label: float64 for binary and regression, the values' own type for
        multiclass.

    Raises
    ------
    DataError
        The values have a type, or are infinite, or are numbers, that the task does not take.
    """
    values = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    values = values.cast(kind)
    if task == "multiclass":
        return pc.if_else(pc.is_nan(values), None, values) if pa.types.is_floating(kind) else values
    is_number = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not any(test(kind) for test in is_number):
        raise DataError(_not_numbers(values, label, task))
    number = values.cast(pa.float64(), safe=False)
    number = pc.if_else(pc.is_nan(number), pa.scalar(None, pa.float64()), number)
    if infinite := pc.sum(pc.is_inf(number)).as_py():
        raise DataError(
            Problem(
                stage="read",
                key="features.labels.label",
                column=label.text,
                rows=infinite,
                found=f"the label is infinite in {infinite:,} rows of one block",
                fix="correct the label, or leave the rows out with `select.where`",
            )
        )
    if task == "binary" and (others := set(pc.unique(number).to_pylist()) - {0.0, 1.0, None}):
        raise DataError(
            Problem(
                stage="read",
                key="features.labels.label",
                column=label.text,
                found=f"a binary label is true/false or 0/1, but this one says {listed(sorted(others))}",
                fix=f"make it a condition, like `label: {label.text} > {min(others):g}`",
            )
        )
    return number


def weight_values(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """The weights as float64; shape (rows,).

    Raises
    ------
    DataError
        A weight is null, not finite or below 0.
    """
    weight = values.cast(pa.float64(), safe=False)
    wrong = pc.invert(pc.fill_null(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0)), False))
    if rows := pc.sum(wrong).as_py():
        shown = listed(pc.unique(values.filter(wrong)).to_pylist())
        raise DataError(
            Problem(
                stage="read",
                key="features.labels.weight",
                column=column,
                rows=rows,
                found=f"{column} is {shown} in {rows:,} rows of one block; a weight is a number of at least 0",
                fix="correct the weights, or leave the rows out with `select.where`",
            )
        )
    return weight


def _not_numbers(values: pa.ChunkedArray, label: Expression, task: Task) -> Problem:
    distinct = sorted(value for value in pc.unique(values).to_pylist() if value is not None)
    shown = listed(map(repr, distinct), 5)
    if task == "regression":
        found = f"the label is {values.type} with {len(distinct)} values ({shown}); task regression needs numbers"
        fix = "use a numeric column, or `task: multiclass`"
    else:
        found = f"the label is {values.type} with the values {shown}; a binary label is true/false or 0/1"
        fix = "use `task: multiclass`"
        if len(distinct) <= 2:
            fix = f"write a condition: `label: {label.text} == {distinct[-1]!r}`"
    return Problem(stage="read", key="features.labels.label", column=label.text, found=found, fix=fix)
