"""What every encoder says: a list of column encodings that turns a table into a matrix, as plain JSON.

`apply` is the only transform: training rows and new rows pass through the same code.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BeforeValidator, SerializeAsAny

from ray_pipeline.components.choice import Choice, each, find, name_of, read_parameters
from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options
from ray_pipeline.components.column_encodings._columns import Kind, refuse_missing
from ray_pipeline.values import Matrix

FORMAT = 1


def _encoding(written: object) -> object:
    """The encoding that a mapping with the key `encoding` names."""
    if not isinstance(written, Mapping):
        return written
    fields = dict(written) if "encoding" in written else _of_first_bundles(written)
    return find("column_encodings", fields.pop("encoding")).model_validate(fields, strict=False)


def _of_first_bundles(written: Mapping[str, Any]) -> dict[str, Any]:
    """What the first bundles of 0.1.0 wrote of a column, which had one encoding for each kind and did not name it."""
    if written["kind"] == "category":
        return {"encoding": "ordinal", **written}
    return {"encoding": "number", "name": written["name"], "kind": written["kind"]}


class Encoder(Choice):
    """A fitted, frozen encoder: the statistics of training rows alone decide what `apply` does."""

    options: ClassVar[Options]
    """How a family encodes a column where the user says nothing."""
    encoded: tuple[Annotated[SerializeAsAny[Encoding], BeforeValidator(_encoding)], ...]

    @classmethod
    def fit(cls, columns: Mapping[str, ColumnSummary], chosen: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """The encoder for these columns.

        Parameters
        ----------
        columns
            A summary of the training rows of each column.
        chosen
            The options that the user gave for a column, by its name.
        """
        encoded = []
        for name, summary in columns.items():
            options = replace(cls.options, **(chosen or {}).get(name, {}))
            encoding, parameters = (
                read_parameters("column_encodings", options.encode)
                if options.encode
                else (_default_of(summary.kind, options), {})
            )
            fitted = encoding.fit(name, summary, options, **parameters)
            encoded.append(fitted.model_copy(update={"declared": True}) if summary.declared else fitted)
        return cls(encoded=tuple(encoded))

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the table's columns that `apply` needs."""
        return tuple(dict.fromkeys(encoding.name for encoding in self.encoded))

    @property
    def places(self) -> dict[str, NDArray[np.intp]]:
        """The places of the matrix columns that are made from each column of the table."""
        sources = np.array([encoding.name for encoding in self.encoded for _ in encoding.columns], object)
        return {name: np.flatnonzero(sources == name) for name in self.reads}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
        return tuple(name for encoding in self.encoded for name in encoding.columns)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each column of the matrix: how many codes it has (0, 1, …), or 0 where it is a quantity."""
        return tuple(codes for encoding in self.encoded for codes in encoding.cardinalities)

    @property
    def codes(self) -> tuple[int, ...]:
        """The same, also where the codes are a rank to most families."""
        return tuple(codes for encoding in self.encoded for codes in encoding.codes)

    @property
    def needs_folds(self) -> bool:
        """Whether training rows must come with their folds."""
        return any(encoding.needs_folds for encoding in self.encoded)

    def apply(self, table: pa.Table, fold: Fold | None = None) -> Matrix:
        """The matrix of a table.

        Parameters
        ----------
        table
            Rows with the columns that the encoder `reads`, and any others.
        fold
            The fold of each training row, if the encoder `needs_folds`; None for new rows. Shape (rows,).

        Returns
        -------
        Matrix
            float32 in C order, shape (rows, columns).

        Raises
        ------
        DataError
            A column is missing or has another kind than in training.
        """
        refuse_missing(self.reads, table)
        place = {name: at for at, name in enumerate(table.column_names)}
        matrix, at = np.empty((table.num_rows, len(self.columns)), np.float32), 0
        for encoding in self.encoded:
            columns = encoding.apply(table.column(place[encoding.name]), fold)
            matrix[:, at : at + columns.shape[1]] = columns
            at += columns.shape[1]
        return matrix

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `from_json` reads; equal encoders give equal JSON."""
        return {"format": FORMAT, "kind": name_of(type(self)), **self.model_dump(mode="json")}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """The encoder of that JSON; its key `kind` names the class."""
        fields = dict(written)
        if fields.pop("format", None) != FORMAT:
            raise ValueError(f"encoder.json has format {written.get('format')!r}; this version reads {FORMAT}")
        return find("encoders", fields.pop("kind")).model_validate(fields, strict=False)  # type: ignore[no-any-return]


def _default_of(kind: Kind, options: Options) -> type[Encoding]:
    """The encoding of a column of that kind, if nobody names one."""
    found: type[Encoding] = next(one for one in each("column_encodings") if one.is_default(kind, options))
    return found
