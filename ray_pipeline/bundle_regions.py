"""What a bundle gives beside scores: intervals or sets, and all columns that `predict` writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.models._base import Scorer
from ray_pipeline.conformal import Calibration
from ray_pipeline.prediction_regions import Regions, class_scores
from ray_pipeline.values import Matrix, Vector, score_columns


class RegionScoring:
    """The part of a bundle that makes intervals or sets; the rest of it is in `bundle.py`."""

    folder: Path
    schema: Mapping[str, Any]
    model: Mapping[str, Any]
    encoder: Encoder
    regions: Calibration | None
    quantiles: Scorer | None

    def select(self, rows: Any) -> pa.Table:
        """See `Bundle`."""
        raise NotImplementedError

    def score_matrix(self, matrix: Matrix) -> Vector:
        """See `Bundle`."""
        raise NotImplementedError

    def decide(self, score: Vector) -> NDArray[Any]:
        """See `Bundle`."""
        raise NotImplementedError

    def ends(self, matrix: Matrix) -> Vector:
        """Return the lower and the upper quantile of encoded rows, shape (rows, 2), of a model that predicts them."""
        if not len(matrix):
            return np.empty((0, 2))
        assert self.quantiles is not None, "the bundle's intervals follow from its scores"
        return np.asarray(self.quantiles(matrix), np.float64)[:, [0, -1]]

    def scored(self, rows: Any) -> dict[str, Any]:
        """Return the columns that `predict` writes for rows, but for their keys.

        Returns
        -------
        dict
            `score`, or `score_<class>` for each class; `decision`; and where the model has them `low` and `high`, or
            `set`.

        Raises
        ------
        DataError
            As for `score`.
        """
        score, ends = self.score_and_ends(rows)
        classes, regions = self.schema["classes"], self.regions_of(score, ends)
        columns: dict[str, Any] = {**score_columns(score, classes), "decision": self.decide(score)}
        if regions is not None:
            columns |= regions.columns(classes if self.schema["task"] == "multiclass" else None)
        return columns

    def score_and_ends(self, rows: Any) -> tuple[Vector, Vector | None]:
        """Return the scores, as `score` does, and where intervals need them `ends`."""
        matrix = self.encoder.apply(self.select(rows))
        needed = self.regions is not None and self.regions.by_quantiles
        return self.score_matrix(matrix), self.ends(matrix) if needed else None

    def regions_of(self, score: Vector, ends: Vector | None) -> Regions | None:
        """Return the interval or set of each row from what `score_and_ends` returns; None where the spec has none."""
        if self.regions is None:
            return None
        return self.regions.regions(class_scores(self.schema["task"], score), ends)
