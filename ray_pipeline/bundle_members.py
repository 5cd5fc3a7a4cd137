"""A bundle of several models, for an ensemble or for the models of folds: its score is the weighted mean of theirs.

`members.json` says what each member is, and `members/<n>/` holds its file. Members read the same matrix. Those of
another encoder read other columns of it, so rows are encoded once for each encoder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.models._base import FILE, Scorer, Scores
from ray_pipeline.values import Matrix

MEMBERS, MEMBERS_FILE = "members", "members.json"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model of a bundle."""

    weight: float
    """Its share of the score; the weights of all members add up to 1."""
    family: str
    columns: tuple[int, int]
    """The columns of the bundle's matrix that it reads: from the first up to the second."""
    params: Mapping[str, Any]
    rounds: int
    """Of this model; its trial had fewer where it had fewer rows."""
    trial: int
    """The trial that its hyperparameters are from."""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Member":
        """Read one object of `members` in members.json."""
        fields = {name: written[name] for name in cls.__dataclass_fields__}
        first, last = fields.pop("columns")
        return cls(**fields, columns=(int(first), int(last)))

    def to_json(self) -> dict[str, Any]:
        """The object that `from_json` reads."""
        return {**vars(self), "columns": list(self.columns), "params": dict(self.params)}


class Members:
    """The models of a bundle, loaded: it scores a matrix, and says what each column adds to the score."""

    def __init__(self, folder: Path, members: Sequence[Member]) -> None:
        """`folder` is that of the bundle, and holds `members/<n>/`."""
        self.members = tuple(members)
        self.folders = tuple(folder / MEMBERS / str(number) for number in range(len(members)))
        self.scorers: tuple[Scorer, ...] = tuple(
            find("models", member.family).load(path) for member, path in zip(members, self.folders, strict=True)
        )

    def __call__(self, matrix: Matrix) -> Scores:
        """Score an encoded matrix: the weighted mean of the members' scores, summed in float64 in their order."""
        parts = {member.columns: _columns(matrix, *member.columns) for member in self.members}
        scores = [
            member.weight * np.asarray(scorer(parts[member.columns]), np.float64)
            for member, scorer in zip(self.members, self.scorers, strict=True)
        ]
        return reduce(np.add, scores)

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return the weighted mean of the members' Shapley values, shape (n, d); None where a member has none.

        Each member's values are in its own unit: log odds, the label's unit, or its logarithm.
        """
        total = np.zeros(matrix.shape, np.float64)
        for member, folder in zip(self.members, self.folders, strict=True):
            first, last = member.columns
            own = find("models", member.family).contributions(folder, _columns(matrix, first, last))
            if own is None:
                return None
            total[:, first:last] += member.weight * own
        return total.astype(np.float32)


def _columns(matrix: Matrix, first: int, last: int) -> Matrix:
    """The columns in C order; the matrix itself where they are all."""
    return matrix if (first, last) == (0, matrix.shape[1]) else np.ascontiguousarray(matrix[:, first:last])


def side_by_side(encoders: Mapping[str, Encoder]) -> tuple[Encoder, Mapping[str, tuple[int, int]]]:
    """Join encoders to one whose matrix has the columns of each in turn; its class is that of the first.

    Returns
    -------
    tuple
        The encoder, and for each name the columns of its matrix that were its own.
    """
    first, ends = next(iter(encoders.values())), [*accumulate(len(one.columns) for one in encoders.values())]
    joined = first.model_copy(update={"encoded": tuple(column for one in encoders.values() for column in one.encoded)})
    return joined, dict(zip(encoders, zip([0, *ends], ends, strict=False), strict=True))


def member_files(folder: Path) -> tuple[set[str], set[str]]:
    """List what lies under `members/` of a bundle.

    Returns
    -------
    tuple of two sets of str
        The files that belong there, and what does not: links to folders included. All are paths under the folder.
    """
    belongs, others = set[str](), set[str]()
    for place, entry in enumerate(sorted(_entries(folder / MEMBERS), key=lambda entry: (len(entry.name), entry.name))):
        files = [file.name for file in _entries(entry)] if entry.name == str(place) else []
        if len(files) == 1 and FILE.fullmatch(files[0]):
            belongs.add(f"{MEMBERS}/{entry.name}/{files[0]}")
        else:
            others.add(f"{MEMBERS}/{entry.name}")
    return belongs, others


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() and not folder.is_symlink() else iter(())
