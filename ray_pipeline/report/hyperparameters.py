"""Importance of hyperparameters: the share of a forest's variance over the trials that each explains by itself.

It is the main effect of fANOVA (Hutter, Hoos & Leyton-Brown, 2014), over the hyperparameters that were tried.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_TRIALS = 10
TREES = 64
WIDE = 10.0
"""From this ratio of the largest to the smallest value, a positive hyperparameter counts by its logarithm."""
MAX_POINTS = 16


def importances(params: Sequence[Mapping[str, object]], metric: Sequence[float]) -> dict[str, float]:
    """Return the share of each hyperparameter that varies, the largest first.

    Parameters
    ----------
    params
        The hyperparameters of each trial of one family.
    metric
        What each of them reached; finite.

    Returns
    -------
    dict
        Shares of the forest's variance. Their sum is at most 1; the rest is interaction. Empty with fewer than
        `MIN_TRIALS` trials, or if all reached the same.
    """
    names = sorted({name for one in params for name in one})
    columns = {name: _column([one.get(name) for one in params]) for name in names}
    varied = [name for name in names if len(np.unique(columns[name])) > 1]
    reached = np.asarray(metric, np.float64)
    if len(params) < MIN_TRIALS or not varied or not reached.std():
        return {}
    from sklearn.ensemble import RandomForestRegressor

    rows = np.stack([columns[name] for name in varied], axis=1)
    forest = RandomForestRegressor(TREES, random_state=0, min_samples_leaf=2).fit(rows, reached)
    whole = float(np.var(forest.predict(rows)))
    if not whole:
        return {}
    shares = {name: _main_effect(forest, rows, place) / whole for place, name in enumerate(varied)}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _main_effect(forest: object, rows: NDArray[np.float64], place: int) -> float:
    """Variance of the forest's mean prediction where only this column varies, over the values that were tried."""
    values = np.quantile(rows[:, place], np.linspace(0, 1, min(MAX_POINTS, len(rows))), method="nearest")
    fixed = np.repeat(rows[None], len(values), axis=0)  # (values, rows, columns)
    fixed[:, :, place] = values[:, None]
    predicted = forest.predict(fixed.reshape(-1, rows.shape[1]))  # type: ignore[attr-defined]  # scikit-learn is untyped
    return float(np.var(predicted.reshape(len(values), -1).mean(axis=1)))


def _column(values: Sequence[object]) -> NDArray[np.float64]:
    """Numbers as they are or by their logarithm, anything else by its place among the sorted texts."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = np.asarray(values, np.float64)
        if np.isfinite(numbers).all():
            wide = numbers.min() > 0 and numbers.max() / numbers.min() >= WIDE
            return np.log(numbers) if wide else numbers
    texts = [str(value) for value in values]
    places = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.asarray([places[text] for text in texts], np.float64)
