"""Bias: measures of each group of people, and how far apart the groups are.

Groups under `min_rows` are shown, not judged. Nothing is corrected here: all groups have the same threshold. The
four-fifths rule (EEOC, Uniform Guidelines 1978, § 1607.4 D) compares selection rates: a rate under four fifths of the
greatest one is evidence of adverse impact. It is decided on the interval of the ratio.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.evaluation.bootstrap import Bootstrap
from ray_pipeline.evaluation.groups import groups_of, measure_groups
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.spec import Spec
from ray_pipeline.spec.gate import Reduction
from ray_pipeline.values import Finding, Predictions

FOUR_FIFTHS = 0.8


@dataclass(frozen=True, kw_only=True)
class Bias:
    """A measure in one group, or its gap or ratio over the groups that are judged.

    For a gap or ratio `measure` ends in that word, and `group` names the two groups that are furthest apart, `A to B`.
    """

    measure: str
    group: Mapping[str, str]
    value: float
    low: float
    high: float
    rows: int
    reduction: Reduction | None = None

    @property
    def four_fifths(self) -> str | None:
        """`kept`, `broken`, or `open` (the interval contains 0.8); None unless it is the ratio of selection rates."""
        if self.measure != "selection_rate ratio" or not math.isfinite(self.value):
            return None
        return "broken" if self.high < FOUR_FIFTHS else "kept" if self.low >= FOUR_FIFTHS else "open"

    @property
    def finding(self) -> Finding | None:
        """What is wrong between the groups: the four-fifths rule is broken; else None."""
        if self.four_fifths != "broken":
            return None
        found = (
            f"four-fifths rule broken by {' × '.join(self.group)}: the ratio of selection rates,"
            f" {' × '.join(self.group.values())}, is {self.value:.3f}, at most {self.high:.3f}"
        )
        return Finding(
            check="four_fifths",
            severity="medium",
            column=", ".join(self.group),
            rows=self.rows,
            found=found,
            fix="look for the columns that carry the difference, and gate `selection_rate ratio by COLUMN >= 0.8`",
        )


def audit(predictions: Predictions, spec: Spec) -> tuple[Bias, ...]:
    """Compute every measure of the spec in every group, then its gap and its ratio.

    The intervals of gaps and ratios hold for all pairs of groups at once.

    Parameters
    ----------
    predictions
        The scored test part, with the group columns.
    spec
        Names the measures, the groups and `min_rows`.

    Returns
    -------
    tuple of Bias
        For each slicing into groups and each measure: the groups, then the gap and the ratio.
    """
    measures: list[Metric] = [metric_of(name) for name in spec.bias.measures]
    return tuple(row for slice_ in spec.bias.groups for row in _between_groups(measures, predictions, slice_, spec))


def _between_groups(measures: list[Metric], rows: Predictions, slice_: Slice, spec: Spec) -> Iterator[Bias]:
    confidence, min_rows = spec.evaluate.confidence, spec.bias.min_rows
    groups = groups_of(rows, slice_.columns)
    judged_rows = int(groups.sizes[groups.sizes >= min_rows].sum())
    bounds = linearized_bounds(measures, rows, groups.of, confidence)
    reduced = measure_groups(measures, rows, slice_.columns, Bootstrap.of(spec), min_rows=min_rows)
    for measure, grouped in zip(measures, reduced, strict=True):
        bound = bounds[measure.name]
        for place, names in enumerate(groups.names):
            yield Bias(
                measure=measure.name,
                group=names,
                value=float(bound.value[place]),
                low=float(bound.low[place]),
                high=float(bound.high[place]),
                rows=int(groups.sizes[place]),
            )
        reductions: tuple[Reduction, ...] = ("gap", "ratio") if measure.range[0] >= 0 else ("gap",)
        for reduction in reductions:
            interval = grouped.reduce(reduction, confidence)
            yield Bias(
                measure=f"{measure.name} {reduction}",
                group=grouped.extremes() or dict.fromkeys(slice_.columns, ""),
                value=interval.value,
                low=interval.low,
                high=interval.high,
                rows=judged_rows,
                reduction=reduction,
            )
