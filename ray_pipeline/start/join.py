"""Joins: by which columns, and as of which time, a feature table joins the labels; with the match rate on a sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.as_of_join import JoinOptions, prepare
from ray_pipeline.data.join_counts import JoinCounts
from ray_pipeline.data.join_keys import finest_unit, plain_key
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.start.roles import Roles, is_key_like, known_role, time_role
from ray_pipeline.start.table import StartTable, is_name

MIN_MATCHED = 0.01
MAX_KEYS = 3


@dataclass(frozen=True, kw_only=True)
class JoinProposal:
    """One feature table in the spec."""

    table: StartTable
    on: tuple[str, ...]
    time: str | None = None
    known_at: str | None = None
    columns: tuple[str, ...]
    """The columns that may be features."""
    counts: JoinCounts
    """What became of the sampled label rows."""
    rows: pa.Table = field(repr=False)
    """The joined columns of the sampled label rows, by canonical name."""
    granularity: str | None = None
    """`day` or `hour` if every time is the start of one and nothing says when a row became known."""

    @property
    def name(self) -> str:
        """The table's name in the spec."""
        return self.table.name

    @property
    def matched(self) -> float:
        """The share of the sampled label rows that find a row."""
        return self.counts.matched / max(self.counts.rows, 1)

    @property
    def why(self) -> str:
        """How the join does on the sample."""
        how = "find a row that was known by then" if self.time else "find their row"
        return f"{self.matched:.0%} of {self.counts.rows:,} sampled rows {how}"

    @property
    def old(self) -> str | None:
        """How old the joined rows are; None for a lookup."""
        if (age := self.counts.age(0.99)) is None:
            return None
        return f"99 % of the joined rows are at most {_length(age)} old; `max_age` would make older ones missing"


def propose_join(labels: StartTable, roles: Roles, label: Sequence[str], table: StartTable) -> JoinProposal:
    """How the table joins the label table: the keys with the best match on the sample.

    Raises
    ------
    DataError
        The tables share no key, no row matches, or a key has several rows and no time orders them.
    """
    keys = [
        name for name in table.names if name in labels.names and name not in label and _joinable(labels, table, name)
    ]
    if not keys:
        raise DataError(_problem(table, *_no_key(labels, table)))
    time = _event_time(labels, roles, table)
    best: JoinProposal | None = None
    for on in _key_sets(keys):
        if not time and _repeats(table, on):
            continue
        found = _try(labels, roles, table, on, time)
        if (
            best is None
            or found.matched > best.matched + 0.02
            or (time and len(on) > len(best.on) and _close(found, best))
        ):
            best = found
    if best is None:
        why, fix = _no_time(labels, roles, table)
        raise DataError(_problem(table, f"every key repeats ({', '.join(keys)}), and {why}", fix))
    if best.matched < MIN_MATCHED:
        few = f"by {', '.join(best.on)} {best.matched:.1%} of {best.counts.rows:,} sampled rows find a row"
        raise DataError(_problem(table, few, "bring the table that has these keys and times, or leave it out"))
    return best


def _joinable(labels: StartTable, table: StartTable, name: str) -> bool:
    """Whether the column can be a key in both tables, in one type."""
    types = [plain_key(pa.chunked_array([], one.type(name))).type for one in (labels, table)]
    return types[0] == types[1] and is_key_like(labels, name) and is_key_like(table, name)


