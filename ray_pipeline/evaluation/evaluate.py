"""What the model does on the test part: every metric overall and by slice, and by bias group, each with its interval.

Overall values by the bootstrap, slices by linearised variance, weak slices searched for; `stages/judge.py` decides on
them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.evaluation.bias import Bias, audit
from ray_pipeline.evaluation.bootstrap import num_clusters, replicate
from ray_pipeline.evaluation.groups import groups_of, take
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.linearized_variance import linearise
from ray_pipeline.evaluation.weak_slices import FALSE, WeakSlices, search_weak_slices
from ray_pipeline.spec import Spec
from ray_pipeline.values import Measured, Predictions

MAX_SLICES = 1000  # of one slicing: the largest are measured
MIN_CLUSTERS = 20


@dataclass(frozen=True)
class Evaluation:
    """Everything measured on one part.

    `measured` has the overall rows first, then slices; `resolution` is, for each metric, the half-width of its
    interval: a smaller
    difference cannot be told from noise here; `notes` say so in words, and what else a reader must know.
    """

    measured: tuple[Measured, ...]
    bias: tuple[Bias, ...]
    rows: int
    clusters: int
    resolution: Mapping[str, float]
    notes: tuple[str, ...]
    weak: WeakSlices

    def overall(self, metric: str) -> Measured | None:
        """The metric on all rows, where it was asked for."""
        return next((row for row in self.measured if row.metric == metric and not row.slice), None)

    def as_json(self) -> list[dict[str, Any]]:
        """The rows of evaluation.json; numbers that are not finite are None."""
        return [
            {
                "metric": m.metric,
                "slice": dict(m.slice),
                "value": finite(m.value),
                "low": finite(m.low),
                "high": finite(m.high),
                "rows": m.rows,
            }
            for m in self.measured
        ]

    def weak_as_json(self) -> dict[str, Any]:
        """The content of weak_slices.json: what was searched, and the slices that are worse than the whole."""
        found = [{**asdict(one), "slice": dict(one.slice)} for one in self.weak.found]
        return {
            "searched": self.weak.searched,
            "columns": list(self.weak.columns),
            "rows": self.weak.rows,
            "false_discoveries": FALSE,
            "found": found,
        }

    def bias_as_json(self) -> list[dict[str, Any]]:
        """The rows of bias.json: groups, then gaps and ratios, by measure."""
        return [
            {
                "measure": b.measure,
                "group": dict(b.group),
                "value": finite(b.value),
                "low": finite(b.low),
                "high": finite(b.high),
                "rows": b.rows,
            }
            | ({"reduction": b.reduction} if b.reduction else {})
            | ({"four_fifths": b.four_fifths} if b.four_fifths else {})
            for b in self.bias
        ]


def evaluate(test: Predictions, threshold: float | None, spec: Spec) -> Evaluation:
    """Every metric of the spec on the given part, by slice and by bias group.

    Raises:
        DataError: a score is not a number, or the weights sum to 0.
    """
    _check(test)
    asked = spec.evaluate
    metrics = [metric_of(word) for word in asked.metrics]
    draws = replicate(metrics, test, threshold, draws=asked.draws, seed=spec.seed)
    clusters = num_clusters(test)
    measured = []
    for metric in metrics:
        value = metric(test.label, test.score, test.weight, 0.5 if threshold is None else threshold)
        found = percentile(value, draws[metric.name], clusters, asked.confidence)
        measured.append(Measured(metric.name, {}, found.value, found.low, found.high, len(test)))
    resolution = {m.metric: (m.high - m.low) / 2 for m in measured}
    notes = [*_notes(measured, clusters, asked.confidence)]
    for one in asked.slices:
        sliced, left_out = _by_slice(metrics, test, threshold, Slice.parse(one), asked.confidence)
        measured += sliced
        if left_out:
            notes.append(
                f"{Slice.parse(one).name} has {left_out + MAX_SLICES:,} values; the largest {MAX_SLICES:,} are measured"
            )
    headline = metric_of(spec.search.metric)
    weak = search_weak_slices(headline, test, threshold, min_rows=asked.min_rows, confidence=asked.confidence)
    if weak.found:
        notes.append(
            f"{headline.name} is worse than overall in {len(weak.found)} of {weak.searched:,} slices of one or two"
            f" columns (at most {FALSE:.0%} of them by luck)"
        )
    bias = audit(test, threshold, spec)
    for row in bias:
        if row.four_fifths == "broken":
            apart = " × ".join(row.group.values())
            notes.append(
                f"four-fifths rule broken by {' × '.join(row.group)}: the ratio of selection rates, {apart}, is"
                f" {row.value:.3f}, at most {row.high:.3f}"
            )
    return Evaluation(tuple(measured), bias, len(test), clusters, resolution, tuple(notes), weak)


def finite(number: float) -> float | None:
    """The number, or None where it is not finite: JSON has no NaN."""
    return float(number) if math.isfinite(number) else None


def _by_slice(
    metrics: Sequence[Metric], test: Predictions, threshold: float | None, one: Slice, confidence: float
) -> tuple[list[Measured], int]:
    groups = groups_of(test, one.columns)
    kept = groups.largest(MAX_SLICES)
    if len(kept) < len(groups.names):
        inside = np.isin(groups.of, kept)
        test, of = take(test, inside), np.searchsorted(kept, groups.of[inside])
    else:
        of = groups.of
    bounds = linearise(metrics, test, of, threshold, confidence)
    measured = [
        Measured(
            word,
            groups.names[number],
            float(found.value[place]),
            float(found.low[place]),
            float(found.high[place]),
            int(groups.sizes[number]),
        )
        for place, number in enumerate(kept)
        for word, found in bounds.items()
    ]
    return measured, len(groups.names) - len(kept)


def _notes(measured: Sequence[Measured], clusters: int, confidence: float) -> list[str]:
    basis = f"{clusters:,} independent clusters, {confidence:.0%} intervals"
    notes = [
        f"differences in {m.metric} under {(m.high - m.low) / 2:.2g} cannot be told from noise here ({basis})"
        for m in measured
        if math.isfinite(m.high - m.low)
    ]
    notes += [f"{m.metric} is undefined on this part" for m in measured if not math.isfinite(m.value)]
    if clusters < MIN_CLUSTERS:
        notes.append(f"only {clusters} independent clusters: intervals are rough")
    return notes


def _check(rows: Predictions) -> None:
    bad = ~np.isfinite(rows.score if rows.score.ndim == 1 else rows.score.sum(axis=1))
    if not len(rows):
        raise DataError(
            Problem(stage="evaluate", found="the part has no rows", fix="widen the range of data or the part's share")
        )
    if bad.any():
        keys = listed(rows.key[bad].tolist())
        found, fix = (
            f"{int(bad.sum()):,} of {len(rows):,} scores are not numbers; keys {keys}",
            "look at the model's inputs for infinite values",
        )
        raise DataError(Problem(stage="evaluate", rows=int(bad.sum()), found=found, fix=fix))
    if not np.isfinite(rows.weight).all() or (rows.weight < 0).any() or rows.weight.sum() <= 0:
        found = (
            f"the weights of the {len(rows):,} rows sum to {rows.weight.sum():g}, the least is {rows.weight.min():g}"
        )
        raise DataError(
            Problem(stage="evaluate", rows=len(rows), found=found, fix="weights must be at least 0 and not all 0")
        )
