"""Isotonic calibration: the nondecreasing step function of the least squared error, joined by straight lines."""

from typing import ClassVar, Self

import numpy as np

from ray_pipeline.components.calibrators._base import Calibrator, Scores

Knots = tuple[tuple[float, ...], ...]


class Isotonic(Calibrator):
    """Knots of each class (one list for binary); multiclass is one against the rest, then scaled to sum 1."""

    candidate: ClassVar[bool] = True

    score: Knots
    probability: Knots

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """See `Calibrator`; squared error and log loss have the same isotonic solution."""
        if score.ndim == 1:
            curves = [_pool((label == 1).astype(np.float64), score, weight)]
        else:
            curves = [_pool((label == c).astype(np.float64), score[:, c], weight) for c in range(score.shape[1])]
        return cls(score=tuple(x for x, _ in curves), probability=tuple(y for _, y in curves))

    def apply(self, score: Scores) -> Scores:
        """See `Calibrator`; scores beyond the fitted range take its ends."""
        if score.ndim == 1:
            return np.interp(score, self.score[0], self.probability[0])
        raised = np.stack(
            [np.interp(score[:, c], x, y) for c, (x, y) in enumerate(zip(self.score, self.probability, strict=True))],
            axis=1,
        )
        total = raised.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, raised / np.where(total > 0, total, 1.0), 1.0 / score.shape[1]))


def _pool(label: Scores, score: Scores, weight: Scores) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ends of each level and its height, by pooling adjacent violators (Ayer et al., 1955)."""
    kept = weight > 0
    scores, place = np.unique(score[kept], return_inverse=True)
    weights = np.bincount(place, weight[kept], len(scores))
    means = np.bincount(place, weight[kept] * label[kept], len(scores)) / weights
    levels: list[tuple[float, float, int]] = []  # mean, weight, first place
    for first, (mean, total) in enumerate(zip(means.tolist(), weights.tolist(), strict=True)):
        while levels and levels[-1][0] >= mean:
            earlier, its_weight, first = levels.pop()
            mean = (earlier * its_weight + mean * total) / (its_weight + total)
            total += its_weight
        levels.append((mean, total, first))
    knots: dict[float, float] = {}
    ends = [first for _, _, first in levels[1:]] + [len(scores)]
    for (mean, _, first), end in zip(levels, ends, strict=True):
        knots[float(scores[first])] = mean
        knots[float(scores[end - 1])] = mean
    return tuple(knots), tuple(knots.values())
