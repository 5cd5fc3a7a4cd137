"""Split by the hash of the key (or of a group): a row keeps its part when rows are added or read again."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from ray_pipeline.components.splitters._base import TEST, TRAIN, VALIDATION, Parts, Splitter, carve
from ray_pipeline.hashing import hash_values, uniform

Share = Annotated[float, Field(gt=0, lt=1, strict=False)]


class Random(Splitter):
    """Shares of the rows, by the xxh64 of the key or of `group`.

    `stratify` gives each class the same shares. Then the parts are not stable when rows are added.
    """

    by: Literal["random"] = "random"
    """The kind of split."""
    validation: Share = 0.15
    """The share of validation rows."""
    test: Share = 0.15
    """The share of test rows."""
    group: str | None = None
    """Rows with one value of this column are in one part."""
    stratify: bool = False
    """Whether each class has the same shares."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the hash."""
    _cuts: Mapping[object, tuple[float, float]] = PrivateAttr(default_factory=dict)
    """The hash position of each class below which rows are test, and below which they are validation."""

    def columns(self) -> tuple[str, ...]:
        """The group's column, if rows of one group must stay together."""
        return (self.group,) if self.group else ()

    def fit_columns(self) -> tuple[str, ...]:
        """Key and label, if each class is cut separately."""
        return ("key", "label") if self.stratify else ()

    def fit(self, rows: pa.Table) -> Self:
        """The splitter that knows, for each class, the hash positions at which exactly the shares are reached."""
        position, label = uniform(hash_values(rows["key"], self.seed)), np.asarray(rows["label"].to_pylist(), object)
        cuts = {}
        for value in set(label.tolist()):
            ranked = np.sort(position[label == value])
            test, validation = (
                min(round(share * len(ranked)), len(ranked) - 1) for share in (self.test, self.test + self.validation)
            )
            cuts[value] = (float(ranked[test]), float(ranked[validation]))
        fitted = self.model_copy()
        fitted._cuts = cuts
        return fitted

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its hash alone (with `stratify`, from its hash and its class)."""
        position = uniform(hash_values(rows[self.group or "key"], self.seed))
        if not self.stratify:
            return carve(position, self.validation, self.test)
        cuts = np.array([self._cuts[value] for value in rows["label"].to_pylist()]).reshape(-1, 2)
        below = np.where(position < cuts[:, 1], VALIDATION, TRAIN)
        return np.where(position < cuts[:, 0], TEST, below).astype(np.int8)
