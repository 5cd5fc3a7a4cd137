"""What every source says: the files behind a path, what their footers tell, and the rows as a lazy Ray dataset."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import create_model, model_validator

from ray_pipeline.components.choice import Choice, each, find, name_of
from ray_pipeline.components.sources import DEFAULT
from ray_pipeline.components.sources._files import lake_at
from ray_pipeline.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Footers:
    """What can be known of a table without reading its rows."""

    path: str
    files: tuple[str, ...]
    schema: pa.Schema
    num_rows: int
    num_bytes: int
    fingerprint: str
    """Changes when a file's name, size, row count or column statistics do."""
    column_bytes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of each column: bytes on disk, and bytes once decompressed."""
    uneven: Mapping[str, Problem] = field(default_factory=dict)
    """Columns whose values no type holds without loss: no harm unless they are read."""
    unified: Mapping[str, str] = field(default_factory=dict)
    """For each column that some files hold in another type, or lack: what the files hold, and how it is read."""
    partial: Mapping[str, int] = field(default_factory=dict)
    """Columns that some files lack, and how many files have them."""
    file_bytes: tuple[int, ...] = ()
    file_rows: tuple[int, ...] = ()
    group_rows: tuple[tuple[int, ...], ...] = ()
    """Rows of each row group of each file."""
    largest_group: int = 0
    """Bytes of the largest row group, decompressed: what one task must hold."""

    def bytes_of(self, columns: Sequence[str]) -> tuple[int, int]:
        """Bytes of these columns on disk, and in memory.

        Where values repeat, a file has far less than memory even once it is decompressed.
        """
        known = [(name, *self.column_bytes[name]) for name in columns if name in self.column_bytes]
        in_memory = [max(plain, self.num_rows * _width(self.schema.field(name).type)) for name, _, plain in known]
        return sum(packed for _, packed, _ in known), sum(in_memory)


class Source(Choice, ABC):
    """Where the rows of one table are. Its other fields are parameters, which a spec writes beside `kind`."""

    endings: ClassVar[tuple[str, ...]] = ()
    """The endings of paths that mean this kind where nobody names one, in lower case."""

    path_when_missing: ClassVar[str | None] = None
    """The path of a table without one; None where a spec must give a path."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Parameters that exclude each other."""

    name: str
    """The table's name in messages."""
    path: str

    @classmethod
    def parameters(cls) -> type[Choice]:
        """Its fields, but for the table's name and path."""
        own = {name: field for name, field in cls.model_fields.items() if name not in Source.model_fields}
        fields: dict[str, Any] = {name: (field.annotation, field) for name, field in own.items()}
        check: Any = model_validator(mode="after")(partial(_at_most_one, cls.one_of))
        return create_model("Parameters", __base__=Choice, __validators__={"at_most_one": check}, **fields)

    def _problem(self, found: str, fix: str, rows: int | None = None) -> Problem:
        return Problem(stage="read", file=self.path, rows=rows, found=f"{self.name}: {found}", fix=fix)

    def __getstate__(self) -> dict[Any, Any]:
        """Its fields alone, for a worker: what was read stays in this process."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {**super().__getstate__(), "__dict__": fields}

    def fixed(self) -> Mapping[str, Any]:
        """Return its own parameters such that they mean the same rows for ever, where they mean a moment of a table."""
        own = {name for name in type(self).model_fields if name not in Source.model_fields}
        return self.model_dump(mode="json", include=own, exclude_defaults=True)

    def with_types(self, types: Mapping[str, pa.DataType]) -> Self:
        """Return the same table, not yet read, whose columns have these types where only a guess would say them.

        That is so for the cells of a file without types, and for the names of folders. Rows for a model are read in the
        types that it was trained on. A source that knows its types stays as it is.
        """
        return self

    @abstractmethod
    def footers(self) -> Footers:
        """Files, schema, rows and bytes; raises `DataError` for what cannot be read."""

    @abstractmethod
    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""

    @abstractmethod
    def count(self, keep: pc.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""

    @abstractmethod
    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """What in these columns cannot be read, if anything; asked after a scan failed."""

    @abstractmethod
    def pieces(
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pc.Expression | None = None
    ) -> Sequence[Callable[[], pa.Table]]:
        """The rows for which `keep` is true in file order, as calls that any worker can make.

        Each call reads about `rows` rows, or one row group.
        """


def _width(type_: pa.DataType) -> int:
    """Bytes of a value in memory, at least; of a text, those of its place."""
    try:
        return max(1, int(type_.bit_width) // 8)
    except ValueError:
        return 8


def _at_most_one(names: Sequence[str], parameters: Any) -> Any:
    if len(given := [name for name in names if getattr(parameters, name) is not None]) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other; keep one of them")
    return parameters


def source_of(kind: str, name: str, path: str, parameters: Mapping[str, Any] | None = None) -> Source:
    """The source of a table.

    Parameters
    ----------
    kind
        The word of the source, or the dotted name of a class of a trusted package.
    name
        The table's name in messages.
    path
        Where the rows are, absolute.
    parameters
        The source's own fields, as the spec writes them.
    """
    found = find("sources", kind)
    checked = dict(found.parameters().model_validate(parameters or {}))
    source: Source = found(name=name, path=path, **checked)
    return source


def kind_at(path: str) -> str:
    """The kind of source for a path: by its ending, or by the log of a Delta or Iceberg table; else Parquet."""
    claimed = next((name_of(kind) for kind in each("sources") if path.lower().endswith(kind.endings)), None)
    return claimed or lake_at("rows", path) or DEFAULT
