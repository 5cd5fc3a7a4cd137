"""An estimate of a run from footers alone: rows, bytes, joins, memory of a worker, and trials at the same time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_pipeline.byte_size import byte_size
from ray_pipeline.components.choice import find
from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.column_checks import check_columns, check_expressions
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.open_tables import open_tables
from ray_pipeline.data.partitioned_join import JoinPlan
from ray_pipeline.data.preconditions import require_even_files
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.stage_seconds import stage_seconds
from ray_pipeline.tuning.training_memory import CELL_BYTES, ROW_BYTES, trained_bytes

FLOAT_BYTES = 4
BASE_BYTES = 900 << 20
"""About the memory of a small run: its processes, with what they import."""
ROLE_BYTES = 40
"""About the bytes of a row's label, weight, key, part and bootstrap cluster."""


@dataclass(frozen=True, kw_only=True)
class TableEstimate:
    """The size of one table, how much of it is read, and how it is joined."""

    rows: int
    files: int
    bytes_on_disk: int
    bytes_read: int
    bytes_decoded: int
    join: JoinPlan | None
    """None for the label table."""

    def lines(self, name: str) -> list[str]:
        """Return the lines about the table for people."""
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        read = f"{byte_size(self.bytes_read)} read of {byte_size(self.bytes_on_disk)}"
        lines = [f"{name:<10} {self.rows:,} rows in {files}; {read}"]
        return lines if self.join is None else [*lines, f"{'':<10} {self.join.how}: {self.join.why}"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is known of a run before a row is read."""

    tables: Mapping[str, TableEstimate]
    columns: int
    encoded_bytes: float
    """Bytes of all encoded parts, once on each node."""
    worker_bytes: float
    """Bytes that one worker needs for the rows that it trains on."""
    memory_factor: float
    """How much more memory the largest family takes than XGBoost."""
    seconds: Mapping[str, float]
    """About the seconds of each stage."""
    layout: Layout

    @property
    def total_bytes(self) -> float:
        """About the memory of the whole run on this machine: processes, encoded rows, and the rows of each slot."""
        return BASE_BYTES + self.encoded_bytes + min(self.worker_bytes, self.layout.memory) * self.layout.slots

    @property
    def external(self) -> bool:
        """Whether the quantised rows are paged from disk."""
        return self.worker_bytes > self.layout.memory

    def as_json(self) -> dict[str, Any]:
        """Return the JSON output of `ray-pipeline plan`."""
        layout = self.layout
        tables = {
            name: {**vars(table), "join": None if table.join is None else vars(table.join)}
            for name, table in self.tables.items()
        }
        return {
            "rows": self.tables["labels"].rows,
            "columns": self.columns,
            "tables": tables,
            "encoded_bytes": round(self.encoded_bytes),
            "worker_bytes": round(self.worker_bytes),
            "worker_memory": layout.memory,
            "external_memory": self.external,
            "total_bytes": round(self.total_bytes),
            "seconds": {**self.seconds, "total": round(sum(self.seconds.values()), 1)},
            **{name: getattr(layout, name) for name in ("slots", "workers", "threads", "gpus", "fit_threads")},
        }

    def lines(self, trials: int) -> list[str]:
        """Return the lines of the calculation for people."""
        layout, rows = self.layout, self.tables["labels"].rows
        workers, threads = _counted(layout.workers, "worker"), _counted(layout.threads, "CPU")
        share = f" x {self.memory_factor:g}" if self.memory_factor > 1 else ""
        share += f" / {layout.workers} workers" if layout.workers > 1 else ""
        how = "bins are paged from disk" if self.external else "in memory"
        encoded_row = f"({self.columns} columns x {FLOAT_BYTES} bytes + {ROLE_BYTES})"
        trained_row = f"({self.columns} columns x {CELL_BYTES:g} bytes + {ROW_BYTES})"
        each = f"{workers} x {threads}" + (f" and {layout.gpus:g} GPU" if layout.gpus else "")
        slots, turns = _counted(layout.slots, "trial"), _counted(-(-trials // layout.slots), "turn")
        search = f"{slots} at once, each {each}; {_counted(trials, 'trial')} in {turns}"
        memory = f"{byte_size(self.worker_bytes)}, may hold {byte_size(layout.memory)}: {how}"
        return [
            *(line for name, table in self.tables.items() for line in table.lines(name)),
            f"{'encoded':<10} {rows:,} rows x {encoded_row} = {byte_size(self.encoded_bytes)}, once a node",
            f"{'worker':<10} {rows:,} rows x {trained_row}{share} = {memory}",
            f"{'search':<10} {search}",
            f"{'fit':<10} {workers} x {layout.fit_threads} CPUs",
            f"{'memory':<10} about {byte_size(round(self.total_bytes))} in all",
            f"{'seconds':<10} about {', '.join(f'{stage} {one:,.0f}' for stage, one in self.seconds.items())}",
        ]


def estimate(spec: Spec, where: Where, layout: Layout) -> Estimate:
    """Estimate a run, as if all label rows were kept: only reading them shows how many are.

    Raises
    ------
    DataError
        A file or column is missing or of the wrong kind; the error has every problem.
    """
    opened = open_tables(spec, where)
    resolved = ResolvedColumns(spec, {name: table.schema for name, table in opened.items()})
    check_columns(resolved)
    require_even_files(opened, resolved)
    check_expressions(resolved)
    footers = {name: table.footers for name, table in opened.items()}
    rows, columns = footers["labels"].num_rows, len(resolved.features)
    factor = max(find("models", family).memory_factor for family in spec.model)
    return Estimate(
        tables={name: _table(name, footers[name], read) for name, read in resolved.to_read().items()},
        columns=columns,
        encoded_bytes=float(rows) * (len(spec.encoders) * columns * FLOAT_BYTES + ROLE_BYTES),
        worker_bytes=trained_bytes(rows, columns, layout) * factor,
        memory_factor=factor,
        seconds=stage_seconds(rows, columns, spec, layout),
        layout=layout,
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}"


def _table(name: str, footers: Footers, columns: Sequence[str]) -> TableEstimate:
    compressed, decoded = footers.bytes_of(columns)
    return TableEstimate(
        rows=footers.num_rows,
        files=len(footers.files),
        bytes_on_disk=footers.num_bytes,
        bytes_read=compressed,
        bytes_decoded=decoded,
        join=None if name == "labels" else JoinPlan.of(decoded),
    )
