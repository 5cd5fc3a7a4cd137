"""The label rows with their features, as a lazy table: what to scan, and what to make of each block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.components.splitters._base import Splitter
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.partitioned_join import JoinPlan
from ray_pipeline.data.rows import RowBuilder
from ray_pipeline.runtime.scan import Piece, joined, map_pieces, rows_of_a_block
from ray_pipeline.runtime.tasks import arrow_blocks
from ray_pipeline.spec import Spec

if TYPE_CHECKING:
    import ray.data

TABLE_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class Table:
    """The label rows with their features: nothing is read yet but footers and small feature tables."""

    labels: InputTable
    """The label table."""
    columns_read: Mapping[str, tuple[str, ...]]
    """The columns that are read, by table and by their own names."""
    scan_filter: pc.Expression | None
    """What every kept row fulfils of the range and of `where`, as far as the label table alone decides."""
    row_builder: RowBuilder
    features: Mapping[str, pa.DataType]
    """The columns that the model may see, by canonical name."""
    footers: Mapping[str, Footers]
    """By table."""
    out_of_range: int
    """Rows of the label table outside `select.from` and `select.to`."""
    time_granularity: Mapping[str, str]
    """`day` or `hour`, for each feature table without `known_at` whose times are all the start of one."""
    lookups: Mapping[str, Mapping[str, int]]
    """For each feature table: its rows, the rows that lost a tie, and the rows that can never match."""
    plans: Mapping[str, JoinPlan]
    """How each feature table is joined, and why."""

    @property
    def num_rows(self) -> int:
        """Rows of the label table, before any selection."""
        return self.footers["labels"].num_rows

    @property
    def bytes_read(self) -> dict[str, int]:
        """Bytes on disk of the columns that are read, by table; row groups may still be skipped by their statistics."""
        return {name: self.footers[name].bytes_of(columns)[0] for name, columns in self.columns_read.items()}

    @property
    def num_bytes(self) -> int:
        """Decompressed bytes of all label rows with their features."""
        row_bytes = sum(
            self.footers[name].bytes_of(columns)[1] / self.footers[name].num_rows
            for name, columns in self.columns_read.items()
        )
        return round(self.num_rows * row_bytes)

    def map_blocks(self, work: Callable[[pa.Table], pa.Table]) -> Iterator[pa.Table]:
        """The result of `work` on blocks of the label table, with the needed columns and rows only, in file order.

        It runs on Ray's workers, and the results are streamed.

        Raises
        ------
        PipelineError
            What `work` raised.
        """
        return arrow_blocks(self.dataset(work))

    def dataset(
        self, work: Callable[[pa.Table], pa.Table], join: Callable[[Sequence[pa.Table]], pa.Table] = joined
    ) -> "ray.data.Dataset":
        """The same as a dataset; `join` makes one table of the results that one task has."""
        rows = rows_of_a_block(self.num_rows, self.num_bytes)
        return map_pieces(self.pieces(rows), work, rows, join)

    def pieces(self, rows: int) -> list[Piece]:
        """The scan as functions that read about so many rows each."""
        return self.labels.pieces(self.columns_read["labels"], rows, self.scan_filter)

    def tables(self) -> Iterator[pa.Table]:
        """The scan in this process, in file order and about `TABLE_ROWS` rows at a time."""
        return (piece() for piece in self.pieces(TABLE_ROWS))

    @contextmanager
    def locating_errors(self) -> Iterator[None]:
        """If a scan fails in this block, the error names the file, column and row group that cannot be read.

        Raises
        ------
        DataError
            A file is gone or damaged, or differs from its footer.
        """
        with self.labels.locating_errors(self.columns_read["labels"]):
            yield

    def with_splitter(self, splitter: Splitter) -> "Table":
        """The same table, with a part for each row."""
        return replace(self, row_builder=self.row_builder.with_splitter(splitter))

    def own_encodings(self, spec: Spec) -> dict[str, dict[str, Any]]:
        """The options that `encode` gives a column, by its canonical name."""
        return {self.canonical(name): options.given for name, options in spec.encode.items()}

    def canonical(self, written: str) -> str:
        """The canonical name of a column that the user wrote."""
        return self.row_builder.resolve.get(written, written)
