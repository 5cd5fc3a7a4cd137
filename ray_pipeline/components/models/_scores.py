"""What every family gives for rows: one finite score of each, or one of each class."""

from typing import Any

import numpy as np

from ray_pipeline.components.own_code import wrong_shape
from ray_pipeline.errors import DataError, Problem, SpecError
from ray_pipeline.values import Task

FIX = "correct the family's class; docs/extending.md says what it must return"
ROUNDING = 1e-6
"""By how much a probability may lie outside [0, 1]."""


def refuse_other_scores(scores: Any, rows: int, task: Task, num_classes: int) -> None:
    """Refuse scores of another shape, and those that are not numbers.

    Parameters
    ----------
    scores
        What a family gives for some rows.
    rows
        How many rows there are.
    task
        For a multiclass task, a row has a score of each class.
    num_classes
        The number of classes.

    Raises
    ------
    SpecError
        They have another shape, or are no probabilities where the task has classes.
    DataError
        Some are not numbers.
    """
    if found := wrong_shape(scores, rows, *([num_classes] if task == "multiclass" else [])):
        raise SpecError(Problem(key="model", found=f"the model gives {found}", fix=FIX))
    if wrong := int((~np.isfinite(scores)).sum()):
        found = f"{wrong:,} of {scores.size:,} scores are not numbers"
        fix = "look at the model's inputs for infinite values; in a family of your own, at what it returns"
        raise DataError(Problem(key="model", rows=wrong, found=found, fix=fix))
    if task != "regression" and (wrong := int((np.abs(scores - 0.5) > 0.5 + ROUNDING).sum())):
        found = f"the model gives {wrong:,} of {scores.size:,} scores that are no probabilities: they go from"
        found += f" {scores.min():g} to {scores.max():g}"
        raise SpecError(Problem(key="model", found=found, fix=FIX))
