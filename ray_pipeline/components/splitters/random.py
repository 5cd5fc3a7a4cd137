"""Split by the hash of the key (or of a group): a row keeps its part when rows are added or read again."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ray_pipeline.components.splitters._base import TEST, TRAIN, VALIDATION, Parts, Splitter, carve
from ray_pipeline.group_classes import group_classes
from ray_pipeline.hashing import distinct, hash_values, uniform

Share = Annotated[float, Field(gt=0, lt=1, strict=False)]


class Random(Splitter):
    """Shares of the rows, by the xxh64 of the key or of `group`.

    `stratify` gives each class the same shares; a group has the class of most of its rows. Then the parts are not
    stable when rows are added.
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
    _held_out: Mapping[int, NDArray[np.uint64]] = PrivateAttr(default_factory=dict)
    """The hashes of the groups of test and of validation, ascending, where groups are stratified."""

    def columns(self) -> tuple[str, ...]:
        """The group's column, if rows of one group must stay together."""
        return (self.group,) if self.group else ()

    def fit_columns(self) -> tuple[str, ...]:
        """Label and key or group, if each class is cut separately."""
        return (self.group or "key", "label") if self.stratify else ()

    def fit(self, rows: pa.Table) -> Self:
        """The splitter that knows the hash positions, or the groups, at which each class has the shares.

        Groups of a class are taken by their hash, and cut where their rows are nearest to the share.
        """
        fitted = self.model_copy()
        if self.group:
            fitted._held_out = self._groups_held_out(hash_values(rows[self.group], self.seed), rows["label"])
        else:
            fitted._cuts = self._positions(rows)
        return fitted

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its hash alone (with `stratify`, from its hash and its class, or its group)."""
        hashes = hash_values(rows[self.group or "key"], self.seed)
        if not self.stratify:
            return carve(uniform(hashes), self.validation, self.test)
        part = np.full(len(hashes), TRAIN, np.int8)
        if self.group:
            for code, groups in self._held_out.items():
                part[_among(hashes, groups)] = code
            return part
        cuts = np.array([self._cuts[value] for value in rows["label"].to_pylist()]).reshape(-1, 2)
        part[uniform(hashes) < cuts[:, 1]] = VALIDATION
        part[uniform(hashes) < cuts[:, 0]] = TEST
        return part

    def _positions(self, rows: pa.Table) -> dict[object, tuple[float, float]]:
        position, label = uniform(hash_values(rows["key"], self.seed)), np.asarray(rows["label"].to_pylist(), object)
        cuts = {}
        for value in set(label.tolist()):
            ranked = np.sort(position[label == value])
            test, validation = (
                min(round(share * len(ranked)), len(ranked) - 1) for share in (self.test, self.test + self.validation)
            )
            cuts[value] = (float(ranked[test]), float(ranked[validation]))
        return cuts

    def _groups_held_out(self, group: NDArray[np.uint64], label: pa.ChunkedArray) -> dict[int, NDArray[np.uint64]]:
        coded = label.combine_chunks().dictionary_encode()
        of_value = np.argsort(np.argsort(hash_values(coded.dictionary)))  # the same in any order of rows
        groups, classes, sizes = group_classes(group, of_value[coded.indices.to_numpy()])
        held_out = {TEST: [groups[:0]], VALIDATION: [groups[:0]]}
        for code in distinct(classes):
            mine, ends = groups[classes == code], np.cumsum(sizes[classes == code])
            test, validation = (_nearest(ends, share * ends[-1]) for share in (self.test, self.test + self.validation))
            held_out[TEST].append(mine[:test])
            held_out[VALIDATION].append(mine[test:validation])
        return {part: np.sort(np.concatenate(some)) for part, some in held_out.items()}


def _nearest(ends: NDArray[np.intp], wanted: float) -> int:
    """How many groups have about the wanted rows, at most all but one; `ends` counts the rows up to each group."""
    before = np.append(0, ends[:-1])
    return int(np.abs(before - wanted).argmin())


def _among(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash is a known one, ascending; shape (rows,)."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes)
