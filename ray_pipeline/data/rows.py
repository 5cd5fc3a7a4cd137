"""From a block of the label table to rows ready for every later stage: label, joins, part. A pure function of the
block."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.splitters._base import DROPPED, Splitter
from ray_pipeline.data.as_of_join import FeatureTable, JoinCounts
from ray_pipeline.data.partitioned_join import PartedTable
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_rows
from ray_pipeline.spec.expression import Expression
from ray_pipeline.values import Task

if TYPE_CHECKING:
    import ray

KEY, LABEL, WEIGHT, TIME, PART = "__key", "__label", "__weight", "__time", "__part"
LABEL_INPUT = "__label:"
"""Before the name of each column that the label was made of: no feature, but the checks hold features against it."""
ROLES = (KEY, LABEL, WEIGHT, TIME, PART)


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows of a block; adds over blocks with `+`."""

    scanned: int = 0
    where: int = 0
    null_label: int = 0
    gap: int = 0
    joins: Mapping[str, JoinCounts] = field(default_factory=dict)
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    """Of the rows without a label: how many miss a value, by column of the label table."""

    def __add__(self, other: "RowCounts") -> "RowCounts":
        joins = {name: self.joins.get(name, JoinCounts()) + counts for name, counts in other.joins.items()}
        unlabelled = {
            name: self.unlabelled.get(name, 0) + other.unlabelled.get(name, 0)
            for name in {**self.unlabelled, **other.unlabelled}
        }
        scanned, where, null_label, gap = (a + b for a, b in zip(self.counted(), other.counted(), strict=True))
        return RowCounts(scanned, where, null_label, gap, joins or self.joins, unlabelled)

    def counted(self) -> tuple[int, ...]:
        """The four counts, in the order of the fields."""
        return self.scanned, self.where, self.null_label, self.gap


@dataclass(frozen=True)
class Join:
    """One feature table and the label table's columns that it is joined on."""

    name: str
    on: tuple[str, ...]
    as_of: bool
    table: "ray.ObjectRef[FeatureTable | PartedTable]"


