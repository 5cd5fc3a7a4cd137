"""What a model must beat: the same answer for every row, which is what train says on average."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import blocks
from ray_pipeline.choice import find
from ray_pipeline.spec import Spec
from ray_pipeline.stages.encode import Encoded
from ray_pipeline.stages.predict import predict
from ray_pipeline.values import Matrix, Vector


@dataclass(frozen=True)
class Baseline:
    """What the constant scores on validation by the search's metric."""

    metric: str
    value: float
    constant: tuple[float, ...]
    """The weighted mean label of train, or for several classes their weighted shares."""

    def as_json(self) -> dict[str, Any]:
        """One object of `baselines.json`."""
        return {"name": "constant", **asdict(self)}


def baseline(encoded: Encoded, spec: Spec, classes: tuple[str, ...]) -> Baseline:
    """The constant, scored on validation as a trial is."""
    needs, metric = next(iter(encoded.encoders)), find("metrics", str(spec.search.metric))()
    multiclass = spec.task == "multiclass"
    sums = np.zeros(len(classes) if multiclass else 1)
    total = 0.0
    for view in blocks.views(encoded.fetch(), needs, "train"):
        sums += np.bincount(view.label.astype(int), view.weight, len(classes)) if multiclass else view.weight @ view.label
        total += float(view.weight.sum())
    constant: Vector = sums / total

    def score(matrix: Matrix) -> NDArray[np.floating[Any]]:
        repeated = np.repeat(constant[None], len(matrix), 0)
        return repeated if multiclass else repeated[:, 0]

    rows = predict(score, encoded, needs, "validation", spec, classes)
    return Baseline(metric.word, float(metric(rows.label, rows.score, rows.weight)), tuple(constant.tolist()))
