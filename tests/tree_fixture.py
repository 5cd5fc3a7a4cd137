"""Encoded rows of four columns with a known signal, and contexts, for the families of trees."""

from dataclasses import replace
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.components.space import Space
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task, Vector

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CODES = (0, 40, 0, 5)
"""The second column has forty values: to most families they are a rank."""


def rows_of(task: Task, rows: int = 600) -> tuple[Matrix, Vector]:
    rng = np.random.default_rng(1)
    matrix = np.column_stack(
        [rng.normal(size=rows), rng.integers(0, 40, rows), rng.normal(size=rows), rng.integers(0, 5, rows)]
    ).astype(np.float32)
    matrix[rng.random(rows) < 0.05, 2] = np.nan
    matrix[rng.random(rows) < 0.05, 3] = np.nan
    odd = matrix[:, 1] % 3 == 0
    signal = matrix[:, 0] + 2 * odd + (matrix[:, 3] == 2) + rng.normal(0, 0.3, rows)
    label = {"binary": signal > 1, "multiclass": np.digitize(signal, [0.3, 1.6]), "regression": np.exp(signal)}
    return matrix, label[task].astype(np.float64)


def block(matrix: Matrix, label: Vector) -> EncodedBlock:
    return EncodedBlock(matrix=matrix, label=label, weight=np.ones(len(label)), rows=None)  # type: ignore[arg-type]


def context_of(task: Task, **more: Any) -> TrainingContext:
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[task]
    cardinalities = {"trees": tuple(codes if codes < 9 else 0 for codes in CODES)}
    of_labels = {"min_label": 0.0} if task == "regression" else {}
    context = TrainingContext(
        task=task, num_classes=classes, cardinalities=cardinalities, codes={"trees": CODES}, threads=1, **of_labels
    )
    return replace(context, **more)


def params_of(family: str, context: TrainingContext, **given: Any) -> dict[str, Any]:
    model = find("models", family)
    space = model().space(context).items()
    return {name: model.start[name] if isinstance(value, Space) else value for name, value in space} | given
