"""What a run will take, from footers alone: rows, bytes, how tables are joined, memory of a worker, and how many trials
run at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_pipeline.components.sources._base import Footers, source_of
from ray_pipeline.data.columns import Names
from ray_pipeline.data.partitioned_join import JoinPlan
from ray_pipeline.runtime.plan import Plan, shown
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.search import CELL_BYTES, ROW_BYTES, num_bytes_trained

FLOAT = 4
ROLES = 40
"""Bytes of a row's label, weight, key, part and bootstrap cluster, about."""


@dataclass(frozen=True)
class TableEstimate:
    """One table: what is there, what is read of it, and how it is joined (None for the label table)."""

    rows: int
    files: int
    bytes_on_disk: int
    bytes_read: int
    bytes_decoded: int
    join: JoinPlan | None


@dataclass(frozen=True)
class Estimate:
    """All that can be known of a run before a row is read."""

    tables: Mapping[str, TableEstimate]
    columns: int
    encoded_bytes: float
    """Of all parts, once a node, shared by its slots."""
    worker_bytes: float
    """Of the rows that one worker trains on."""
    layout: Plan

    @property
    def external(self) -> bool:
        """Whether those rows are paged from disk."""
        return self.worker_bytes > self.layout.memory

    def as_json(self) -> dict[str, Any]:
        """The answer of the verb `plan`."""
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
            "worker_memory": self.layout.memory,
            "external_memory": self.external,
            "slots": self.layout.slots,
            "workers": self.layout.workers,
            "threads": self.layout.threads,
            "gpus": self.layout.gpus,
            "fit_threads": self.layout.fit_threads,
        }

    def lines(self, trials: int) -> list[str]:
        """The arithmetic, for people."""
        told, plan = [], self.layout
        for name, table in self.tables.items():
            files = "1 file" if table.files == 1 else f"{table.files:,} files"
            told.append(
                f"{name:<10} {table.rows:,} rows in {files}; {shown(table.bytes_read)} read of"
                f" {shown(table.bytes_on_disk)}"
            )
            if table.join is not None:
                told.append(f"{'':<10} {table.join.how}: {table.join.why}")
        rows = self.tables["labels"].rows
        told.append(
            f"{'encoded':<10} {rows:,} rows x ({self.columns} columns x {FLOAT} bytes + {ROLES}) ="
            f" {shown(self.encoded_bytes)}, once a node"
        )
        share = f" / {plan.workers} workers" if plan.workers > 1 else ""
        how = "bins are paged from disk" if self.external else "in memory"
        row = f"({self.columns} columns x {CELL_BYTES:g} bytes + {ROW_BYTES})"
        told.append(
            f"{'worker':<10} {rows:,} rows x {row}{share} = {shown(self.worker_bytes)}, may hold {shown(plan.memory)}:"
            f" {how}"
        )
        each = f"{plan.workers} worker{'s' * (plan.workers > 1)} x {plan.threads} CPU{'s' * (plan.threads > 1)}" + (
            f" and {plan.gpus:g} GPU" if plan.gpus else ""
        )
        rounds = -(-trials // plan.slots)
        told.append(f"{'search':<10} {plan.slots} trials at once, each {each}; {trials} trials in {rounds} turns")
        told.append(f"{'fit':<10} {plan.workers} worker{'s' * (plan.workers > 1)} x {plan.fit_threads} CPUs")
        return told


def estimate(spec: Spec, where: Where, layout: Plan) -> Estimate:
    """The estimate; label rows are taken to be all kept, since only reading them tells.

    Raises:
        DataError: a file or column is absent or of the wrong kind; every problem in one go.
    """
    paths = {name: where.resolve(table.path, spec.folder) for name, table in spec.features.all.items()}
    tables = spec.features.all
    sources = {name: source_of(table.kind, name, paths[name], table.parameters) for name, table in tables.items()}
    footers = {name: source.footers() for name, source in sources.items()}
    names = Names(spec, footers, labelled=True)
    names.check()
    footprints = {name: _table(name, footers[name], _read(spec, name, names)) for name in sources}
    rows, columns = footers["labels"].num_rows, len(names.features)
    width = len(spec.encoders) * columns * FLOAT + ROLES
    return Estimate(footprints, columns, float(rows) * width, num_bytes_trained(rows, columns, layout), layout)


def _read(spec: Spec, name: str, names: Names) -> list[str]:
    if name == "labels":
        return list(names.scanned(spec, True))
    table = spec.features.tables[name]
    return [
        column for column in dict.fromkeys([*table.on, table.time, table.known_at, *names.columns_of(name)]) if column
    ]


def _table(name: str, footers: Footers, columns: list[str]) -> TableEstimate:
    packed, plain = footers.bytes_of(columns)
    return TableEstimate(
        footers.num_rows,
        len(footers.files),
        footers.num_bytes,
        packed,
        plain,
        None if name == "labels" else JoinPlan.of(plain),
    )
