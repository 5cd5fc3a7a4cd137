"""What a model must beat: the same answer for every row, and a linear model on a sample of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings.number import normal_quantiles
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Scorer, TrainingContext
from ray_pipeline.components.models.linear import Linear
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.spec import Spec
from ray_pipeline.values import Matrix, Vector

SAMPLE_ROWS = 30_000
STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What it scores on validation by the search's metric."""

    name: str
    metric: str
    value: float
    about: str


def baselines(rows: EncodedRows, context: TrainingContext, spec: Spec) -> tuple[Baseline, ...]:
    """Score the constant and the linear model on validation as a trial is; from the matrix of the first family."""
    encoder, metric = next(iter(rows.encoders)), metric_of(spec.search.metric)
    every = max(1, rows.rows["train"] // SAMPLE_ROWS)
    sample = list(Shard(rows, encoder, "train", every=every))
    about = f"a linear model of every {every:,}th row of train" if every > 1 else "a linear model of train"
    scored = []
    for name, scorer, what in (
        ("constant", constant(Shard(rows, encoder, "train"), context), "what train says on average, for every row"),
        ("linear", linear(sample, replace(context, threads=1), encoder), about),
    ):
        validation = score_part(scorer, rows, encoder, "validation")
        value = float(metric(validation.label, validation.score, validation.weight))
        scored.append(Baseline(name=name, metric=metric.name, value=value, about=what))
    return tuple(scored)


def constant(train: Sequence[EncodedBlock], context: TrainingContext) -> Scorer:
    """The weighted mean label, or the classes' shares, for every row: (n,) or (n, classes)."""
    multiclass = context.task == "multiclass"
    sums, total = np.zeros(context.num_classes if multiclass else 1), 0.0
    for block in train:
        sums += (
            np.bincount(block.label.astype(int), block.weight, context.num_classes)
            if multiclass
            else block.weight @ block.label
        )
        total += float(block.weight.sum())
    answer: Vector = sums / total

    def score(matrix: Matrix) -> NDArray[np.floating[Any]]:
        repeated = np.repeat(answer[None], len(matrix), 0)
        return repeated if multiclass else repeated[:, 0]

    return score


def linear(train: Sequence[EncodedBlock], context: TrainingContext, needs: str) -> Scorer:
    """The linear family with its default penalty: (n,) or (n, classes)."""
    columns = _Columns(np.concatenate([block.matrix for block in train]), context.cardinalities[needs])
    held = [replace(block, matrix=columns.apply(block.matrix)) for block in train]
    params = {**dict(Linear()), **Linear.start, Linear.budget: STEPS}
    own = replace(context, cardinalities={Linear.encoder: columns.cardinalities}, class_weight=None)
    training = Linear.start_training(params, own, Linear.prepare_data(params, own, held, []), 0)
    training.advance(STEPS)
    with TemporaryDirectory() as made:
        (Path(made) / Linear.file).write_bytes(training.model(STEPS))
        scorer = Linear.load(Path(made))
    return lambda matrix: scorer(columns.apply(matrix))


class _Columns:
    """Any family's matrix as the linear model wants it: numbers as normal quantiles, missing ones 0 with a flag, an id
    of its own for a missing category."""

    def __init__(self, matrix: Matrix, cardinalities: Sequence[int]) -> None:
        self.codes = cardinalities
        self.knots: list[tuple[Vector, Vector]] = []
        self.flagged: list[bool] = []
        for at, codes in enumerate(cardinalities):
            column = matrix[:, at].astype(np.float64)
            self.flagged.append(not codes and bool(np.isnan(column).any()))
            self.knots.append(normal_quantiles(column[~np.isnan(column)]) if not codes else (np.empty(0), np.empty(0)))

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Ids of each column that `apply` makes, 0 for numbers and flags."""
        return tuple(
            n
            for codes, flagged in zip(self.codes, self.flagged, strict=True)
            for n in ((codes + 1,) if codes else (0,) * (1 + flagged))
        )

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix (n, d) as (n, the columns of `cardinalities`)."""
        made = []
        for at, codes in enumerate(self.codes):
            column = matrix[:, at]
            missing = np.isnan(column)
            if codes:
                made.append(np.where(missing, codes, column))
                continue
            made.append(np.where(missing, 0.0, np.interp(column, *self.knots[at])))
            if self.flagged[at]:
                made.append(missing.astype(np.float64))
        return np.column_stack(made).astype(np.float32)
