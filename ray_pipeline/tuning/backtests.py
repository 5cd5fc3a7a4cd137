"""Backtests of the refit: what rows like those of validation would have added, on rows whose labels are known.

A backtest repeats the step from the trial's model to the refit. One model is trained on earlier rows, one also on the
rows next to them, both with the winner's hyperparameters; both score rows that come later. Where the parts have no
order, groups (or rows) are held out by hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import encoded_block
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, TrainingContext, TrainingState
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.pieces import num_clusters
from ray_pipeline.hashing import hash_values, mix, uniform
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import Matrix, Predictions, Vector

Order = Literal["time", "key", "column", "none"]
Rows = NDArray[np.intp]
DRAWS = 200
MIN_ROWS = 20
"""The fewest rows of either model, and the fewest to score: of many equal places, a cut can leave one row."""
MAX_CELLS = 50_000_000
"""Matrix cells that backtests use, 200 MB; of more rows a share is taken by hash."""
THINNED, HELD_OUT = np.uint64(0x517CC1B727220A95), np.uint64(0x2545F4914F6CDD1D)


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """The result of one backtest."""

    order: Order
    """What puts the scored rows after the others; `none` where the rows are held out by hash."""
    rows: int
    """Rows of the smaller model."""
    added: int
    """Rows that the other model has more."""
    scored: int
    gain: float
    """By how much the model of more rows is better, in the unit of the metric."""
    error: float
    """The standard error of `gain`, from paired draws of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the backtests repeat: the winner of the search."""

    family: str
    params: Mapping[str, Any]
    rounds: int
    metric: str
    seed: int

    @classmethod
    def of(cls, best: TrialResult, spec: Spec) -> Self:
        """The winner of the search of a spec."""
        params, metric = dict(best.params), spec.search.metric
        return cls(family=best.family, params=params, rounds=best.rounds, metric=metric, seed=spec.seed)

    @property
    def model(self) -> type[Model]:
        """The family's class."""
        return find("models", self.family)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Rows of train and validation, or a share of them by hash."""

    matrix: Matrix
    label: Vector
    weight: Vector
    key: NDArray[Any]
    cluster: NDArray[np.uint64]
    unit: NDArray[np.uint64]
    """The hash of what stays together: the group, the cluster, or the row itself."""
    place: Vector
    """Where a row is in the order of the parts, or a number from the hash of its unit; shape (rows,)."""
    is_validation: NDArray[np.bool_]
    order: Order

    @classmethod
    def of(cls, train: Sequence[EncodedBlock], validation: Sequence[EncodedBlock], share: float) -> Self:
        """The rows of both parts; of `share` below 1, that share of the rows by the hash of their keys."""
        columns: dict[str, list[NDArray[Any]]] = {}
        for late, blocks in enumerate((train, validation)):
            for block in blocks:
                for name, values in _columns_of(block, bool(late), share).items():
                    columns.setdefault(name, []).append(values)
        taken = {name: np.concatenate(values) for name, values in columns.items()}
        order, place = _order(taken)
        fields = ("matrix", "label", "weight", "key", "cluster", "unit", "is_validation")
        return cls(**{name: taken[name] for name in fields}, place=place, order=order)

    def block(self, rows: Rows) -> EncodedBlock:
        """Some of the rows, as a family trains on them."""
        return EncodedBlock(
            matrix=np.ascontiguousarray(self.matrix[rows]),
            label=self.label[rows],
            weight=self.weight[rows],
            rows=pa.table({}),
        )

    def windows(self, number: int) -> Iterator[tuple[Rows, Rows, Rows]]:
        """Yield for each backtest the rows of the smaller model, the rows that are added, and the rows to score.

        The first one scores validation. Each further one goes a step back: it scores the rows that the one before
        added. The added rows are as large a part of the larger model as validation is of the refit.
        """
        train, scored = np.flatnonzero(~self.is_validation), np.flatnonzero(self.is_validation)
        share = len(scored) / max(len(train) + len(scored), 1)
        for _ in range(number):
            place = self.place[train]
            cut = np.quantile(place, 1 - share, method="higher")
            earlier, added = train[place < cut], train[place >= cut]
            yield earlier, added, scored
            train, scored = earlier, added


def backtest(
    rows: EncodedRows, trained: Trained, context: TrainingContext, share: float, number: int
) -> list[Backtest]:
    """Fetch the rows and run backtests on them.

    Parameters
    ----------
    rows
        The encoded rows of the run.
    trained
        The winner of the search.
    context
        What all fits of the run have in common.
    share
        The share of the rows to use, at most 1.
    number
        How many backtests to run where the rows have an order.
    """
    trained.model.warm_up()
    encoder = trained.model.encoder
    cells = len(rows.encoders[encoder].columns) * (rows.rows["train"] + rows.rows["validation"])
    parts = (Shard(rows, encoder, "train"), Shard(rows, encoder, "validation"))
    return run_backtests(Sample.of(*parts, min(share, MAX_CELLS / max(cells, 1))), trained, context, number)


def run_backtests(sample: Sample, trained: Trained, context: TrainingContext, number: int) -> list[Backtest]:
    """Run backtests, one if the rows have no order; one that leaves a model nearly without rows is left out.

    Where the rows have no order, two windows differ by chance alone. On fifteen tables the first backtest decided what
    three did, 24 of 24 times. A backtest with an undefined metric is left out as well.

    A model has as many rounds as the rule of the refit gives its rows, counted from the winner's.
    """
    found, of_trial = list[Backtest](), int((~sample.is_validation).sum())
    for earlier, added, scored in sample.windows(1 if sample.order == "none" else number):
        if min(len(earlier), len(added), len(scored)) < MIN_ROWS:
            break
        scores = []
        for some in (earlier, np.sort(np.concatenate([earlier, added]))):
            rounds = trained.model.refit_rounds(trained.rounds, len(some) / of_trial)
            scores.append(advanced(begin(sample, some, scored, trained, context), rounds))
        gain, error = _gain(sample, scored, scores, trained, context)
        if np.isfinite(gain) and np.isfinite(error):
            rows = {"rows": len(earlier), "added": len(added), "scored": len(scored)}
            found.append(Backtest(order=sample.order, gain=gain, error=error, **rows))
    return found


def _columns_of(block: EncodedBlock, is_validation: bool, share: float) -> dict[str, NDArray[Any]]:
    """The arrays of a block's rows, or of a share of them by the hash of their keys."""
    names = block.rows.column_names
    cluster, key = block.rows[encoded_block.CLUSTER].to_numpy(), block.rows[encoded_block.KEY]
    columns = {
        "matrix": block.matrix,
        "label": block.label,
        "weight": block.weight,
        "key": key.to_numpy(),
        "cluster": cluster,
        "unit": block.rows[encoded_block.GROUP].to_numpy() if encoded_block.GROUP in names else cluster,
        "is_validation": np.full(len(cluster), is_validation),
    }
    if encoded_block.TIME in names:
        columns["time"] = block.rows[encoded_block.TIME].to_numpy()
    if share >= 1:
        return columns
    taken = uniform(mix(hash_values(key) ^ THINNED)) < share
    return {name: values[taken] for name, values in columns.items()}


