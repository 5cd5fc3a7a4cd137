"""What every encoder says: which matrix columns it makes of a table, as plain JSON; `apply` is the only transform there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from ray_pipeline.choice import Choice, find
from ray_pipeline.encoders._columns import Kind
from ray_pipeline.values import Matrix, Vector

FORMAT = 1


@dataclass(frozen=True)
class Seen:
    """What the training rows say of one column: all that an encoder may know of it."""

    kind: Kind
    missing: int
    """Rows whose value is null or not finite."""
    counts: Mapping[str, int]
    """Rows of each value, for a category."""
    sample: Vector
    """Finite values of a number or time (in days) in a sample of the rows, (n,) float64, unsorted."""


class Encoder(Choice):
    """A fitted, frozen encoder: the statistics of training rows, and nothing else, decide what `apply` does."""

    @classmethod
    def fit(cls, columns: Mapping[str, Seen]) -> Self:
        """The encoder for those columns, by arithmetic on what was seen of them."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the table's columns that `apply` needs."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
        raise NotImplementedError

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each column of the matrix: how many codes it has (0, 1, …), or 0 where it is a quantity."""
        raise NotImplementedError

    def apply(self, table: pa.Table) -> Matrix:
        """float32 in C order, shape (rows, columns). Raises `DataError` where a column is missing or of another kind."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `load` reads back; equal encoders give equal text."""
        return {"format": FORMAT, "kind": type(self).__module__.rpartition(".")[2], **self.model_dump(mode="json")}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """The encoder of that JSON, of whatever kind it says."""
        fields = dict(written)
        if fields.pop("format", None) != FORMAT:
            raise ValueError(f"encoder.json has format {written.get('format')!r}; this version reads {FORMAT}")
        return find("encoders", fields.pop("kind")).model_validate(fields, strict=False)  # type: ignore[no-any-return]


def by_frequency(counts: Mapping[str, int]) -> list[str]:
    """The values in the order of falling frequency, ties by text."""
    return [value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
