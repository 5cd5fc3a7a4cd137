"""The rows of one Parquet file in the schema of its table, whatever the file calls its columns."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from ray_pipeline.components.sources._file_columns import FileColumns
from ray_pipeline.components.sources._hive import partition_value
from ray_pipeline.components.sources._int96 import UNIT, int96_columns, refuse_finer
from ray_pipeline.components.sources._schemas import conform

if TYPE_CHECKING:
    import pyarrow.dataset as pads


class Kept(NamedTuple):
    """A condition that rows fulfil."""

    condition: pc.Expression
    names: list[str]
    """The columns that it names."""

    @classmethod
    def of(cls, condition: pc.Expression, schema: pa.Schema) -> "Kept":
        """The condition on rows of that schema. It names what Arrow cannot evaluate it without.

        Examples
        --------
        >>> schema = pa.schema([(name, pa.int64()) for name in "abcd"])
        >>> Kept.of((pc.field("d") > 1) | pc.field("b").is_null(), schema).names
        ['b', 'd']
        """
        import pyarrow.dataset as pads

        empty = schema.empty_table()

        def among(names: list[str]) -> list[str]:
            try:
                pads.dataset(empty.drop_columns(names)).scanner(columns=[], filter=condition)
            except pa.ArrowInvalid:
                half = len(names) // 2
                return [*among(names[:half]), *among(names[half:])] if half else names
            return []

        return cls(condition, among(schema.names))


def read_groups(
    fs: pafs.FileSystem,
    schema: pa.Schema,
    columns: list[str],
    keep: Kept | None,
    groups: Mapping[str, tuple[FileColumns, list[int] | None]],
) -> pa.Table:
    """These row groups of these files (None: all of a file) in the given schema."""
    return pa.concat_tables(
        FileRows(fs, file, schema, of_file, numbers).table(columns, keep) for file, (of_file, numbers) in groups.items()
    )


class FileRows:
    """Row groups of a file.

    Parameters
    ----------
    fs, file
        Where the file is.
    schema
        Of the table.
    columns
        Where the table's columns are in the file.
    groups
        Their numbers; None for all.
    """

    def __init__(
        self, fs: pafs.FileSystem, file: str, schema: pa.Schema, columns: FileColumns, groups: list[int] | None = None
    ) -> None:
        self.fs, self.file, self.schema, self.columns, self.groups = fs, file, schema, columns, groups
        self.fragment = self._fragment(self._constants())
        own = self.fragment.physical_schema
        self.own: dict[str, pa.DataType] = dict(zip(own.names, own.types, strict=True))

    def table(self, columns: Sequence[str], keep: Kept | None) -> pa.Table:
        """The rows for which `keep` is true. Arrow filters them, unless the file has other names or types."""
        read = list(dict.fromkeys([*columns, *(() if keep is None else keep.names)]))
        stored = {name: at for name in read if (at := self.columns.name_in(self.own, name)) is not None}
        self._refuse_finer(stored)
        same = all(self.own[at] == self.schema.field(name).type for name, at in stored.items())
        if same and self.columns.are_plain(self.own, read):
            return self.fragment.to_table(schema=self.schema, columns=list(columns), filter=keep and keep.condition)
        bare = self.fragment if not self.columns.constants else self._fragment({})
        rows = bare.to_table(columns=list(stored.values())).rename_columns(list(stored))
        table = conform(rows, self.schema, read, self.file, self._constants())
        return (table if keep is None else table.filter(keep.condition)).select(list(columns))

    def count(self, keep: Kept) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        types = [(self.own.get(name), self.schema.field(name).type) for name in keep.names]
        same = all(own in (None, type_) or not pa.types.is_timestamp(type_) for own, type_ in types)
        if not (
            same and self.columns.are_plain(self.own, keep.names)
        ):  # no kernel compares times with and without zone
            return int(self.table(keep.names, keep).num_rows)
        stored = pa.schema([pa.field(one.name, self.own.get(one.name, one.type)) for one in self.schema])
        return int(self.fragment.scanner(schema=stored, filter=keep.condition).count_rows())

    def _constants(self) -> dict[str, pa.Scalar]:
        values = self.columns.constants.items()
        return {name: partition_value(value, self.schema.field(name).type) for name, value in values}

    def _fragment(self, constants: Mapping[str, pa.Scalar], unit: str = UNIT) -> "pads.ParquetFileFragment":
        """The fragment, to which Arrow adds these columns, which are no part of the file."""
        values = constants.items()
        equal = [pc.field(name) == value if value.is_valid else pc.field(name).is_null() for name, value in values]
        known = reduce(and_, equal) if equal else None
        return _format(unit).make_fragment(self.file, self.fs, partition_expression=known, row_groups=self.groups)

    def _refuse_finer(self, stored: Mapping[str, str]) -> None:
        """Refuses INT96 with digits that would be lost."""
        timed = [at for at in stored.values() if self.own[at] == pa.timestamp(UNIT)]
        if timed and (timed := [at for at in timed if at in int96_columns(self.fragment.metadata)]):
            in_us, in_ns = self._fragment({}), self._fragment({}, "ns")
            refuse_finer(self.file, in_us.to_table(columns=timed), in_ns.to_table(columns=timed))


def _format(int96_unit: str) -> "pads.ParquetFileFormat":
    """How files are read: pages are checked where the writer stored checksums."""
    import pyarrow.dataset as pads  # takes 0.2 s, as it imports pandas

    checked = pads.ParquetFragmentScanOptions(page_checksum_verification=True)
    return pads.ParquetFileFormat(coerce_int96_timestamp_unit=int96_unit, default_fragment_scan_options=checked)
