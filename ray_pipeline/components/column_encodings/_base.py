"""What every encoding says: how one column of the table becomes one or more columns of the matrix.

Its name is the word of `encode: {COLUMN: {as: ...}}` and of `encoder.json`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import model_serializer

from ray_pipeline.components.choice import Choice, each, name_of, parameters_of
from ray_pipeline.components.column_encodings._columns import Kind, as_declared, refuse_other_kind
from ray_pipeline.components.own_code import returns, wrong_shape
from ray_pipeline.values import Matrix, Task, Vector

FOLDS = 5
Fold = NDArray[np.int8]
"""The fold of each row, 0 to 4, whose labels must not encode it; -1 for a row outside training; shape (rows,)."""


@dataclass(frozen=True)
class ColumnSummary:
    """Statistics of one column over the training rows: all that an encoding may know of it."""

    kind: Kind
    missing: int
    """Rows whose value is null or not finite."""
    counts: Mapping[str, int]
    """Rows of each value of a category."""
    sample: Vector
    """Finite values of a number or time (in days) in a sample of the rows, less `offset`; shape (sampled,), float64."""
    mean: float = 0.0
    deviation: float = 0.0
    """Mean, less `offset`, and standard deviation of all finite values of a number or time (in days), divided by n."""
    high: float | None = None
    """The largest finite value of a number or time (in days), less `offset`; None where there is none."""
    declared: bool = False
    """Whether the spec says the kind: a number that is a category, or a text that holds numbers."""
    offset: float = 0.0
    """What to subtract from a number or time (in days) before it becomes float32; 0 where float32 holds it well."""
    outcomes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """For a category that is encoded by the label: rows and sums of labels of each value by fold, shape (2, FOLDS)."""


@dataclass(frozen=True)
class Options:
    """How a column is encoded: as the family does it, except for what the user wrote for the column."""

    impute: str | float = "none"
    """What a missing value becomes: `mean`, `median`, `most_frequent`, a value, or `none` (NaN, if allowed)."""
    flag: bool | None = None
    """Whether one more column marks missing values; None: if a training row has one."""
    scale: str = "none"
    """`none`, `standard`, `robust`, `quantile` (to normal) or `log`."""
    encode: str | None = None
    """The encoding by its name, with its parameters if it has any; None for the default of the column's kind."""
    rare: float = 0
    """A category with fewer rows (or, below 1, with a smaller share of rows) is encoded like an unseen one."""
    parts: tuple[str, ...] = ()
    """The parts of a time that are encoded, in place of its days."""
    cycles: bool | None = None
    """Whether periodic parts become points on a circle; None: if the family cannot take NaN."""
    finite: bool = False
    """Whether the family cannot take NaN."""
    max_native: int | None = None
    """A category with more values is a rank to the family, and not a set of codes; None for no bound."""


class Encoding(Choice):
    """How one column is encoded: fitted and frozen.

    Its fields are what `fit` learnt. Its parameters are the keyword-only arguments of `fit`.
    """

    kinds: ClassVar[tuple[Kind, ...]]
    """The kinds of columns that it encodes."""
    takes: ClassVar[tuple[str, ...]] = ()
    """The options that it uses: names of fields of `Options`."""
    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass", "regression")
    by_label: ClassVar[bool] = False
    """Whether it is learnt from the labels. Training rows are then encoded by the outcomes of other folds."""

    name: str
    kind: Kind
    declared: bool = False
    """Whether the spec says the kind, and values of another kind are converted."""

    @classmethod
    def parameters(cls) -> type[Choice]:
        """The keyword-only arguments of `fit`."""
        return parameters_of(cls.fit)

    @classmethod
    def is_default(cls, kind: Kind, options: Options) -> bool:
        """Whether a column of that kind is encoded so where nobody names an encoding."""
        return False

    @classmethod
    @abstractmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """The encoding of a column, by arithmetic on the summary of its training rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in the matrix."""
        return (self.name,)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each of them: how many codes it has, or 0 where it is a quantity."""
        return (0,) * len(self.columns)

    @property
    def codes(self) -> tuple[int, ...]:
        """The same, also where the codes are a rank to most families."""
        return self.cardinalities

    @property
    def needs_folds(self) -> bool:
        """Whether training rows are encoded by the outcomes of other folds."""
        return self.by_label

    def apply(self, values: pa.ChunkedArray, fold: Fold | None = None) -> Matrix:
        """The columns of the matrix for a column of a table; shape (rows, columns).

        Raises
        ------
        DataError
            The column has another kind than in training.
        """
        if self.declared:
            values = as_declared(self.name, values, self.kind)
        refuse_other_kind(self.name, self.kind, values)
        return self.encode(values, fold)

    @returns(lambda matrix, encoding, values, *_: wrong_shape(matrix, len(values), len(encoding.columns)))
    @abstractmethod
    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """The same for values of the right kind, as float32 or float64."""

    @model_serializer(mode="wrap")
    def _with_name(self, dump: Any) -> dict[str, Any]:
        """The encoding's name and the fields that differ from their defaults: one file holds up to 5,000 columns."""
        written = dump(self)
        changed = {
            name: written[name]
            for name, field in type(self).model_fields.items()
            if field.is_required() or getattr(self, name) != field.default
        }
        return {"encoding": name_of(type(self)), **changed}


def options_of(kind: Kind) -> tuple[str, ...]:
    """The options that some encoding of such a column uses, in the order of `Options`."""
    taken = {option for encoding in each("column_encodings") if kind in encoding.kinds for option in encoding.takes}
    return tuple(option.name for option in fields(Options) if option.name in taken)


def by_frequency(counts: Mapping[str, int], rare: float = 0) -> tuple[str, ...]:
    """The values by falling frequency, ties by text.

    Parameters
    ----------
    counts
        Rows of each value.
    rare
        Values with fewer rows are left out; a number below 1 is a share of all rows.

    Examples
    --------
    >>> by_frequency({"a": 1, "c": 3, "b": 3}, rare=2)
    ('b', 'c')
    """
    least = rare * sum(counts.values()) if 0 < rare < 1 else rare
    return tuple(value for value, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if rows >= least)
