"""Rows that hold totals of other rows: they are no observations, so the spec leaves them out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of, numbers
from ray_pipeline.errors import listed
from ray_pipeline.start.words import IDS, words

WORD = (
    r"(?:(?:grand|sub|over-?all|running|net|gross|sous|gesamt|zwischen|end)[ -]?)?"
    r"(?:totals?|totale[ns]?|total g[eé]n[eé]ral|sum|summe|summen|ergebnis|suma|soma|итого)|gesamt|insgesamt"
)
PATTERN = rf"^\s*(?:(?:{WORD})(?:[\s:.,(=-].*)?|.*\s(?:{WORD})\s*:?)\s*$"
MAX_SHARE = 0.1
"""Of the rows: a word in more of them is a value like others."""
USUAL = 0.5
"""The share of the other rows that fill a column, from which an empty cell says something."""
NEARLY = 0.9
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The rows of totals in a table."""

    values: Mapping[str, tuple[str, ...]]
    """What the cells of a column say in these rows, by column."""
    rows: int
    emptied: frozenset[str] = frozenset()
    """The columns of numbers or dates, in which these cells count as missing."""

    def __str__(self) -> str:
        shown = (f"{name}: {listed(map(repr, said), 3)}" for name, said in self.values.items())
        one = self.rows == 1
        return f"{self.rows:,} row{' is a total' if one else 's are totals'} of others ({'; '.join(shown)})"

    def without(self, table: pa.Table) -> pa.Table:
        """The rows of a table that are no totals."""
        for name, said in self.values.items():
            kept = pc.is_valid(table[name])
            if name not in self.emptied:
                kept = pc.invert(pc.is_in(table[name], value_set=pa.array(said)))
            table = table.filter(kept)
        return table


def find_totals(table: pa.Table, missing: Mapping[str, tuple[str, ...]] | None = None) -> Totals | None:
    """The rows in which one text says `total`, while the other texts and ids are empty.

    Parameters
    ----------
    table
        All rows of the table.
    missing
        Words for a total that count as missing, by column.

    Returns
    -------
    Totals or None
        Without the values that are in other rows too; None where there are no totals.

    Examples
    --------
    >>> rows = pa.table({"shop": [*"abcdefghijk", "Total"], "city": [*"abcdefghijk", None], "sold": range(12)})
    >>> str(find_totals(rows))
    "1 row is a total of others (shop: 'Total')"
    """
    values, found = dict[str, tuple[str, ...]](), np.zeros(table.num_rows, np.bool_)
    for name, words_in in (missing or {}).items():
        empty = ~_filled(table[name])
        if 0 < empty.mean() <= MAX_SHARE and _is_total(table, name, empty).mean() >= NEARLY:
            values[name], found = words_in, found | empty
    emptied = frozenset(values)
    for name in table.column_names:
        if kind_of(table.schema.field(name).type) != "category" or not (said := _says_total(table[name])).any():
            continue
        if said.mean() > MAX_SHARE:
            continue
        places = np.flatnonzero(said)
        texts = table[name].cast(pa.string()).take(pa.array(places)).to_pylist()
        alike = _is_total(table, name, said)
        rows, totals = Counter(texts), Counter(text for text, is_total in zip(texts, alike, strict=True) if is_total)
        chosen = {text for text, count in totals.items() if count >= NEARLY * rows[text]}
        if chosen:
            values[name] = tuple(sorted(chosen))
            found[places[[text in chosen for text in texts]]] = True
    return Totals(values=values, rows=int(found.sum()), emptied=emptied) if values else None


def _says_total(values: pa.ChunkedArray) -> Mask:
    matched = pc.match_substring_regex(values.cast(pa.string()), PATTERN, ignore_case=True)
    return np.asarray(pc.fill_null(matched, False).to_numpy(zero_copy_only=False), np.bool_)


def _is_total(table: pa.Table, name: str, said: Mask) -> Mask:
    """Whether each row with the word is a total, by its other cells; shape (rows with the word,).

    Texts and ids are empty. Where those before the word are filled, as the shop of a subtotal is, and where there are
    none, the numbers decide: one is missing, or it is above those of all other rows.
    """
    usual = [other for other in table.column_names if other != name and _filled(table[other])[~said].mean() >= USUAL]
    labels = [other for other in usual if _is_text_or_id(table, other)]
    later = [other for other in labels if table.column_names.index(other) > table.column_names.index(name)]
    rest = [other for other in usual if other not in labels]
    odd = np.zeros(said.sum(), np.bool_)
    for other in rest:
        odd |= ~_filled(table[other])[said]
        if kind_of(table.schema.field(other).type) == "number":
            size = np.abs(numbers(table[other]))
            odd |= size[said] > np.nanmax(size[~said], initial=0)
    if not labels:
        return odd
    empty = _are_empty(table, labels, said)
    return empty | (odd & _are_empty(table, later, said)) if later else empty


def _are_empty(table: pa.Table, names: Sequence[str], said: Mask) -> Mask:
    """Whether nearly all of these cells are empty, by row with the word."""
    filled = np.mean([_filled(table[name])[said] for name in names], axis=0)
    return np.asarray(filled <= 1 - NEARLY + 1e-9)


def _filled(values: pa.ChunkedArray) -> Mask:
    """Whether each cell has a value that is not blank; shape (rows,)."""
    filled = pc.is_valid(values)
    if kind_of(values.type) == "category":
        filled = pc.and_(
            filled, pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values.cast(pa.string())), ""), False)
        )
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)


def _is_text_or_id(table: pa.Table, name: str) -> bool:
    type_ = table.schema.field(name).type
    return kind_of(type_) == "category" or (pa.types.is_integer(type_) and bool(words(name) & IDS))