def _order(columns: Mapping[str, NDArray[Any]]) -> tuple[Order, Vector]:
    """What puts every row of validation after all of train: the time, a key that is a number, or a column.

    A column may also fall. Without such an order, a row's place is a number from the hash of its group, or of itself.
    """
    late = columns["is_validation"]
    for name in ("time", "key"):
        if (
            name in columns
            and columns[name].dtype.kind in "iu"
            and columns[name][late].min() >= columns[name][~late].max()
        ):
            return name, columns[name].astype(np.float64)
    matrix = columns["matrix"]
    for column in matrix.T:
        before, after = column[~late], column[late]
        if np.isfinite(column).all() and before.min() < before.max():
            # Beyond the last value, not at it: a rare category that validation happens to lack is no order.
            if after.min() > before.max():
                return "column", column.astype(np.float64)
            if after.max() < before.min():
                return "column", -column.astype(np.float64)
    return "none", uniform(mix(columns["unit"] ^ HELD_OUT))


def begin(sample: Sample, rows: Rows, scored: Rows, trained: Trained, context: TrainingContext) -> TrainingState:
    """Begin the training of a model on some rows, which scores others."""
    family, params = trained.model, dict(trained.params)
    context = replace(context, rows=len(rows), external=False)
    data = family.prepare_data(params, context, [sample.block(rows)], [sample.block(scored)])
    return family.start_training(params, context, data, trained.seed)


def advanced(training: TrainingState, rounds: int) -> Vector:
    """Train up to so many rounds, and return the scores of the other rows."""
    training.advance(rounds)
    return np.asarray(training.scores(), np.float64)


def _gain(
    sample: Sample, scored: Rows, scores: Sequence[Vector], trained: Trained, context: TrainingContext
) -> tuple[float, float]:
    """By how much the second scores are better than the first, and the standard error of that."""
    metric = metric_of(trained.metric)
    values, draws = [], []
    for score in scores:
        predictions = Predictions(
            task=context.task,
            label_name="label",
            key=scored,
            label=sample.label[scored],
            score=score,
            weight=sample.weight[scored],
            cluster=sample.cluster[scored],
        )
        values.append(metric(predictions.label, score, predictions.weight))
        draws.append(replicate([metric], predictions, draws=DRAWS, seed=trained.seed)[metric.name])
    gains = metric.sign * (draws[1] - draws[0])
    clusters, gains = num_clusters(predictions), gains[np.isfinite(gains)]
    error = float(gains.std() * np.sqrt(clusters / (clusters - 1))) if clusters > 1 and len(gains) > 1 else np.nan
    return float(metric.sign * (values[1] - values[0])), error
