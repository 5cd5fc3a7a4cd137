"""The roles of columns besides the label, each with its reason: key, time, group, and the column of the parts."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.duration import STEP_US
from ray_pipeline.start.table import StartTable, counted, is_name
from ray_pipeline.start.words import (
    DATE_PARTS,
    ENDS,
    GROUPS,
    ID_ALONE,
    IDS,
    KNOWN_AT,
    NO_TIMES,
    PART_NAMES,
    TIMES,
    words,
)
from ray_pipeline.values import PARTS

MIN_GROUPS, MIN_MOMENTS = 20, 20
MIN_SEEN, MIN_PANEL_ROWS = 0.9, 10
"""Of later rows with a value that was seen before, and rows of a usual value: from there an id tells something."""
MAX_ZONE_H = 14
"""The hours between a time zone and UTC, at most."""
MAX_TIMELESS = 0.01
"""The share of rows without a time that are left out for the sake of the others' order."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A column in a role, and why."""

    column: str
    why: str
    missing: int = 0
    """Rows without a value, which the spec leaves out."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The roles of a label table's columns; None where no column has one."""

    key: Role | None = None
    time: Role | None = None
    group: Role | None = None
    part: Role | None = None
    panel: Role | None = None
    """An id that is a feature, because later rows have the values of earlier ones."""

    @property
    def taken(self) -> dict[str, Role]:
        """The roles whose columns are no features, by their names."""
        named = {"key": self.key, "time": self.time, "group": self.group, "part": self.part}
        return {name: role for name, role in named.items() if role}

    @property
    def columns(self) -> set[str]:
        """Every column with a role that keeps it from the features."""
        return {role.column for role in self.taken.values()}


def find_roles(table: StartTable, label: Collection[str]) -> Roles:
    """The roles of the columns that the label does not read."""
    free = [name for name in table.names if name not in label and is_name(name)]
    part = next(filter(None, (_part(table, name) for name in free)), None)
    key = next(filter(None, (_key(table, name) for name in free)), None)
    times = [role for name in free if (role := time_role(table, name, MAX_TIMELESS))]
    if table.steps:
        times = [Role(column=table.steps.column, why=table.steps.why)]
    times.sort(key=lambda role: (-_time_rank(role.column), role.missing))
    times = [*filter(None, (_exact(table, role, times) for role in times[:1])), *times]
    taken = {role.column for role in (part, key) if role}
    groups = filter(None, (_group(table, name) for name in free if name not in taken))
    return Roles(key=key, time=next(iter(times), None), group=next(groups, None), part=part)


def with_panel(table: StartTable, roles: Roles, cut: datetime | int) -> Roles:
    """The roles in which the group is a feature, if the rows from the cut on have values that were learned before it.

    Parameters
    ----------
    table
        The labels.
    roles
        Those of its columns, with a time.
    cut
        Where the later parts begin: a moment in UTC, or a step.
    """
    group = roles.group.column if roles.group else table.steps.each if table.steps else None
    if not (group and roles.time):
        return roles
    ids, times = table.column(group), table.column(roles.time.column)
    known = pc.is_valid(times)
    micros = times.cast(pa.timestamp("us", getattr(times.type, "tz", None)), safe=False).cast(pa.int64())
    first = cut if isinstance(cut, int) else int(cut.replace(tzinfo=UTC).timestamp())
    later = pc.greater_equal(micros, first * STEP_US)
    before = pc.unique(ids.filter(pc.and_(known, pc.invert(later))))
    after = ids.filter(pc.and_(known, later))
    seen = pc.mean(pc.is_in(after, value_set=before).cast(pa.int8())).as_py() or 0.0
    each = pc.approximate_median(pc.value_counts(ids.combine_chunks()).field("counts")).as_py()
    if seen < MIN_SEEN or each < MIN_PANEL_ROWS:
        return roles
    why = f"{seen:.0%} of the later rows have a value that earlier rows have too, with {each:,.0f} rows to a value"
    panel = Role(column=group, why=f"a feature though it is an id: {why}")
    return replace(roles, group=None, panel=panel)


def time_role(table: StartTable, name: str, most_missing: float = 0.0) -> Role | None:
    """The column as the moment of a row, if it is a time that every row has, but for that share of them."""
    if kind_of(table.type(name)) != "time" or words(name) & NO_TIMES - KNOWN_AT or not is_name(name):
        return None
    values = table.column(name)
    missing = values.null_count
    if missing > most_missing * len(values) or pc.count_distinct(values).as_py() < MIN_MOMENTS:
        return None
    ends = pc.min_max(values).as_py()
    rows = f"all but {counted(missing)}" if missing else "every row"
    why = f"a time in {rows}, from {_shown(ends['min'])} to {_shown(ends['max'])}"
    return Role(column=name, why=why, missing=missing)


