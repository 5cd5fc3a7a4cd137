"""Coefficient of determination."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, Vector, divide


class R2(SumMetric):
    """Share of the label's variance that the prediction explains; undefined where all labels are equal."""

    tasks = ("regression",)
    better = "higher"
    range = (float("-inf"), 1.0)
    centred = True

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One, the label, its square and the squared residual; shape (n, 4)."""
        return np.stack([np.ones(len(label)), label, label**2, (label - score) ** 2], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From the four totals; a variance under 1e-14 of the mean square is rounding, so none."""
        return np.asarray(1 - divide(sums[..., 3], _variation(sums)))

    def gradient(self, sums: Numbers) -> Numbers:
        """In closed form: where the mean is far from 0 the variance is a small difference, which finite steps would
        drown."""
        weight, label, _, residual = (sums[..., j] for j in range(4))
        variation, mean = _variation(sums), divide(label, weight)
        by_variation = divide(residual, variation**2)
        return np.stack(
            [by_variation * mean**2, -2 * by_variation * mean, by_variation, -divide(1.0, variation)], axis=-1
        )


def _variation(sums: Numbers) -> Numbers:
    weight, label, square = (sums[..., j] for j in range(3))
    variation = square - divide(label**2, weight)
    return np.where(variation > 1e-14 * square, variation, 0.0)
