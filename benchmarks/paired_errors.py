"""The error of each system's predictions of the same test rows, and paired intervals of the differences."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import t
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

DRAWS, LEVELS = 1_000, (0.95, 0.997)
Weighted = Callable[[np.ndarray], float]
"""The error of weighted test rows. A thousand calls take seconds; scikit-learn's functions would take half a minute."""


def metric_value(metric: str, label: np.ndarray, score: np.ndarray) -> float:
    """Return `auc`, `log_loss` or `rmse` by scikit-learn; classes are in the sorted order of their names."""
    if metric == "auc":
        return float(roc_auc_score(label, score))
    if metric == "rmse":
        return float(np.sqrt(mean_squared_error(label, score)))
    score = score / score.sum(axis=1, keepdims=True)
    return float(log_loss(label, score, labels=np.arange(score.shape[1])))


def error_of(metric: str, value: float) -> float:
    """Return what a system has to make small: 1 - AUC, or the metric itself."""
    return 1 - value if metric == "auc" else value


def _rmse(label: np.ndarray, score: np.ndarray) -> Weighted:
    squared = (label - score) ** 2
    return lambda weight: float(np.sqrt(weight @ squared / weight.sum()))


def _log_loss(label: np.ndarray, score: np.ndarray) -> Weighted:
    share = score[np.arange(len(label)), label] / score.sum(axis=1)
    loss = -np.log(np.clip(share, np.finfo(float).eps, 1))
    return lambda weight: float(weight @ loss / weight.sum())


def _one_minus_auc(label: np.ndarray, score: np.ndarray) -> Weighted:
    order = np.argsort(score, kind="stable")
    label = label[order]
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)  # rows of one score are ties

    def error(weight: np.ndarray) -> float:
        weight = weight[order]
        positive, negative = (np.add.reduceat(weight * some, starts) for some in (label, 1 - label))
        lost = positive @ (negative.sum() - np.cumsum(negative) + negative / 2)
        return float(lost / (positive.sum() * negative.sum()))

    return error


WEIGHTED: dict[str, Callable[[np.ndarray, np.ndarray], Weighted]] = {
    "rmse": _rmse,
    "log_loss": _log_loss,
    "auc": _one_minus_auc,
}


class Resampled:
    """The errors of systems on bootstrap draws of the test rows, the same draws for all of them."""

    def __init__(self, metric: str, label: np.ndarray, units: np.ndarray | None, seed: int = 0) -> None:
        """`units` are the groups that are drawn; without them rows are."""
        self.metric, self.label = metric, label
        _, unit = np.unique(np.arange(len(label)) if units is None else units, return_inverse=True)
        self.num_units = int(unit.max()) + 1
        share, rng = np.full(self.num_units, 1 / self.num_units), np.random.default_rng(seed)
        self.weights = [rng.multinomial(self.num_units, share)[unit].astype(float) for _ in range(DRAWS)]

    def errors(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Return the error on each draw, shape (DRAWS,): the mean over the scores of several seeds."""
        return np.mean([self._errors(one) for one in scores], axis=0)

    def _errors(self, score: np.ndarray) -> np.ndarray:
        weighted = WEIGHTED[self.metric](self.label, score)
        value = error_of(self.metric, metric_value(self.metric, self.label, score))
        assert np.isclose(weighted(np.ones(len(self.label))), value), f"{self.metric} differs from scikit-learn's"
        return np.array([weighted(weight) for weight in self.weights])

    def interval(self, difference: float, draws: np.ndarray) -> dict[str, float | list[float]]:
        """Return the intervals around a difference of errors: the bootstrap's standard error times t's quantiles."""
        error = float(draws.std(ddof=1)) * np.sqrt(self.num_units / max(self.num_units - 1, 1))
        found: dict[str, float | list[float]] = {"value": rounded(difference)}
        for level in LEVELS:
            half = float(t.ppf(0.5 + level / 2, self.num_units - 1)) * error
            found[f"{100 * level:g} %"] = [rounded(difference - half), rounded(difference + half)]
        return found


def improvability(errors: Mapping[str, float], among: Sequence[str]) -> dict[str, float]:
    """Return (error - best) / best of each system; the best is among those that are named.

    >>> improvability({"a": 2.0, "b": 1.0}, ["a", "b"])
    {'a': 1.0, 'b': 0.0}
    """
    best = min(errors[name] for name in among)
    return {name: rounded((error - best) / best) for name, error in errors.items()}


def rounded(value: float) -> float:
    """Return five significant digits."""
    return float(f"{value:.5g}")
