"""Split by the hash of the key (or of a group), so that a row keeps its part whatever is appended or re-read."""

from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from ray_pipeline.components.splitters._base import Parts, Splitter, carve
from ray_pipeline.hashing import hash_values, uniform

Shard = Annotated[float, Field(gt=0, lt=1, strict=False)]


class Random(Splitter):
    """Shares of rows by xxh64 of key or `group`; `stratify` cuts at equal shares of each class (not stable under
    appended rows)."""

    by: Literal["random"] = "random"
    validation: Shard = 0.15
    test: Shard = 0.15
    group: str | None = None
    stratify: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    _cuts: dict[object, tuple[float, float]] = PrivateAttr(default_factory=dict)

    def columns(self) -> tuple[str, ...]:
        """The group's column, where rows of one group must stay together."""
        return (self.group,) if self.group else ()

    def fit_columns(self) -> tuple[str, ...]:
        """Key and label, where each class is cut by itself."""
        return ("key", "label") if self.stratify else ()

    def look(self, seen: pa.Table) -> Self:
        """The splitter that knows, for each class, the hashes at which exactly the shares are reached."""
        position, label = uniform(hash_values(seen["key"], self.seed)), np.asarray(seen["label"].to_pylist(), object)
        looked = self.model_copy()
        for value in set(label.tolist()):
            ranked = np.sort(position[label == value])
            at = [
                min(round(share * len(ranked)), len(ranked) - 1) for share in (self.test, self.test + self.validation)
            ]
            looked._cuts[value] = (float(ranked[at[0]]), float(ranked[at[1]]))
        return looked

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its hash alone (with `stratify`, its hash and its class)."""
        position = uniform(hash_values(rows[self.group or "key"], self.seed))
        if not self.stratify:
            return carve(position, self.validation, self.test)
        cuts = np.array([self._cuts[value] for value in rows["label"].to_pylist()]).reshape(-1, 2)
        return np.where(position < cuts[:, 0], 2, np.where(position < cuts[:, 1], 1, 0)).astype(np.int8)
