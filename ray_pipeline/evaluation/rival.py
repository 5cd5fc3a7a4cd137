"""What gates compare a model with, and whether the two can be compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.values import Predictions


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model that bears the alias `champion`, scored today on the test rows."""

    version: int | str
    predictions: Predictions
    """Paired by position with the test rows, or with those of the mask `compared`."""
    compared: NDArray[np.bool_] | None = None
    """The test rows that the champion was not trained on, shape (n,); None for all of them."""
    costs: ServingCosts | None = None
    unfit: str | None = None
    """Why it cannot score the rows; its predictions are then those of the model itself, of no row."""


class Undecidable(Exception):
    """A gate cannot be decided; the message says why."""


def check_comparable(ours: Predictions, champion: Champion) -> None:
    """Raise `Undecidable` unless both predict the same label of the same rows."""
    theirs = champion.predictions
    if champion.unfit is not None:
        raise Undecidable(champion.unfit)
    if theirs.task != ours.task:
        raise Undecidable(f"the champion's task is {theirs.task}, ours {ours.task}")
    if theirs.label_name != ours.label_name:
        raise Undecidable(f"the champion predicts {theirs.label_name}, ours {ours.label_name}")
    if tuple(theirs.classes) != tuple(ours.classes):
        raise Undecidable(f"the champion's classes are {', '.join(theirs.classes)}, ours {', '.join(ours.classes)}")
    if len(theirs) != len(ours):
        raise Undecidable(f"the champion scored {len(theirs):,} rows, ours {len(ours):,}")
    if not len(ours):
        raise Undecidable("no test row is left that the champion was not trained on")
    differing = int((theirs.label != ours.label).sum())
    if differing:
        raise Undecidable(
            f"the champion's label differs on {differing:,} of {len(ours):,} rows, so it predicts something else"
        )
