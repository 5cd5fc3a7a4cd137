"""What a started spec says, with the reasons: the value that the writer writes and the proposals change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.components.metrics import DEFAULTS
from ray_pipeline.data.preconditions import MAX_INT64
from ray_pipeline.start.feast import FeastProposal
from ray_pipeline.start.join import JoinProposal
from ray_pipeline.start.label import Label
from ray_pipeline.start.roles import Roles
from ray_pipeline.start.split import SplitProposal
from ray_pipeline.start.table import StartTable, is_name
from ray_pipeline.values import Task

RARE = 0.01
METRIC_REASONS: Mapping[Task, str] = {
    "binary": "it ranks rows by their score and needs no threshold",
    "multiclass": "it judges the probabilities of all classes",
    "regression": "it is in the unit of the label, and large errors weigh most",
}


@dataclass(frozen=True, kw_only=True)
class Reasoned:
    """A value of the spec, and why."""

    value: Any
    why: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A spec with its reasons."""

    name: str
    given: str
    """The path of the label table as the user gave it."""
    labels: StartTable
    label: Label
    roles: Roles
    split: SplitProposal
    joins: tuple[JoinProposal, ...] = ()
    feast: tuple[FeastProposal, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The finding of each column that is no feature, by canonical name."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What was found of a feature that stays, by canonical name."""
    slices: tuple[Reasoned, ...] = ()
    groups: tuple[Reasoned, ...] = ()
    test_rows: int = 0
    """About so many rows has the test part."""
    min_rows: Mapping[str, int] = field(default_factory=dict)
    """`min_rows` of the sections whose default the test part is too small for."""
    unmeasured: tuple[str, ...] = ()
    """Columns that would be slices or groups, had the test part more rows."""
    gates: tuple[Reasoned, ...] = ()
    no_gate: str = ""
    """Why there is no gate."""
    ignored: tuple[Reasoned, ...] = ()
    """Checks that would end the run though no column can be left out."""

    @property
    def all_joins(self) -> tuple[JoinProposal, ...]:
        """The join of every feature table, those of Feast repositories too."""
        return (*self.joins, *(join for one in self.feast for join in one.joins))

    @property
    def remarks(self) -> list[str]:
        """What a person should look at."""
        totals = self.labels.totals
        doubts = [f"{name}: {why}" for name, why in self.labels.dialect.doubts.items()]
        told = [f"{totals}, left out by `select.where`"] if totals else []
        return [*told, *filter(None, [self.label.spellings]), *doubts]

    @property
    def metric(self) -> Reasoned:
        """The metric of the search."""
        task, counts = self.label.task, self.label.counts
        if task == "binary" and min(counts.values(), default=1) < RARE * sum(counts.values()):
            return Reasoned(value="average_precision", why="one class is rare: this metric looks at its rows")
        return Reasoned(value=DEFAULTS[task][0], why=METRIC_REASONS[task])

    @property
    def columns(self) -> list[str]:
        """The columns of the label table that may be features: those without a role."""
        taken = {*self.label.columns, *self.roles.columns}
        return [name for name in self.labels.names if name not in taken]

    @property
    def features(self) -> list[str]:
        """Every feature of the label table and of joined tables, by canonical name."""
        joined = [f"{join.name}.{column}" for join in self.all_joins for column in join.columns]
        return [name for name in (*self.columns, *joined) if name not in self.left_out]

    def without(self, left_out: Mapping[str, str]) -> "Draft":
        """The draft with more columns left out."""
        return replace(self, left_out={**left_out, **self.left_out})


def unfit_columns(labels: StartTable) -> dict[str, str]:
    """The columns that cannot be features by name or type, with the reason."""
    unfit, seen = dict[str, str](), dict[str, str]()
    for name in labels.names:
        alike = normalize("NFKC", name).casefold()
        if not is_name(name):
            unfit[name] = "it has no name" if not name.strip() else "its name has signs that no spec can say"
        elif pa.types.is_uint64(labels.type(name)) and (pc.max(labels.column(name)).as_py() or 0) > MAX_INT64:
            unfit[name] = f"it has numbers above {MAX_INT64:,}, which 64 bits with a sign cannot hold"
        elif kind_of(labels.type(name)) is None:
            unfit[name] = f"{labels.type(name)} cannot be a feature"
        elif name in labels.dialect.doubts:
            unfit[name] = labels.dialect.doubts[name]
        elif alike in seen:
            unfit[name] = f"its name differs from {seen[alike]} by case alone"
        seen.setdefault(alike, name)
    return unfit
