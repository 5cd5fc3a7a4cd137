"""Evaluation of the test part: every metric overall, by slice and by bias group, each with its interval.

Overall values have bootstrap intervals, slices have linearized variance; weak slices are searched for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.evaluation.bias import Bias, audit
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.groups import groups_of
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.evaluation.pieces import Pieces, num_clusters, ranges
from ray_pipeline.evaluation.weak_slices import FALSE_DISCOVERY_RATE, WeakSlices, search_weak_slices
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec
from ray_pipeline.values import Measured, Predictions, Vector

MAX_SLICES = 1000
"""How many slices of one slicing are measured, the largest first."""
MIN_CLUSTERS = 20


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results on one part: metrics, slices, bias and weak slices."""

    predictions: Predictions
    measured: tuple[Measured, ...]
    """The overall rows first, then the slices."""
    bias: tuple[Bias, ...]
    clusters: int
    """Independent observations."""
    notes: tuple[str, ...]
    """What the numbers can and cannot show, in words."""
    weak: WeakSlices

    @property
    def overall_metrics(self) -> Mapping[str, Measured]:
        """The metrics on all rows, by their names."""
        return {row.metric: row for row in self.measured if not row.slice}

    @property
    def resolution(self) -> Mapping[str, float]:
        """For each metric, the half-width of its interval: a smaller difference cannot be told from noise."""
        return {name: (row.high - row.low) / 2 for name, row in self.overall_metrics.items()}

    def as_json(self) -> list[dict[str, Any]]:
        """The rows of evaluation.json; numbers that are not finite are None."""
        return [
            {"metric": row.metric, "slice": dict(row.slice), **_interval_json(row), "rows": row.rows}
            for row in self.measured
        ]

    def metrics_as_json(self) -> dict[str, dict[str, Any]]:
        """Value, low and high of each metric on all rows, as `run --json` prints them; `why` one has no value."""
        return {
            name: _interval_json(row) | ({} if math.isfinite(row.value) else {"why": _undefined(self.predictions)})
            for name, row in self.overall_metrics.items()
        }

    def weak_as_json(self) -> dict[str, Any]:
        """The content of weak_slices.json: what was searched, and the slices that are worse than the whole."""
        return {
            "searched": self.weak.searched,
            "columns": list(self.weak.columns),
            "rows": self.weak.rows,
            "false_discoveries": FALSE_DISCOVERY_RATE,
            "found": [{**asdict(one), "slice": dict(one.slice)} for one in self.weak.found],
        }

    def bias_as_json(self) -> list[dict[str, Any]]:
        """The rows of bias.json: groups, then gaps and ratios, by measure."""
        return [
            {"measure": row.measure, "group": dict(row.group), **_interval_json(row), "rows": row.rows}
            | ({"reduction": row.reduction} if row.reduction else {})
            | ({"four_fifths": row.four_fifths} if row.four_fifths else {})
            | ({"finding": asdict(row.finding)} if row.finding else {})
            for row in self.bias
        ]


@stage("evaluate")
def evaluate(predictions: Predictions, spec: Spec) -> Evaluation:
    """Compute every metric of the spec on a part, by slice and by bias group, and search for weak slices.

    Raises
    ------
    DataError
        A score is not a number, or the weights sum to 0.
    """
    _check(predictions)
    options, clusters = spec.evaluate, num_clusters(predictions)
    metrics: list[Metric] = [metric_of(name) for name in options.metrics]
    measured = _overall(metrics, predictions, clusters, spec)
    notes = _resolution_notes(measured, clusters, options.confidence, _undefined(predictions))
    for slice_ in options.slices:
        rows, left_out = _by_slice(metrics, predictions, slice_, options.confidence)
        measured += rows
        if left_out:
            num_values = left_out + MAX_SLICES
            notes.append(f"{slice_.name} has {num_values:,} values; the largest {MAX_SLICES:,} are measured")
    headline: Metric = metric_of(spec.search.metric)
    weak = search_weak_slices(headline, predictions, min_rows=options.min_rows, confidence=options.confidence)
    bias = audit(predictions, spec)
    return Evaluation(
        predictions=predictions,
        measured=tuple(measured),
        bias=bias,
        clusters=clusters,
        notes=(*notes, *_finding_notes(headline, weak, bias)),
        weak=weak,
    )


def finite(number: float) -> float | None:
    """Return the number, or None where it is not finite: JSON has no NaN."""
    return float(number) if math.isfinite(number) else None


