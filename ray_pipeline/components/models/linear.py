"""A linear model: ridge regression, or logistic (softmax) regression with an L2 penalty. The baseline that a net or
trees must beat.

Numbers enter as the normal quantiles that the encoder for nets makes of them, categories as one weight for each id.
Hyperparameters bear the names of
scikit-learn's linear models; the objective is the mean loss + alpha / 2 x the squared weights, the intercepts left out.
Shapes: n rows, d weights for each output, O outputs.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.models._base import Model, Scorer, TrainingContext, TrainingState
from ray_pipeline.components.models._iterates import iterates
from ray_pipeline.components.space import Integer, Log, Number, Within
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task, Vector

Design = Any
"""A scipy.sparse matrix (n, d): the numbers, a 1 for each category's id, and a 1 for the intercept."""


class Linear(Model):
    """One hyperparameter is searched: the penalty."""

    encoder: ClassVar[str] = "nets"
    start: ClassVar[dict[str, Any]] = {"alpha": 1e-4}
    library: ClassVar[str] = "scipy"
    file: ClassVar[str] = "model.safetensors"
    budget: ClassVar[str] = "max_iter"
    patience: ClassVar[str] = "n_iter_no_change"
    seeded: ClassVar[bool] = False

    alpha: Annotated[Number, Within(0)] = Log(low=1e-6, high=1e-1)
    max_iter: Annotated[Integer, Within(1, 100_000)] = 100
    n_iter_no_change: Annotated[Integer, Within(1)] = 100

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Nothing: one design matrix serves every penalty."""
        return None

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> Any:
        """The design matrix of train with labels and weights, and the matrices of validation."""
        weight = np.concatenate([block.weight for block in train])
        label = np.concatenate([block.label for block in train])
        if context.class_weight is not None:
            weight = weight * np.asarray(context.class_weight)[label.astype(int)]
        return (
            _design([block.matrix for block in train], context.cardinalities[cls.encoder]),
            label,
            weight,
            [block.matrix for block in validation],
        )

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: Any, seed: int, state: bytes | None = None
    ) -> TrainingState:
        """Weights of 0, or those after as many steps as the state says: the steps are the same whenever they are
        made."""
        descent = _Descent(params, context, *data)
        if state is not None:
            descent.advance(int(state))
        return descent

    @classmethod
    def refit_rounds(cls, rounds: int, row_ratio: float) -> int:
        """As many: a step sees all rows."""
        return rounds

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """The weights, with numpy alone."""
        import safetensors

        with safetensors.safe_open(folder / cls.file, "np") as opened:
            about = json.loads(opened.metadata()["linear"])
            weights, center, scale = (
                opened.get_tensor("weights"),
                opened.get_tensor("center"),
                opened.get_tensor("scale"),
            )

        def scores(matrix: Matrix) -> NDArray[np.floating[Any]]:
            return _scores(matrix, weights, about["cardinalities"], about["task"]) * float(scale) + float(center)

        return scores


class _Descent(TrainingState):
    """The weights between two steps of L-BFGS."""

    def __init__(
        self,
        params: dict[str, Any],
        context: TrainingContext,
        design: Design,
        label: Vector,
        weight: Vector,
        validation: list[Matrix],
    ) -> None:
        self.context, self.validation, self.cardinalities = context, validation, context.cardinalities[Linear.encoder]
        self.design, self.weight = design, weight / weight.sum()
        self.center, self.scale = 0.0, 1.0
        if context.task == "regression":
            self.center = float(self.weight @ label)
            self.scale = float(np.sqrt(self.weight @ (label - self.center) ** 2)) or 1.0
        self.num_outputs = context.num_classes if context.task == "multiclass" else 1
        self.target = (
            np.eye(context.num_classes)[label.astype(int)]
            if context.task == "multiclass"
            else ((label - self.center) / self.scale)[:, None]
        )
        self.alpha, self.most = float(params["alpha"]), int(params["max_iter"])
        self.points: list[Vector] = []

    def advance(self, rounds: int) -> None:
        """All steps are made at the first call."""
        if not self.points:
            self.points = iterates(self._objective, np.zeros(self.design.shape[1] * self.num_outputs), self.most)
        self.rounds = rounds

    def scores(self) -> NDArray[np.floating[Any]]:
        weights = self._weights(self.rounds)
        return (
            np.concatenate(
                [_scores(matrix, weights, self.cardinalities, self.context.task) for matrix in self.validation]
            )
            * self.scale
            + self.center
        )

    def model(self, rounds: int) -> bytes:
        """The weights (d, O) after that many steps."""
        import safetensors.numpy

        about = json.dumps({"cardinalities": self.cardinalities, "task": self.context.task})
        tensors = {"weights": self._weights(rounds), "center": np.array(self.center), "scale": np.array(self.scale)}
        return safetensors.numpy.save(tensors, {"linear": about})

    def state(self) -> bytes:
        """The number of steps."""
        return str(self.rounds).encode()

    def _weights(self, rounds: int) -> Vector:
        return self.points[min(rounds, len(self.points) - 1)].reshape(-1, self.num_outputs)

    def _objective(self, point: Vector) -> tuple[float, Vector]:
        weights = point.reshape(-1, self.num_outputs)
        margin = self.design @ weights  # (n, O)
        if self.context.task == "regression":
            loss, slope = (margin - self.target)[:, 0] ** 2 / 2, margin - self.target
        elif self.context.task == "binary":
            loss, slope = (
                np.logaddexp(0, margin)[:, 0] - (margin * self.target)[:, 0],
                _chances(margin, "binary")[:, None] - self.target,
            )
        else:
            top = margin.max(1)
            loss = top + np.log(np.exp(margin - top[:, None]).sum(1)) - (margin * self.target).sum(1)
            slope = _chances(margin, "multiclass") - self.target
        penalised = weights.copy()
        penalised[-1] = 0
        value = self.weight @ loss + self.alpha / 2 * (penalised**2).sum()
        return float(value), (self.design.T @ (slope * self.weight[:, None]) + self.alpha * penalised).reshape(-1)


def _design(matrices: Sequence[Matrix], cardinalities: Sequence[int]) -> Design:
    from scipy import sparse

    numbers = [at for at, codes in enumerate(cardinalities) if not codes]
    matrix = np.concatenate(matrices)
    parts = [sparse.csr_array(matrix[:, numbers].astype(np.float64))] if numbers else []
    ones, rows = np.ones(len(matrix)), np.arange(len(matrix))
    parts += [
        sparse.csr_array((ones, (rows, matrix[:, at].astype(int))), (len(matrix), codes))
        for at, codes in enumerate(cardinalities)
        if codes
    ]
    return sparse.hstack([*parts, sparse.csr_array(ones[:, None])], format="csr")


def _scores(matrix: Matrix, weights: Vector, cardinalities: Sequence[int], task: Task) -> Vector:
    """Scores from weights (d, O) in the order of the design: numbers, then ids column by column, then the intercept.

    Column by column, so that a row's bits do not depend on the rows beside it, as they would in a matrix product.
    """
    numbers = [at for at, codes in enumerate(cardinalities) if not codes]
    margin = np.repeat(weights[-1:], len(matrix), 0)
    for place, at in enumerate(numbers):
        margin += matrix[:, at, None].astype(np.float64) * weights[place]
    first = len(numbers)
    for at, codes in enumerate(cardinalities):
        if codes:
            margin += weights[first + matrix[:, at].astype(int)]
            first += codes
    return margin[:, 0] if task == "regression" else _chances(margin, task)


def _chances(margin: Vector, task: Task) -> Vector:
    """Probabilities from margins (n, O): (n,) of the positive class, or (n, O)."""
    if task == "binary":
        return 1 / (1 + np.exp(-np.clip(margin[:, 0], -700, 700)))
    raised = np.exp(margin - margin.max(1, keepdims=True))
    chances: Vector = raised / raised.sum(1, keepdims=True)
    return chances
