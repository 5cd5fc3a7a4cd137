"""The rows by group: which belong together, what each metric is in each group, and the one number that a gap, a ratio or the worst makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.metrics._base import HALF, Metric, Numbers, ShareMetric
from ray_pipeline.spec.gate import Reduction
from ray_pipeline.stages.bootstrap import num_clusters, replicate
from ray_pipeline.stages.intervals import NAN, Interval, largest_gap, linearised, reach, simultaneous
from ray_pipeline.values import Predictions, Vector


@dataclass(frozen=True)
class Grouped:
    """One metric on the groups that are large enough to be judged, G of them, with D draws.

    `names` and `values` (G,); `draws` (D, G); `floor` (G,) the least standard error of a share whose draws do not vary;
    `clusters`: independent observations in all of them.
    """

    metric: Metric
    names: tuple[Mapping[str, str], ...]
    values: Vector
    draws: Numbers
    floor: Vector
    clusters: int

    def reduce(self, reduction: Reduction, confidence: float) -> Interval:
        """Largest gap, ratio of least to greatest, or worst value, with an interval that allows for having looked at every group."""
        if not len(self.values) or not np.isfinite(self.values).all() or (len(self.values) < 2 and reduction != "worst"):
            return Interval(NAN, NAN, NAN)
        if reduction == "gap":
            return largest_gap(self.values, self.draws, self.floor, self.clusters, confidence)
        if reduction == "ratio":
            return self._ratio(confidence)
        half = simultaneous(self.values, self.draws, self.floor, self.clusters, confidence)
        low, high = self.metric.range
        bounds = [np.clip(bound, low, high) for bound in (self.values, self.values - half, self.values + half)]
        return Interval(*(float(bound.min() if self.metric.better == "higher" else bound.max()) for bound in bounds))

    def reduced_draws(self, reduction: Reduction) -> Vector:
        """The same number in each draw, shape (D,); it compares two models on paired draws."""
        if reduction == "gap":
            return np.asarray(self.draws.max(axis=1) - self.draws.min(axis=1))
        if reduction == "ratio":
            return _least_by_greatest(self.draws)
        return np.asarray(self.draws.min(axis=1) if self.metric.better == "higher" else self.draws.max(axis=1))

    def extremes(self) -> dict[str, str]:
        """The groups with the least and the greatest value, as `A to B` for each column; empty where there are not two."""
        if len(self.values) < 2 or not np.isfinite(self.values).all():
            return {}
        least, greatest = self.names[int(self.values.argmin())], self.names[int(self.values.argmax())]
        return {column: f"{least[column]} to {greatest[column]}" for column in least}

    def _ratio(self, confidence: float) -> Interval:
        value = float(_least_by_greatest(self.values[None, :])[0])
        if (self.values > 0).all():
            logs = np.log(np.where(self.draws > 0, self.draws, NAN))
            gap = largest_gap(np.log(self.values), logs, self.floor / self.values, self.clusters, confidence)
            if np.isfinite(gap.high):
                return Interval(value, float(np.exp(-gap.high)), float(np.exp(-gap.low)))
        if (self.values < 0).any() or not np.isfinite(value):
            return Interval(NAN, NAN, NAN)
        # A rate of 0, or often 0: no logarithm; the ratio may be 0 and is at most that of the nearest bounds.
        half = simultaneous(self.values, self.draws, self.floor, self.clusters, confidence)
        least, greatest = float((self.values + half).min()), float((self.values - half).max())
        return Interval(value, 0.0, min(1.0, least / greatest) if greatest > 0 else 1.0) if np.isfinite(least) else Interval(value, NAN, NAN)


def groups_of(rows: Predictions, columns: Sequence[str]) -> list[tuple[Mapping[str, str], NDArray[np.intp]]]:
    """The rows of each combination of values that occurs, as (names, positions), sorted by name."""
    code = np.zeros(len(rows), np.int64)
    values: list[list[str]] = []
    for column in columns:
        coded = pa.array(rows.columns[column], pa.string()).dictionary_encode()
        values.append(coded.dictionary.to_pylist())
        code = code * len(values[-1]) + coded.indices.to_numpy()
    order = np.argsort(code, kind="stable")
    distinct, first = np.unique(code[order], return_index=True)
    found = []
    for one, positions in zip(distinct, np.split(order, first[1:]), strict=True):
        names = []
        for known in reversed(values):
            one, place = divmod(one, len(known))
            names.append(known[place])
        found.append((dict(zip(columns, reversed(names), strict=True)), positions))
    return sorted(found, key=lambda group: tuple(group[0].values()))


def measure_groups(
    metrics: Sequence[Metric], rows: Predictions, columns: Sequence[str], threshold: float | None, *, min_rows: int, draws: int, seed: int, confidence: float
) -> list[Grouped]:
    """Each metric on every group of at least `min_rows` rows."""
    groups = [(names, take(rows, positions)) for names, positions in groups_of(rows, columns) if len(positions) >= min_rows]
    drawn = [replicate(metrics, group, threshold, draws=draws, seed=seed) for _, group in groups]
    clusters = len(np.unique(np.concatenate([group.cluster for _, group in groups]))) if groups else 0
    cut = HALF if threshold is None else threshold
    found = []
    for metric in metrics:
        values = np.array([metric(group.label, group.score, group.weight, cut) for _, group in groups])
        floor = np.array([_least_error(metric, group, threshold, confidence) for _, group in groups])
        table = np.stack([one[metric.word] for one in drawn], axis=1) if drawn else np.empty((draws, 0))
        found.append(Grouped(metric, tuple(names for names, _ in groups), values, table, floor, clusters))
    return found


def take(rows: Predictions, which: NDArray[np.bool_] | NDArray[np.intp]) -> Predictions:
    """Some of the rows, by mask or position."""
    columns: Mapping[str, NDArray[Any]] = {name: names[which] for name, names in rows.columns.items()}
    return Predictions(rows.task, rows.classes, rows.key[which], rows.label[which], rows.score[which], rows.weight[which], rows.cluster[which], columns)


def _least_error(metric: Metric, rows: Predictions, threshold: float | None, confidence: float) -> float:
    if not isinstance(metric, ShareMetric):
        return 0.0
    found = linearised(metric, rows, threshold, confidence)
    return (found.high - found.low) / 2 / reach(max(num_clusters(rows), 2), confidence)


def _least_by_greatest(values: Numbers) -> Vector:
    least, greatest = values.min(axis=1), values.max(axis=1)
    return np.asarray(np.divide(least, greatest, out=np.full(len(values), NAN), where=(greatest > 0) & (least >= 0)))