@dataclass(frozen=True)
class RowMaker:
    """Turns blocks of the label table into rows; holds nothing but the spec's decisions and references to feature
    tables."""

    task: Task
    label: Expression | None
    key: str | None
    time: str | None
    weight: str | None
    joins: tuple[Join, ...]
    columns: tuple[str, ...]
    """Feature and slice columns to keep, by their canonical names."""
    resolve: Mapping[str, str]
    """Names as the user wrote them, to canonical names."""
    where: Expression | None = None
    """The part of `where` that needs a joined column; the rest went to the scan."""
    splitter: Splitter | None = None
    label_inputs: tuple[str, ...] = ()
    """Columns that the label's expression reads, where it is more than one column's name."""

    def with_splitter(self, splitter: Splitter) -> "RowMaker":
        """The maker that also assigns parts."""
        return replace(self, splitter=splitter)

    def __call__(self, block: pa.Table) -> tuple[pa.Table, RowCounts]:
        """Rows with the role columns `__key`, `__label`, … and all feature and slice columns, in the block's order; and
        the counts."""
        kept, counts = self.prepare(block)
        rows = kept.select([KEY, *([LABEL] if self.label else []), *self.columns])
        rows = rows.append_column(
            WEIGHT, self._weight(kept[self.weight]) if self.weight else pa.array(np.ones(len(rows)))
        )
        for name in self.label_inputs:
            rows = rows.append_column(LABEL_INPUT + name, kept[name])
        if self.time:
            rows = rows.append_column(TIME, kept[self.time])
        if self.splitter is None:
            return rows, counts
        part = pa.array(self.splitter.part_of(self.split_input(kept, self.splitter)), pa.int8())
        parted = keep(rows.append_column(PART, part), pc.not_equal(part, DROPPED))
        return parted, replace(counts, gap=rows.num_rows - parted.num_rows)

    def prepare(self, block: pa.Table) -> tuple[pa.Table, RowCounts]:
        """The block with key, label and joined columns, without the rows that null labels and `where` drop; and the
        counts."""
        scanned = block.num_rows
        block = block.append_column(KEY, block[self.key] if self.key else pa.array(hash_rows(block)))
        label, unlabelled = self._label(block), dict[str, int]()
        if label is not None:
            if label.null_count:
                dropped = block.filter(pc.is_null(label))
                unlabelled = {name: dropped[name].null_count for name in self.columns if name in dropped.column_names}
            block = keep(block.append_column(LABEL, label), pc.is_valid(label))
        joined, joins = self._join(block)
        kept = joined if self.where is None else keep(joined, self.where.evaluate(joined, self.resolve))
        return kept, RowCounts(
            scanned, joined.num_rows - kept.num_rows, scanned - block.num_rows, joins=joins, unlabelled=unlabelled
        )

    def split_input(self, kept: pa.Table, splitter: Splitter) -> pa.Table:
        """What a splitter sees: the roles `key`, `time`, `label`, and its own columns, under the names that it
        knows."""
        roles = {"key": KEY, "time": self.time, "label": LABEL}
        table = {role: kept[name] for role, name in roles.items() if name and name in kept.column_names}
        return pa.table({**table, **{name: kept[self.resolve[name]] for name in splitter.columns()}})

    def _join(self, block: pa.Table) -> tuple[pa.Table, dict[str, JoinCounts]]:
        import ray

        counts = {}
        for join in self.joins:
            table = ray.get(join.table)
            columns, counts[join.name] = table.join(
                [block[column] for column in join.on], block[self.time] if join.as_of else None
            )
            for name in columns.column_names:
                block = block.append_column(name, columns[name])
        return block, counts

    def _weight(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        weight = values.cast(pa.float64(), safe=False)
        wrong = pc.invert(pc.fill_null(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0)), False))
        if rows := pc.sum(wrong).as_py():
            shown = listed(pc.unique(values.filter(wrong)).to_pylist())
            found = f"{self.weight} is {shown} in {rows:,} rows of one block; a weight is a number of at least 0"
            raise DataError(
                Problem(
                    stage="read",
                    key="features.labels.weight",
                    column=self.weight,
                    rows=rows,
                    found=found,
                    fix="mend the weights, or leave the rows out with `select.where`",
                )
            )
        return weight

    def _label(self, block: pa.Table) -> pa.ChunkedArray | None:
        if self.label is None:
            return None
        label = self.label.evaluate(block, self.resolve)
        label = label if isinstance(label, pa.ChunkedArray) else pa.chunked_array([label])
        if pa.types.is_dictionary(label.type):
            label = label.cast(label.type.value_type)
        if self.task == "multiclass":
            return pc.if_else(pc.is_nan(label), None, label) if pa.types.is_floating(label.type) else label
        if not (
            pa.types.is_boolean(label.type)
            or pa.types.is_integer(label.type)
            or pa.types.is_floating(label.type)
            or pa.types.is_decimal(label.type)
        ):
            raise DataError(self._wrong_label(label))
        number = label.cast(pa.float64(), safe=False)
        number = pc.if_else(pc.is_nan(number), pa.scalar(None, pa.float64()), number)
        infinite = pc.sum(pc.is_inf(number)).as_py() or 0
        if infinite:
            raise DataError(
                Problem(
                    stage="read",
                    key="features.labels.label",
                    column=self.label.text,
                    rows=infinite,
                    found=f"the label is infinite in {infinite:,} rows of one block",
                    fix="mend the label, or leave the rows out with `select.where`",
                )
            )
        if self.task == "binary" and (strange := set(pc.unique(number).to_pylist()) - {0.0, 1.0, None}):
            raise DataError(
                Problem(
                    stage="read",
                    key="features.labels.label",
                    column=self.label.text,
                    found=f"a binary label is true/false or 0/1, but this one says {listed(sorted(strange))}",
                    fix=f"make it a condition, like `label: {self.label.text} > {min(strange):g}`",
                )
            )
        return number

    def _wrong_label(self, label: pa.ChunkedArray) -> Problem:
        values = [value for value in pc.unique(label).to_pylist() if value is not None]
        text = self.label.text if self.label else ""
        if self.task == "regression":
            return Problem(
                stage="read",
                key="features.labels.label",
                column=text,
                found=(
                    f"the label is {label.type} with {len(values)} values ({listed(map(repr, sorted(values)), 5)});"
                    " task regression needs numbers"
                ),
                fix="use a numeric column, or `task: multiclass`",
            )
        return Problem(
            stage="read",
            key="features.labels.label",
            column=text,
            found=(
                f"the label is {label.type} with the values {listed(map(repr, sorted(values)), 5)}; a binary label is"
                " true/false or 0/1"
            ),
            fix=(
                f"write a condition: `label: {text} == {sorted(values)[-1]!r}`"
                if len(values) <= 2
                else "use `task: multiclass`"
            ),
        )


def keep(rows: pa.Table, wanted: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows for which `wanted` is true; the very table where all are, since copying 327,000 rows of 24 columns takes
    half a second."""
    return rows if pc.all(pc.fill_null(wanted, False), min_count=0).as_py() else rows.filter(wanted)