def _interval_json(row: Measured | Bias) -> dict[str, float | None]:
    return {"value": finite(row.value), "low": finite(row.low), "high": finite(row.high)}


def _overall(metrics: Sequence[Metric], rows: Predictions, clusters: int, spec: Spec) -> list[Measured]:
    draws, confidence = replicate(metrics, rows, draws=spec.evaluate.draws, seed=spec.seed), spec.evaluate.confidence
    values = [Pieces(rows).value(metric) for metric in metrics]
    return [
        Measured(
            metric=metric.name,
            slice={},
            **vars(percentile(value, draws[metric.name], clusters, confidence)),
            rows=len(rows),
        )
        for metric, value in zip(metrics, values, strict=True)
    ]


def _by_slice(
    metrics: Sequence[Metric], rows: Predictions, slice_: Slice, confidence: float
) -> tuple[list[Measured], int]:
    """Each metric on each slice, and how many slices were left out."""
    groups = groups_of(rows, slice_.columns)
    kept = groups.largest(MAX_SLICES)
    bounds = linearized_bounds(metrics, rows, groups.among(kept), confidence)
    measured = [
        Measured(
            metric=name,
            slice=groups.names[number],
            value=float(bound.value[place]),
            low=float(bound.low[place]),
            high=float(bound.high[place]),
            rows=int(groups.sizes[number]),
        )
        for place, number in enumerate(kept)
        for name, bound in bounds.items()
    ]
    return measured, len(groups.names) - len(kept)


def _finding_notes(headline: Metric, weak: WeakSlices, bias: Sequence[Bias]) -> list[str]:
    weak_note = (
        f"{headline.name} is worse than overall in {len(weak.found)} of {weak.searched:,} slices of one or two columns"
        f" (at most {FALSE_DISCOVERY_RATE:.0%} of them by luck)"
    )
    bias_notes = (row.finding.found for row in bias if row.finding)
    return [*([weak_note] if weak.found else []), *bias_notes]


def _undefined(rows: Predictions) -> str:
    """Why a metric may have no value on these rows."""
    if rows.task == "regression":
        return "it is not defined for these labels and predictions"
    absent = [name for number, name in enumerate(rows.classes or ("0", "1")) if not (rows.label == number).any()]
    return f"no row has the label {listed(absent)}" if absent else "it is not defined for these decisions"


def _resolution_notes(measured: Sequence[Measured], clusters: int, confidence: float, why: str) -> list[str]:
    basis = f"{clusters:,} independent clusters, {confidence:.0%} intervals"
    notes = [
        f"differences in {m.metric} under {(m.high - m.low) / 2:.2g} cannot be told from noise here ({basis})"
        for m in measured
        if math.isfinite(m.high - m.low)
    ]
    notes += [f"{m.metric} is undefined on this part: {why}" for m in measured if not math.isfinite(m.value)]
    if clusters < MIN_CLUSTERS:
        notes.append(f"only {clusters} independent clusters: intervals are rough")
    return notes


def _not_numbers(score: Vector, some: slice) -> NDArray[np.intp]:
    """The places of scores that are not numbers, of a range of rows."""
    finite_scores = np.isfinite(score[some])
    return np.asarray(np.flatnonzero(~(finite_scores if score.ndim == 1 else finite_scores.all(axis=1))) + some.start)


def _check(rows: Predictions) -> None:
    """Raise `DataError` unless there are rows, scores are numbers, and weights are usable."""
    total, problem = len(rows), None
    bad = np.concatenate([np.empty(0, np.intp), *map(partial(_not_numbers, rows.score), ranges(total))])
    num_bad = len(bad)
    if not total:
        problem = Problem(
            stage="evaluate", found="the part has no rows", fix="widen the range of data or the part's share"
        )
    elif num_bad:
        found = f"{num_bad:,} of {total:,} scores are not numbers; keys {listed(rows.key[bad].tolist())}"
        fix = "look at the model's inputs for infinite values"
        problem = Problem(stage="evaluate", rows=num_bad, found=found, fix=fix)
    elif not np.isfinite(rows.weight).all() or (rows.weight < 0).any() or rows.weight.sum() <= 0:
        found = f"the weights of the {total:,} rows sum to {rows.weight.sum():g}, the least is {rows.weight.min():g}"
        problem = Problem(stage="evaluate", rows=total, found=found, fix="weights must be at least 0 and not all 0")
    if problem is not None:
        raise DataError(problem)
