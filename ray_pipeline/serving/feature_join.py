"""A feature table, ready to be joined to rows in this process, by the model's own spec and with the code of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from ray_pipeline.column_types import plain_column
from ray_pipeline.components.choice import each
from ray_pipeline.components.sources._base import kind_at, source_of
from ray_pipeline.data.as_of_join import JoinOptions, JoinTable, prepare
from ray_pipeline.data.input_table import InputTable, in_plain_types, timestamps
from ray_pipeline.data.join_keys import finest_unit, plain_key
from ray_pipeline.data.open_tables import time_units, types_in
from ray_pipeline.duration import as_timedelta
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.given_table import arrow_table, is_table, not_a_table
from ray_pipeline.spec import Spec


@dataclass(frozen=True, kw_only=True)
class FeatureJoin:
    """One feature table, read and sorted for joins."""

    options: JoinOptions
    at: str | None
    """The column of the rows with the moment of prediction; None for a lookup."""
    time_unit: str | None
    """What an integer in that column counts."""
    is_counted: bool
    """Whether the table's own times are integers, which count in UTC."""
    table: pa.Table = field(repr=False)
    prepared: dict[str, JoinTable] = field(default_factory=dict, repr=False)
    """The table sorted for times in a unit, by the unit: `us`, or `ns` where the rows have that."""

    def add_to(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the columns of the feature table, by canonical name; null where nothing matches.

        Raises
        ------
        DataError
            The rows lack a key, or a key or time cannot be compared with that of the feature table.
        """
        at = self._moments(rows) if self.at else None
        joined, _ = self._prepared(at).join([self._key(rows, column) for column in self.options.on], at)
        for name in joined.column_names:
            rows = rows.append_column(name, joined[name])
        return rows

    def _prepared(self, at: pa.ChunkedArray | None) -> JoinTable:
        """The sorted table, in the finest unit of all times that are compared."""
        names = [name for name in (self.options.time, self.options.known_at) if name]
        unit = finest_unit(*([at.type] if at is not None else []), *(self.table[name].type for name in names))
        if unit not in self.prepared:
            self.prepared[unit] = prepare(self.table, replace(self.options, unit=unit))
        return self.prepared[unit]

    def _key(self, rows: pa.Table, column: str) -> pa.ChunkedArray:
        """A key column of the rows, in a type that the feature table's key can be compared with."""
        if column not in rows.column_names:
            found = f"the rows have no column {column!r}, by which {self.options.name} is joined"
            raise self._refused(column, found, f"bring it (found: {listed(rows.column_names)})")
        key, known = rows[column], self.table[column].type
        if pa.types.is_null(key.type):
            return key.cast(known)
        ours, theirs = (plain_key(pa.chunked_array([], type_)).type for type_ in (key.type, known))
        if ours != theirs:
            found = f"{column!r} is {ours} in the rows and {theirs} in {self.options.name}"
            raise self._refused(column, found, "give both in one type")
        return key

    def _moments(self, rows: pa.Table) -> pa.ChunkedArray:
        """The moment of prediction of each row: its own time, else now."""
        known = self.table[self.options.time].type
        zone = known.tz if pa.types.is_timestamp(known) else None
        if self.at not in rows.column_names and self.time_unit == "step":
            found = f"the rows have no column {self.at!r}, and there is no step that means now"
            raise self._refused(self.at, found, "give every row its step")
        if self.at not in rows.column_names:
            now = datetime.now(UTC) if zone else datetime.now(UTC).replace(tzinfo=None)
            return pa.chunked_array([pa.array([now] * len(rows), pa.timestamp("us", zone))])
        at = plain_column(rows[self.at])
        is_counted = self.is_counted
        if self.time_unit and pa.types.is_integer(at.type):
            is_counted = True
            at = timestamps(at, self.time_unit, str(self.at))
        if not (pa.types.is_timestamp(at.type) or pa.types.is_date(at.type)):
            raise self._refused(self.at, f"{self.at!r} is {at.type}, which is no time", "give a timestamp or a date")
        times = pa.types.is_timestamp(at.type) and pa.types.is_timestamp(known) and not is_counted
        if times and (at.type.tz is None) != (zone is None):
            found = f"{self.at!r} is {at.type}, but {self.options.name}.{self.options.time} is {known}"
            raise self._refused(self.at, found, "give both in UTC, or both without a zone")
        if at.null_count:
            found = f"{self.at!r} is null in {at.null_count:,} of {len(at):,} rows, so nothing can be joined as of it"
            raise self._refused(self.at, found, "give every row its time")
        return at

    def _refused(self, column: str | None, found: str, fix: str) -> DataError:
        return DataError(Problem(stage="join", column=column, found=found, fix=fix))


def feature_join(name: str, given: Any, spec: Spec, types: Mapping[str, str]) -> FeatureJoin:
    """Read and sort one feature table of a model.

    Parameters
    ----------
    name
        The table's name in the spec.
    given
        A pandas, polars or Arrow table, or the path of one.
    spec
        The spec of the model.
    types
        The types in training of the columns that the model reads, by canonical name.

    Raises
    ------
    DataError
        The model has no such feature table, or the table cannot be read, lacks a column or repeats a key.
    """
    known = spec.features.tables
    if name not in known:
        found = f"the model has no feature table {name!r}"
        raise DataError(Problem(stage="join", found=found, fix=f"{nearest(name, known)}Known: {listed(known)}"))
    table = known[name]
    options = JoinOptions(
        name=name,
        on=table.on,
        columns=[column.partition(".")[2] for column in types if column.startswith(f"{name}.")],
        time=table.time,
        known_at=table.known_at,
        max_age=None if table.max_age is None else as_timedelta(table.max_age),
    )
    # Slice columns too: among rows of one key and time, the hash of all columns that a run reads decides.
    wanted = (*table.on, table.time, table.known_at, *options.columns, *_slice_columns(name, spec))
    needed = [column for column in dict.fromkeys(wanted) if column]
    rows, labels = _read(name, given, spec, needed, types_in(spec, name, types)), spec.features.labels
    at = labels.time if table.time else None
    is_counted = table.time_unit is not None
    join = FeatureJoin(options=options, at=at, time_unit=labels.time_unit, is_counted=is_counted, table=rows)
    join._prepared(None)
    return join


def _slice_columns(name: str, spec: Spec) -> list[str]:
    """The columns of a feature table that slices name in full."""
    named = [column for one in spec.slices for column in one.columns]
    return [column.partition(".")[2] for column in named if column.startswith(f"{name}.")]


def _read(name: str, given: Any, spec: Spec, needed: Sequence[str], types: Mapping[str, pa.DataType]) -> pa.Table:
    """The columns of a table that is given in memory or by its path, in plain types."""
    table, units = spec.features.tables[name], time_units(spec, name)
    if is_table(given):
        rows = arrow_table(given, name)
        _require(name, rows.column_names, needed)
        return in_plain_types(rows.select(needed), units)
    if not isinstance(given, str | PurePath):
        what, fix = not_a_table(given)
        found = f"{name}: expected a path, or a table of pandas, polars or Arrow; got {what}"
        raise DataError(Problem(stage="join", found=found, fix=fix))
    path = str(given) if "://" in str(given) else str(Path(given).absolute())
    is_claimed = any(path.lower().endswith(kind.endings) for kind in each("sources"))
    kind, parameters = (kind_at(path), {}) if is_claimed else (table.kind, table.parameters)
    source = source_of(kind, name, path, parameters).with_types(types)
    _require(name, source.footers().schema.names, needed)
    return InputTable.open(source).with_time_units(units).rows(needed)


def _require(name: str, given: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [column for column in needed if column not in given]:
        found = f"{name}: {len(missing)} of {len(needed)} columns are missing: {listed(missing)}"
        fix = f"bring the columns that the model was trained on (found: {listed(given)})"
        raise DataError(Problem(stage="join", column=missing[0], found=found, fix=fix))