def _exact(table: StartTable, day: Role, times: Collection[Role]) -> Role | None:
    """The time of the same moments as a date: it lies in each day, or in each day of one time zone."""
    if not pa.types.is_date(table.type(day.column)):
        return None
    midnight = table.column(day.column).cast(pa.timestamp("s")).cast(pa.int64())
    for role in times:
        if pa.types.is_date(table.type(role.column)) or words(role.column) & ENDS or role.missing > day.missing:
            continue
        seconds = table.column(role.column).cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        hours = pc.min_max(pc.divide(pc.subtract(seconds, midnight).cast(pa.float64()), 3600.0)).as_py()
        zone = MAX_ZONE_H if getattr(table.type(role.column), "tz", None) else 0
        summer = 1 if zone else 0
        if -zone <= hours["min"] and hours["max"] < 24 + zone and hours["max"] - hours["min"] < 24 + summer:
            return role
    return None


def known_role(table: StartTable, name: str, time: str) -> bool:
    """Whether the column of a feature table says when a row became known: a time never before the event's."""
    if (
        name == time
        or table.time_units.get(name) != table.time_units.get(time)
        or kind_of(table.type(name)) != "time"
        or not words(name) & KNOWN_AT
    ):
        return False
    known, event = (table.sample[one].cast(pa.timestamp("us"), safe=False) for one in (name, time))
    return bool(pc.all(pc.greater_equal(known, event), min_count=1).as_py())


def is_key_like(table: StartTable, name: str) -> bool:
    """Whether rows of two tables may be matched by the column: a text or a whole number that is no part of a date."""
    type_ = table.type(name)
    whole = pa.types.is_integer(type_) and not words(name) & DATE_PARTS
    return is_name(name) and (whole or kind_of(type_) == "category")


def _key(table: StartTable, name: str) -> Role | None:
    """The column as the key, if its name or its values say so and no value repeats."""
    if not table.is_whole or not is_key_like(table, name):
        return None
    sample = table.sample[name]
    named = bool(words(name) & IDS)
    if sample.null_count or pc.count_distinct(sample).as_py() < len(sample) or not (named or _counts_up(sample)):
        return None
    values = table.column(name)
    if values.null_count or pc.count_distinct(values).as_py() < len(values):
        return None
    return Role(column=name, why=f"it differs in all {len(values):,} rows, and none is missing")


def _counts_up(sample: pa.ChunkedArray) -> bool:
    """Whether the numbers rise from row to row, as row numbers do."""
    if kind_of(sample.type) == "category":
        return False
    number = sample.to_numpy()
    return len(number) > 1 and bool((number[1:] > number[:-1]).all())


def _group(table: StartTable, name: str) -> Role | None:
    """The column as the group of a row: an id, by its name, that comes again and again."""
    said = words(name)
    if not is_key_like(table, name) or not (said & GROUPS or (said & IDS and len(said) > 1) or said <= ID_ALONE):
        return None
    values = table.column(name)
    groups, rows = pc.count_distinct(values, mode="only_valid").as_py(), len(values) - values.null_count
    if groups < MIN_GROUPS or groups > rows / 2 or values.null_count:
        return None
    return Role(column=name, why=f"{rows:,} rows belong to {groups:,} values of {name}, {rows / groups:.3g} to each")


def _part(table: StartTable, name: str) -> Role | None:
    """The column that names the part of each row."""
    if kind_of(table.type(name)) != "category" or not words(name) & PART_NAMES:
        return None
    values = table.column(name)
    counts = {one["values"]: one["counts"] for one in pc.value_counts(values.combine_chunks()).to_pylist()}
    if not {"train", "test"} <= set(counts) <= set(PARTS):
        return None
    return Role(
        column=name, why="it names " + ", ".join(f"{part} in {counts[part]:,} rows" for part in PARTS if part in counts)
    )


def _time_rank(name: str) -> int:
    """How much a name is that of the moment of prediction."""
    said = words(name)
    return 2 * bool(said & {"sched", "scheduled", "planned", "timestamp"}) + bool(said & TIMES) - bool(said & ENDS)


def _shown(moment: object) -> str:
    return str(moment).removesuffix(" 00:00:00").removesuffix("+00:00")
