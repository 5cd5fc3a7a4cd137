"""The label: which column it is likely to be, which task it means, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.column_types import kind_of as plain_kind
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.column_roles import REMEDIES
from ray_pipeline.errors import DataError, Problem, SpecError, listed, nearest
from ray_pipeline.profiling.column_statistics import value_counts
from ray_pipeline.profiling.requirements import MIN_ROWS
from ray_pipeline.spec.expression import Expression
from ray_pipeline.start.cells import NUMBER
from ray_pipeline.start.table import StartTable, counted, is_name
from ray_pipeline.start.words import IDS, LABEL_NAMES, NO, OUTCOMES, PART_NAMES, YES, YES_LETTERS, words
from ray_pipeline.values import Task

OFFERED = 3
MAX_WORDS = 0.1
"""Share of words among numbers up to which a text is a number with mistakes."""
MAX_NUMBER_CLASSES, MAX_CLASSES, MIN_CLASS_ROWS = 10, 100, 5
MAX_NAMED_CLASSES, MIN_NAMED_ROWS = 1_000, 50
"""A label that the user names may have more classes, where there are so many rows of each on average."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A column that may be the label."""

    name: str
    score: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.reasons)})"


@dataclass(frozen=True, kw_only=True)
class Label:
    """What the spec says of the label."""

    text: str
    """A column or an expression."""
    columns: tuple[str, ...]
    """The columns that it reads."""
    task: Task
    why: str
    """The reason for the task."""
    note: str = ""
    """What the expression means; empty for a bare column."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows of each class, by its text; nothing for regression."""
    spellings: str = ""
    """What to say of classes that are equal but for case or spaces."""


def candidates(table: StartTable) -> list[Candidate]:
    """The columns that may be the label, the likeliest first.

    The name counts most, then the place in the table, then the kind of the values. Ids, constants, times and texts with
    many values are left out.
    """
    found = [candidate for place, name in enumerate(table.names) if (candidate := _candidate(table, name, place))]
    return sorted(found, key=lambda one: -one.score)


def read_label(table: StartTable, written: str) -> Label:
    """What `--label` means: a column, or an expression of columns.

    Raises
    ------
    SpecError
        The text is neither a column nor an expression.
    DataError
        There is no such column, or its values cannot be predicted.
    """
    if written in table.names:
        return _column_label(table, written)
    if len(alike := [name for name in table.names if name.strip() == written.strip()]) == 1:
        return _column_label(table, alike[0])
    try:
        expression = Expression.parse(written)
    except ValueError as error:
        if re.fullmatch(r"[\w .-]+", written):
            raise DataError(_absent(table, written)) from None
        raise SpecError(
            Problem(key="--label", found=str(error), fix="name a column, or correct the expression")
        ) from None
    for name in expression.columns:
        if name not in table.names:
            raise DataError(_absent(table, name))
    if expression.is_column:
        return _column_label(table, expression.columns[0])
    task: Task = "binary" if expression.is_boolean else "regression"
    why = "the expression is true or false" if expression.is_boolean else "the expression is a number"
    values = expression.evaluate(pa.table({name: table.column(name) for name in expression.columns}))
    counts = {}
    if expression.is_boolean:
        counts = {"1": pc.sum(values).as_py() or 0, "0": pc.sum(pc.invert(values)).as_py() or 0}
        _require_two(table, written, {name: rows for name, rows in counts.items() if rows})
    return Label(text=written, columns=expression.columns, task=task, why=why, counts=counts)


def quoted(name: str) -> str:
    """A column's name as an expression writes it.

    >>> quoted("price"), quoted("net price")
    ('price', '`net price`')
    """
    try:
        plain = Expression.parse(name)
    except ValueError:
        return f"`{name}`"
    return name if plain.is_column and plain.columns == (name,) else f"`{name}`"


