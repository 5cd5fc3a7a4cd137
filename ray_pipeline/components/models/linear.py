"""Linear models of scikit-learn: ridge regression, or logistic (softmax) regression with an L2 penalty.

Numbers enter as the normal quantiles that the encoder for nets makes of them, categories as one weight for each id.
The objective is the mean loss + alpha / 2 x the squared weights, without the intercepts.
Shapes: n rows, d columns of the design matrix, O outputs.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.models._base import Model, Scorer, TrainingContext, TrainingState
from ray_pipeline.components.space import Integer, Log, Number, Within
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.heartbeat import beating
from ray_pipeline.values import Matrix, Task, Vector

Design = Any
"""A scipy.sparse matrix (n, d): the numbers, then a 1 for each category's id."""
Data = tuple[Design, Vector, Vector, list[Matrix]]
"""Design matrix, labels and weights (sum 1) of train; the matrices of validation."""
TOLERANCE = 1e-5
"""Of the gradient. The objective is then within 1e-6 of its minimum, after 20 to 80 steps (30,000 and 217,000 rows)."""


class Linear(Model):
    """One hyperparameter is searched: the penalty."""

    encoder: ClassVar[str] = "nets"
    start: ClassVar[dict[str, Any]] = {"alpha": 1e-4}
    library: ClassVar[str] = "sklearn"
    file: ClassVar[str] = "model.safetensors"
    budget: ClassVar[str] = "max_iter"
    patience: ClassVar[str] = "n_iter_no_change"
    seeded: ClassVar[bool] = False
    repeats_rounds: ClassVar[bool] = True
    row_cost: ClassVar[int] = 0

    alpha: Annotated[Number, Within(0)] = Log(low=1e-6, high=1e-1)
    max_iter: Annotated[Integer, Within(1, 100_000)] = 100
    n_iter_no_change: Annotated[Integer, Within(1)] = 100

    @classmethod
    def warm_up(cls) -> None:
        """Import scikit-learn's linear models."""
        import sklearn.linear_model  # noqa: F401

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Return None: one design matrix serves every penalty."""
        return None

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> Data:
        """Build the design matrix of train."""
        cardinalities, classes = context.cardinalities[cls.encoder], context.num_classes
        blocks = list(train)
        # A row without weight for each class: scikit-learn then knows all classes, also those that the rows lack.
        matrix = np.concatenate([*(block.matrix for block in blocks), np.zeros((classes, len(cardinalities)))])
        label = np.concatenate([*(block.label for block in blocks), np.arange(classes)])
        weight = np.concatenate([*(context.row_weight(block) for block in blocks), np.zeros(classes)])
        return _design(matrix, cardinalities), label, weight / weight.sum(), [block.matrix for block in validation]

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: Data, seed: int, state: bytes | None = None
    ) -> TrainingState:
        """Return a solver before its first step, or after as many steps as `state` says."""
        steps = _Steps(params, context, data)
        steps.advance(int(state or 0))
        return steps

    @classmethod
    def refit_rounds(cls, rounds: int, row_ratio: float) -> int:
        """Return `rounds`: each step sees all rows."""
        return rounds

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the scorer of the weights in the folder; it needs numpy alone."""
        import safetensors

        with safetensors.safe_open(folder / cls.file, "np") as opened:
            about, weights = json.loads(opened.metadata()["linear"]), opened.get_tensor("weights")
        numbers = about["cardinalities"].count(0)
        if weights.ndim != 2 or len(weights) != numbers + sum(about["cardinalities"]) + 1:
            raise ValueError(f"the weights have shape {weights.shape}, which does not fit the columns")
        return lambda matrix: _scores(matrix, weights, about["cardinalities"], about["task"])


class _Steps(TrainingState):
    """The steps of a solver that cannot be halted: k steps are a new fit with the limit k, whose steps are the same."""

    def __init__(self, params: dict[str, Any], context: TrainingContext, data: Data) -> None:
        self.alpha, self.task = float(params["alpha"]), context.task
        self.cardinalities = context.cardinalities[Linear.encoder]
        self.design, self.label, self.weight, self.validation = data
        self.last_step = int(params["max_iter"])
        self.fitted: dict[int, Vector] = {}

    def advance(self, rounds: int) -> None:
        self.rounds = rounds

    def scores(self) -> NDArray[np.floating[Any]]:
        weights = self._weights(self.rounds)
        return np.concatenate([_scores(matrix, weights, self.cardinalities, self.task) for matrix in self.validation])

    def model(self, rounds: int) -> bytes:
        import safetensors.numpy

        about = json.dumps({"cardinalities": self.cardinalities, "task": self.task})
        return safetensors.numpy.save({"weights": self._weights(rounds)}, {"linear": about})

    def state(self) -> bytes:
        return str(self.rounds).encode()

    def _weights(self, rounds: int) -> Vector:
        """The weights (d + 1, O) after that many steps, the intercepts last."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge

        steps = min(rounds, self.last_step)
        if steps not in self.fitted:
            limits = {"max_iter": steps, "tol": TOLERANCE}
            if self.task == "regression":
                model = Ridge(alpha=self.alpha, solver="lsqr", **limits)
            else:
                model = LogisticRegression(C=1 / self.alpha if self.alpha else np.inf, **limits)
            with beating(), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                model.fit(self.design, self.label, self.weight)
            if max(model.n_iter_) < steps:
                self.last_step = steps  # the solver has converged
            self.fitted[steps] = np.vstack([np.atleast_2d(model.coef_).T, model.intercept_])
        return self.fitted[steps]


def _design(matrix: Matrix, cardinalities: Sequence[int]) -> Design:
    from scipy import sparse

    numbers = [at for at, codes in enumerate(cardinalities) if not codes]
    ones, rows = np.ones(len(matrix)), np.arange(len(matrix))
    ids = [
        sparse.csr_array((ones, (rows, matrix[:, at].astype(int))), (len(matrix), codes))
        for at, codes in enumerate(cardinalities)
        if codes
    ]
    return sparse.hstack([sparse.csr_array(matrix[:, numbers].astype(np.float64)), *ids], format="csr")


def _scores(matrix: Matrix, weights: Vector, cardinalities: Sequence[int], task: Task) -> Vector:
    """Score with weights in the order of the design: numbers, then ids column by column, then the intercept.

    Column by column, so that the bits of a row's score do not depend on the other rows, as in a matrix product.
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
    return margin[:, 0] if task == "regression" else _probabilities(margin, task)


def _probabilities(margin: Vector, task: Task) -> Vector:
    """Turn margins (n, O) into probabilities: (n,) of the positive class, or (n, O)."""
    if task == "binary":
        return 1 / (1 + np.exp(-np.clip(margin[:, 0], -700, 700)))
    raised = np.exp(margin - margin.max(1, keepdims=True))
    probabilities: Vector = raised / raised.sum(1, keepdims=True)
    return probabilities
