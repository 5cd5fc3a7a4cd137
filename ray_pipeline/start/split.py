"""The split: by a column that names the parts, else by time, else by group, else at random; with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.duration import DAY_US, STEP_US
from ray_pipeline.hashing import distinct, hash_rows
from ray_pipeline.start.label import Label
from ray_pipeline.start.roles import Roles
from ray_pipeline.start.table import StartTable

VALIDATION, TEST = 0.15, 0.2
MIN_DIFFERENT = 0.5
MIN_DAYS, MIN_STRATIFIED = 20, 50


@dataclass(frozen=True, kw_only=True)
class SplitProposal:
    """The section `split`, and why; `cluster` is what `evaluate.cluster` should say."""

    keys: dict[str, Any]
    why: str
    cluster: str | None = None
    rejected: tuple[str, ...] = field(default=())
    """Why better splits do not work."""

    @property
    def by(self) -> str:
        """The word of the splitter."""
        return str(self.keys["by"])


def propose_splits(table: StartTable, roles: Roles, label: Label) -> Iterator[SplitProposal]:
    """The splits that make sense, the best first; the last one always works."""
    cluster = roles.group.column if roles.group else None
    if roles.part:
        yield SplitProposal(keys={"by": "column", "column": roles.part.column}, why=roles.part.why, cluster=cluster)
    if roles.time and (cuts := _cuts(table, roles.time.column)):
        why = "the model is judged on later rows than it was trained on; about 65 %, 15 % and 20 % of the rows"
        yield SplitProposal(keys={"by": "time", **cuts}, why=why, cluster=None)
    shares = {"validation": VALIDATION, "test": TEST}
    if roles.group:
        why = f"{roles.group.why}; rows of one value stay in one part"
        yield SplitProposal(keys={"by": "random", **shares, "group": roles.group.column}, why=why)
    rarest = min(label.counts.items(), key=lambda one: one[1], default=None)
    if rarest and rarest[1] < MIN_STRATIFIED:
        why = (
            f"the class {rarest[0]!r} has {rarest[1]:,} row{'s' if rarest[1] != 1 else ''}, so each class is cut apart"
        )
        why = why if roles.time or roles.group else f"no time and no repeated id; {why}"
        yield SplitProposal(keys={"by": "random", **shares, "stratify": True}, why=why)
    else:
        why = "no column gives the rows an order or repeats an id" + ("" if roles.key else _equal_rows(table))
        why = "each row is drawn by itself" if roles.time or roles.group else why
        yield SplitProposal(keys={"by": "random", **shares}, why=why)


def _equal_rows(table: StartTable) -> str:
    """What to do where so many rows are equal that a part would have few different ones."""
    names = [name for name in table.names if kind_of(table.type(name))]
    rows = table.sample.num_rows
    different = len(distinct(hash_rows(table.sample.select(names)))) if names else 0
    if different > MIN_DIFFERENT * rows:
        return ""
    found = f"; but only {different:,} of {rows:,} rows differ, and equal rows stay in one part"
    return f"{found}: add a column that numbers the rows, and name it as `key`"


def _cuts(table: StartTable, time: str) -> dict[str, datetime | int] | None:
    """The cut dates or steps; None where the rows come from too few days."""
    values = table.column(time).drop_null().cast(pa.timestamp("us", getattr(table.type(time), "tz", None)), safe=False)
    micros = values.cast(pa.int64())
    if table.steps:
        steps = np.sort(micros.to_numpy()) // STEP_US
        first, second = (int(steps[int(share * (len(steps) - 1))]) for share in (1 - VALIDATION - TEST, 1 - TEST))
        return {"validation": first, "test": second} if steps[0] < first < second else None
    if pc.count_distinct(pc.divide(micros, DAY_US)).as_py() < MIN_DAYS:
        return None
    sorted_micros = np.sort(micros.to_numpy())
    cuts = [sorted_micros[int(share * (len(sorted_micros) - 1))] for share in (1 - VALIDATION - TEST, 1 - TEST)]
    days = [int(-(-cut // DAY_US)) * DAY_US for cut in cuts]
    first, second = days if days[0] < days[1] <= sorted_micros[-1] else cuts
    if first >= second:
        return None
    start = datetime(1970, 1, 1, tzinfo=UTC)
    names = {"validation": first, "test": second}
    return {name: (start + timedelta(microseconds=int(cut))).replace(tzinfo=None) for name, cut in names.items()}