def text_literal(value: str) -> str:
    """A text as an expression writes it.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def _candidate(table: StartTable, name: str, place: int) -> Candidate | None:
    """The column as a candidate; None if it cannot be the label."""
    values, kind = table.sample[name], kind_of(table.type(name))
    present = values.drop_null()
    known = kind in ("number", "category") and len(present) > 0  # Arrow cannot count an empty column of no type
    distinct = pc.count_distinct(present).as_py() if known else 0
    if (
        not is_name(name)
        or distinct < 2
        or (kind == "category" and distinct > max(2, min(MAX_CLASSES, len(present) / 5)))
    ):
        return None
    said = words(name)
    whole = kind == "number" and _is_whole(present)
    is_id = bool(said & IDS) and distinct > 2
    if is_id or (whole and distinct >= 0.95 * len(present) > MIN_ROWS) or (kind == "category" and said & PART_NAMES):
        return None
    scored: list[tuple[int, str]] = []
    if name.lower() in LABEL_NAMES:
        scored.append((12, f"it is called {name!r}"))
    elif outcome := sorted(said & (LABEL_NAMES - {"y"} | OUTCOMES)):
        scored.append((5, f"its name says {outcome[0]!r}"))
    if place == len(table.names) - 1:
        scored.append((4, "it is the last column"))
    elif place == 0:
        scored.append((1, "it is the first column"))
    if distinct == 2:
        scored.append((2, "it has two values"))
    elif kind == "category" or (whole and distinct <= MAX_NUMBER_CLASSES):
        scored.append((1, f"it has {distinct} classes"))
    else:
        scored.append((1, f"it is a number with {distinct:,} values"))
    if (missing := len(values) - len(present)) >= len(values) / 100:
        scored.append((-1 if missing < len(values) / 2 else -4, f"{missing / len(values):.0%} of it is missing"))
    reasons = tuple(reason for _, reason in scored)
    return Candidate(name=name, score=sum(points for points, _ in scored), reasons=reasons)


def _column_label(table: StartTable, name: str) -> Label:
    """The label that a bare column is."""
    type_, values = table.type(name), table.column(name)
    kind = kind_of(type_)
    if kind not in ("number", "category"):
        stored = plain_kind(type_)
        found = f"{name!r} is {stored} ({type_}), and a label is boolean, integer, float, decimal or text"
        remedy = "to predict a moment, write the time until then as a number, such as days"
        fix = f"{REMEDIES.get(stored, remedy)}; or {_others(table, name)}"
        raise DataError(_problem(table, name, found, fix))
    present = values.drop_null()
    if len(present) < MIN_ROWS:
        found = f"{name!r} has {len(present):,} values in {len(values):,} rows; at least {MIN_ROWS} are needed"
        raise DataError(_problem(table, name, found, "bring more rows with a label"))
    distinct = pc.count_distinct(present).as_py()
    if kind == "number" and not pa.types.is_boolean(type_):
        if label := _number_label(table, name, present, distinct):
            return label
    elif kind == "category" and distinct > _most_classes(len(present)):
        raise DataError(_too_many_texts(table, name, present, distinct))
    counts = value_counts(present)
    _require_two(table, name, counts)
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    shown = listed((f"{value!r} in {rows:,} rows" for value, rows in ordered), 4)
    if len(counts) > 2:
        why = f"{name} has {len(counts)} classes: {shown}"
        spellings = _spellings(name, counts)
        return Label(text=quoted(name), columns=(name,), task="multiclass", why=why, counts=counts, spellings=spellings)
    why = f"{name} has two values: {shown}"
    if pa.types.is_boolean(type_) or (kind == "number" and {float(value) for value in counts} <= {0.0, 1.0}):
        return Label(text=quoted(name), columns=(name,), task="binary", why=why, counts=counts)
    positive = _positive([value for value, _ in reversed(ordered)])
    written = positive if kind == "number" else text_literal(positive)
    spellings = _spellings(name, counts)
    note = f"the model gives the probability of {positive!r}"
    counts = {"1": counts[positive], "0": sum(counts.values()) - counts[positive]}
    return Label(
        text=f"{quoted(name)} == {written}",
        columns=(name,),
        task="binary",
        why=why,
        note=note,
        counts=counts,
        spellings=spellings,
    )


def _most_classes(rows: int) -> float:
    """How many texts may be classes in a table with so many labels."""
    return max(2, min(MAX_CLASSES, rows / MIN_CLASS_ROWS), min(MAX_NAMED_CLASSES, rows / MIN_NAMED_ROWS))


def _positive(values: Sequence[str]) -> str:
    """The one of two values that means yes; where neither says so, the one that is not no, or else the rarer.

    Parameters
    ----------
    values
        The two values, the rarer first.

    Examples
    --------
    >>> _positive(["N", "J"]), _positive(["oui", "non"]), _positive(["ill", "no"]), _positive(["red", "blue"])
    ('J', 'oui', 'ill', 'red')
    """
    said = {value: value.strip().casefold() for value in values}
    denied = [value for value in values if said[value] in NO]
    yes = [value for value in values if said[value] in YES or said[value].startswith(">")]
    letters = [value for value in values if denied and said[value] in YES_LETTERS]
    others = [value for value in values if value not in denied and any(len(said[no]) > 1 for no in denied)]
    return next(iter([*yes, *letters, *others, *values]))


def _spellings(name: str, counts: Mapping[str, int]) -> str:
    """What to say of values that are equal but for case or spaces; empty where there are none."""
    alike = dict[str, list[str]]()
    for value in counts:
        alike.setdefault(" ".join(value.split()).casefold(), []).append(value)
    found = [
        listed((f"{one!r} in {counted(counts[one])}" for one in group), 4) for group in alike.values() if group[1:]
    ]
    if not found:
        return ""
    return f"{name}: {'; '.join(found)}: equal but for case or spaces, yet classes of their own: write each in one way"


def _too_many_texts(table: StartTable, name: str, present: pa.ChunkedArray, distinct: int) -> Problem:
    """The refusal of a text with more values than classes: a number with a few words in it, an id or a free text."""
    found = f"{name!r} has {distinct:,} distinct texts in {len(present):,} rows"
    others = [value for value in present.cast(pa.string()).to_pylist() if not NUMBER.fullmatch(value.strip())]
    if len(others) > MAX_WORDS * len(present):
        found += ": it is an id or a free text" if distinct > 0.9 * len(present) else ""
        return _problem(table, name, found, _others(table, name))
    if not others:
        return _problem(table, name, f"{found}: all are numbers", "write the column as numbers, not as texts")
    found += f": all are numbers except {listed(map(repr, dict.fromkeys(others)))}"
    return _problem(table, name, found, "correct these cells, or name them in `null_values` of a spec for kind: csv")


def _number_label(table: StartTable, name: str, present: pa.ChunkedArray, distinct: int) -> Label | None:
    """The label that a number to predict is; None for a number that stands for a class."""
    if distinct <= 2:
        return None
    whole = _is_whole(present)
    if whole and distinct <= MAX_NUMBER_CLASSES:
        return None
    if whole and _is_id(present, distinct, bool(words(name) & IDS)):
        found = f"{name!r} is a whole number that differs in {distinct:,} of {len(present):,} rows: it is an id"
        raise DataError(_problem(table, name, found, _others(table, name)))
    ends = pc.min_max(present).as_py()
    why = f"{name} is a number with {distinct:,} values from {float(ends['min']):,.6g} to {float(ends['max']):,.6g}"
    return Label(text=quoted(name), columns=(name,), task="regression", why=why)


def _is_whole(present: pa.ChunkedArray) -> bool:
    if not (pa.types.is_floating(present.type) or pa.types.is_decimal(present.type)):
        return True
    number = present.cast(pa.float64(), safe=False).to_numpy()
    finite = number[np.isfinite(number)]
    return bool(len(finite)) and bool((finite == np.floor(finite)).all())


def _is_id(present: pa.ChunkedArray, distinct: int, named: bool) -> bool:
    """Whether whole numbers number the rows: all differ, and they go by one name or one step."""
    if distinct < len(present):
        return named and distinct > 0.5 * len(present)
    number = np.sort(present.cast(pa.float64(), safe=False).to_numpy())
    return named or bool(number[-1] - number[0] == len(number) - 1)


def _require_two(table: StartTable, name: str, counts: Mapping[str, int]) -> None:
    if len(counts) < 2:
        only = next(iter(counts), "nothing")
        found = f"{name!r} has one value: {only!r} in all {sum(counts.values()):,} rows that have one"
        raise DataError(_problem(table, name, found, _others(table, name)))


def _absent(table: StartTable, name: str) -> Problem:
    alike = next((one for one in table.names if one.strip().casefold() == name.strip().casefold()), None)
    near = f"did you mean {alike!r}? " if alike else nearest(name, table.names)
    found = f"there is no column {name!r}; {near}Known: {listed(table.names, 12)}"
    return _problem(table, name, found, "correct --label")


def _others(table: StartTable, name: str) -> str:
    """The likeliest other columns, as a remedy."""
    others = [one for one in candidates(table) if one.name != name][:OFFERED]
    return f"name another column: {'; '.join(map(str, others))}" if others else "name another column"


def _problem(table: StartTable, column: str, found: str, fix: str) -> Problem:
    return Problem(stage="read", file=table.footers.path, key="--label", column=column, found=found, fix=fix)