def _key_sets(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One key, then two, then three."""
    for size in range(1, min(len(keys), MAX_KEYS) + 1):
        yield from combinations(keys, size)


def _close(found: JoinProposal, best: JoinProposal) -> bool:
    """Whether more keys match nearly as many rows: then they are part of what a row is about."""
    return found.matched > 0.5 * best.matched


def _repeats(table: StartTable, on: Sequence[str]) -> bool:
    """Whether some rows of the table have the same key."""
    rows = pa.table({name: table.column(name) for name in on}).drop_null()
    return bool(rows.group_by(list(on)).aggregate([]).num_rows < rows.num_rows)


def _event_time(labels: StartTable, roles: Roles, table: StartTable) -> str | None:
    """The time of the table's rows, if labels have a time that can be compared with it."""
    if roles.time is None:
        return None
    ours = labels.type(roles.time.column)
    dated = [name for name in _times(table) if _comparable(table.type(name), ours)]
    return next((name for name in dated if not known_role(table, name, dated[0])), None)


def _times(table: StartTable) -> list[str]:
    """The columns that may be the time of the table's rows."""
    return [role.column for name in table.names if (role := time_role(table, name))]


def _comparable(*types: pa.DataType) -> bool:
    """Whether times of both types can be compared: one is a date, or both have a zone, or none has."""
    return any(map(pa.types.is_date, types)) or len({getattr(one, "tz", None) is None for one in types}) == 1


def _no_time(labels: StartTable, roles: Roles, table: StartTable) -> tuple[str, str]:
    """Why no time orders the rows of one key, and what to do."""
    times = _times(table)
    if times and roles.time:
        zoned = getattr(table.type(times[0]), "tz", None) is not None
        ours, theirs = f"labels.{roles.time.column}", f"{table.name}.{times[0]}"
        zones = f"{theirs} has a zone, but {ours} has none" if zoned else f"{theirs} has no zone, but {ours} has one"
        return zones, "write both in UTC, or both without a zone"
    if times:
        return "labels has no time as of which a row counts", "keep one row for each key, or add such a time to labels"
    return "no time says which row counts", "keep one row for each key, or add a column with the time of each row"


def _try(labels: StartTable, roles: Roles, table: StartTable, on: tuple[str, ...], time: str | None) -> JoinProposal:
    """The join by these keys, with all columns that may be features."""
    known_at = next((name for name in table.names if time and known_role(table, name, time)), None)
    taken = {*on, time, known_at}
    columns = tuple(name for name in table.names if name not in taken and is_name(name) and kind_of(table.type(name)))
    options = JoinOptions(name=table.name, on=on, columns=columns, time=time, known_at=known_at)
    return join_sample(labels, roles, table, options)


def join_sample(labels: StartTable, roles: Roles, table: StartTable, options: JoinOptions) -> JoinProposal:
    """The join of the sampled label rows.

    Raises
    ------
    DataError
        A key of a lookup has several rows.
    """
    times = [name for name in (options.time, options.known_at) if name]
    at = roles.time.column if roles.time and options.time else None
    unit = finest_unit(labels.type(at), *(table.type(name) for name in times)) if at else "us"
    needed = dict.fromkeys([*options.on, *times, *options.columns])
    joined = prepare(pa.table({name: table.column(name) for name in needed}), replace(options, unit=unit))
    sample = labels.sample
    rows, counts = joined.join([sample[name] for name in options.on], sample[at] if at else None)
    return JoinProposal(
        table=table,
        on=tuple(options.on),
        time=options.time,
        known_at=options.known_at,
        columns=tuple(options.columns),
        counts=counts,
        rows=rows,
        granularity=joined.granularity,
    )


def _no_key(labels: StartTable, table: StartTable) -> tuple[str, str]:
    """What is wrong where no column is in both tables, and a pair of columns that look like the same key."""
    keys = [name for name in table.names if is_key_like(table, name)]
    ours = [name for name in labels.names if is_key_like(labels, name)]
    for one in keys:
        known = pc.unique(table.sample[one].cast(pa.string()).combine_chunks())
        for other in ours:
            values = labels.sample[other].drop_null()
            share = pc.mean(pc.is_in(values.cast(pa.string()), known).cast("int8")).as_py() or 0
            if share > 0.5 and len(known) > MAX_KEYS:
                found = (
                    f"no key has the same name and type as in labels, but {share:.0%} of labels.{other} are in {one}"
                )
                return found, f"rename {one!r} to {other!r} in one of the tables, and write both in one type"
    return (
        "no key has the same name and type as in labels",
        f"labels has {listed(ours, 8)}; this table has {listed(keys, 8) or 'no text and no whole number'}",
    )


def _length(seconds: float) -> str:
    """A length of time for people."""
    length = timedelta(seconds=round(seconds))
    hours = length.total_seconds() / 3600
    return (
        f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours" if hours >= 1 else f"{hours * 60:.3g} minutes"
    )


def _problem(table: StartTable, found: str, fix: str) -> Problem:
    return Problem(stage="join", key="--features", file=table.footers.path, found=f"{table.name}: {found}", fix=fix)
