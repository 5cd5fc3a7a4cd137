"""The columns of a bundle in rows as people send them: found by name, brought to their kind, and encoded."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.encoders._one_row import OneRow
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.rows_to_score import SINGLE, SentRows, as_trained, conversion
from ray_pipeline.values import Matrix, users_names

MAX_FORMS = 16


class RowReader:
    """Reads rows for one encoder.

    Parameters
    ----------
    types
        The Arrow type of each column in training, as text, by the column's full name.
    encoder
        The encoder of these columns.
    """

    def __init__(self, types: Mapping[str, str], encoder: Encoder) -> None:
        self.encoder = encoder
        self.trained = {name: (kind, types[name]) for name, kind in _kinds(types, encoder).items()}
        self.forms: dict[tuple[Any, ...], tuple[list[int], OneRow]] = {}
        """For each form and list of names in which one row was sent: where the columns are, and what encodes them."""

    def matrix(self, sent: SentRows) -> Matrix:
        """Return the encoded rows, shape (rows, columns); one row is encoded without a table where that is possible.

        Raises
        ------
        DataError
            As for `table`.
        """
        matrix = self._matrix_of_row(sent) if sent.is_one_row else None
        return self.encoder.apply(self.table(sent)) if matrix is None else matrix

    def table(self, sent: SentRows) -> pa.Table:
        """Return the columns in plain types, under full names, in the order of the schema.

        Raises
        ------
        DataError
            A column is missing, occurs twice, is of another kind than in training, or is longer than another one.
        """
        columns = {name: self._column(name, sent, at) for name, at in self._places(sent.names).items()}
        if len({len(column) for column in columns.values()}) > 1:
            counts = listed(f"{name} {len(column)}" for name, column in columns.items())
            found = f"the columns are of different lengths: {counts}"
            raise DataError(Problem(stage="predict", found=found, fix="send one value of each column for each row"))
        return pa.table(columns)

    def misfits(self, types: Mapping[str, pa.DataType]) -> list[str]:
        """Why columns of these plain types, by full name, cannot be read: some are missing, or of another kind."""
        missing = [name for name in self.trained if name not in types]
        found = [_missing(missing, list(self.trained), list(types))] if missing else []
        for name, (kind, trained) in self.trained.items():
            if name in types and not pa.types.is_null(types[name]):
                try:
                    conversion(name, kind, trained, types[name])
                except DataError as error:
                    found.append(f"{name} {error.problems[0].found}")
        return found

    def _matrix_of_row(self, sent: SentRows) -> Matrix | None:
        """The encoded row, shape (1, columns), without a table; None where it needs one."""
        form = (sent.form, *sent.names)
        known = self.forms.get(form)
        if known is None:
            place = self._places(sent.names)
            if len(self.forms) >= MAX_FORMS:
                self.forms.clear()
            single = [name for name, (_, trained) in self.trained.items() if trained == SINGLE]
            known = self.forms[form] = [place[one.name] for one in self.encoder.encoded], OneRow(self.encoder, single)
        places, one_row = known
        encoded = self.encoder.encoded
        return one_row.matrix(sent.row(places), lambda at: self._column(encoded[at].name, sent, places[at]))

    def _column(self, name: str, sent: SentRows, at: int) -> pa.ChunkedArray:
        return as_trained(name, *self.trained[name], sent.column(at))

    def _places(self, given: list[Any]) -> dict[str, int]:
        """Where each column is among the given names."""
        times, names = Counter(given), list(self.trained)
        short_names = {name: name.rpartition(".")[2] for name in names}
        same_short = Counter(short_names.values())
        sources = {
            name: name if name in times else short
            for name, short in short_names.items()
            if name in times or (short in times and same_short[short] == 1)
        }
        if missing := [name for name in names if name not in sources]:
            found = _missing(missing, names, given)
            fix = "bring the columns that the model was trained on; a missing value is null"
            raise DataError(Problem(stage="predict", column=missing[0], found=found, fix=fix))
        if twice := [name for name in sources.values() if times[name] > 1]:
            found = f"column {twice[0]!r} is there {times[twice[0]]} times"
            raise DataError(Problem(stage="predict", column=twice[0], found=found, fix="keep one of them"))
        place = {name: at for at, name in enumerate(given)}
        return {name: place[source] for name, source in sources.items()}


def _missing(missing: list[str], names: list[str], given: list[Any]) -> str:
    found = listed(users_names(list(map(str, given))))
    return f"{len(missing)} of {len(names)} columns are missing: {listed(missing)} (found: {found})"


def _kinds(types: Mapping[str, str], encoder: Encoder) -> dict[str, str]:
    """The kind of each column as it is sent: before it becomes a kind that the spec declares."""
    kinds = {one.name: "category" if one.declared else one.kind for one in encoder.encoded}
    return {name: kinds[name] for name in types}
