"""Labels and weights of a block of label rows: converted to numbers, and refused if they cannot be meant."""

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.column_types import kind_of, plain_column
from ray_pipeline.components.column_encodings._columns import as_declared
from ray_pipeline.data.column_roles import NUMBERS, ROLES, misfit
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.spec.expression import Expression
from ray_pipeline.values import Task

MAX_WEIGHT = 1e30
"""Sums of such weights stay within float32."""


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
    values = plain_column(values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values]))
    if misfit(f"{task} label", values.type):
        raise DataError(_unfit(values, label, task))
    if task == "multiclass":
        return values
    number = values.cast(pa.float64(), safe=False)
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


def class_names(labels: pa.ChunkedArray, trained: str | None = None) -> pa.ChunkedArray:
    """The class of each label as text; equal numbers of any type are one class. Null stays null.

    Parameters
    ----------
    labels
        Labels of a classification; shape (rows,).
    trained
        The type of the labels in training, as text: float32 is rounded alike, and true is the class 1, or 1 the class
        true.

    Examples
    --------
    >>> class_names(pa.chunked_array([[1.0, 2.5, None]])).to_pylist()
    ['1', '2.5', None]
    >>> class_names(pa.chunked_array([[1, 0, 2]]), trained="bool").to_pylist()
    ['true', 'false', '2']
    """
    kind = kind_of(labels.type)
    if trained == "float" and kind in NUMBERS:
        labels = labels.cast(pa.float32(), safe=False)
    if kind == "boolean" and trained not in (None, "bool"):
        labels = labels.cast(pa.int8())
    names = as_declared("", labels, "category").cast(pa.string())
    if trained == "bool" and kind in NUMBERS:
        for number, name in (("0", "false"), ("1", "true")):
            names = pc.if_else(pc.equal(names, number), name, names)
    return names


def weight_values(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """The weights as float64; shape (rows,).

    Raises
    ------
    DataError
        A weight is null, below 0 or above `MAX_WEIGHT`.
    """
    weight = values.cast(pa.float64(), safe=False)
    wrong = pc.invert(pc.fill_null(pc.and_(pc.less_equal(weight, MAX_WEIGHT), pc.greater_equal(weight, 0)), False))
    if rows := pc.sum(wrong).as_py():
        shown = listed("null" if one is None else str(one) for one in pc.unique(values.filter(wrong)).to_pylist())
        raise DataError(
            Problem(
                stage="read",
                key="features.labels.weight",
                column=column,
                rows=rows,
                found=f"{column} is {shown} in {rows:,} rows of one block; a weight is a number from 0"
                f" to {MAX_WEIGHT:g}",
                fix="correct the weights, or leave the rows out with `select.where`",
            )
        )
    return weight


def _unfit(values: pa.ChunkedArray, label: Expression, task: Task) -> Problem:
    """A label of a kind that the task does not take."""
    found, fix = f"the label is {values.type}", "name a column that has values"
    distinct = [] if kind_of(values.type) != "text" else sorted(pc.unique(values).drop_null().to_pylist())
    if distinct:
        shown = listed(map(repr, distinct), 5)
        found += f" with {len(distinct)} values ({shown})" if task == "regression" else f" with the values {shown}"
    if kind_of(values.type) != "null":
        found += {
            "binary": "; a binary label is true/false or 0/1",
            "regression": "; task regression needs numbers",
            "multiclass": "; a class is a text, a number, a boolean or a date",
        }[task]
        fix = "use a numeric column, or `task: multiclass`" if task == "regression" else "use `task: multiclass`"
        if task == "binary" and kind_of(values.type) == "text" and len(distinct) <= 2:
            fix = f"write a condition: `label: {label.text} == {(distinct or ['yes'])[-1]!r}`"
        elif kind_of(values.type) not in ROLES["multiclass label"]:
            fix = "name a column of text, numbers or booleans"
    return Problem(stage="read", key="features.labels.label", column=label.text, found=found, fix=fix)
