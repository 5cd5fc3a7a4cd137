"""Bias: what each group of people gets, side by side, and how far apart the groups are. Groups under `min_rows` are
shown, not judged.

Nothing is mended here: one threshold serves all groups. The four-fifths rule (EEOC, Uniform Guidelines 1978, § 1607.4
D) is held against the
ratio of selection rates, on its interval: a rate under four fifths of the greatest is evidence of adverse impact.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.evaluation.groups import groups_of, measure_groups
from ray_pipeline.evaluation.linearized_variance import linearise
from ray_pipeline.spec import Spec
from ray_pipeline.spec.gate import Reduction
from ray_pipeline.values import Predictions

FOUR_FIFTHS = 0.8


@dataclass(frozen=True)
class Bias:
    """A measure in one group, or its gap or ratio over the groups that are judged.

    For a gap or ratio `measure` ends in that word and `group` names the two groups furthest apart, `A to B`.
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
        """Whether the rule is `kept`, `broken`, or `open` since the interval holds 0.8; None of all but the ratio of
        selection rates."""
        if self.measure != "selection_rate ratio" or not math.isfinite(self.value):
            return None
        return "broken" if self.high < FOUR_FIFTHS else "kept" if self.low >= FOUR_FIFTHS else "open"


def audit(test: Predictions, threshold: float | None, spec: Spec) -> tuple[Bias, ...]:
    """Every measure of the spec in every group, then its gap and its ratio; intervals of those hold for all pairs of
    groups at once."""
    asked, confidence = spec.bias, spec.evaluate.confidence
    measures = [metric_of(word) for word in asked.measures]
    found = []
    for one in asked.groups:
        columns = Slice.parse(one).columns
        groups = groups_of(test, columns)
        judged = int(groups.sizes[groups.sizes >= asked.min_rows].sum())
        bounds = linearise(measures, test, groups.of, threshold, confidence)
        reduced = measure_groups(
            measures,
            test,
            columns,
            threshold,
            min_rows=asked.min_rows,
            draws=spec.evaluate.draws,
            seed=spec.seed,
            confidence=confidence,
        )
        for measure, grouped in zip(measures, reduced, strict=True):
            of_groups = bounds[measure.name]
            for names, value, low, high, rows in zip(
                groups.names, of_groups.value, of_groups.low, of_groups.high, groups.sizes, strict=True
            ):
                found.append(Bias(measure.name, names, float(value), float(low), float(high), int(rows)))
            reductions: tuple[Reduction, ...] = ("gap", "ratio") if measure.range[0] >= 0 else ("gap",)
            pair = grouped.extremes() or dict.fromkeys(columns, "")
            for reduction in reductions:
                seen = grouped.reduce(reduction, confidence)
                found.append(
                    Bias(f"{measure.name} {reduction}", pair, seen.value, seen.low, seen.high, judged, reduction)
                )
    return tuple(found)
