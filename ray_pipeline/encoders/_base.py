"""What every encoder says: which matrix columns it makes of a table, as plain JSON; `apply` is the only transform there is."""

from typing import Any, Self

import pyarrow as pa

from ray_pipeline.choice import Choice, find
from ray_pipeline.values import Matrix

FORMAT = 1


class Encoder(Choice):
    """A fitted, frozen encoder: the statistics of training rows, and nothing else, decide what `apply` does."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
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
