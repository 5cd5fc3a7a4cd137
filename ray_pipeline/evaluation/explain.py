"""Which columns the model lives by, over all and within slices: what its score loses on test rows when a column is
shuffled among them, and for trees Shapley values.

Permutation importance (Breiman, 2001; Fisher, Rudin & Dominici, 2019): all matrix columns made of one table column are
shuffled together. The interval comes
from the paired bootstrap of the loss. Columns that say the same share their importance: a small value does not mean
that a column is useless.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import encoded_block as blocks
from ray_pipeline.bundle import Bundle
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import num_clusters, replicate
from ray_pipeline.evaluation.evaluate import finite
from ray_pipeline.evaluation.groups import groups_of, take
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.spec import Spec
from ray_pipeline.values import Matrix, Predictions

DRAWS = 200
MAX_GROUPS = 20
"""Of one slicing; the largest are explained."""


@dataclass(frozen=True)
class Importance:
    """By how much the search metric worsens without the column, with its interval; `shap` is the mean absolute Shapley
    value, where the family has any."""

    column: str
    value: float
    low: float
    high: float
    shap: float | None


@dataclass(frozen=True)
class Explanation:
    """The columns, the most important first, on `rows` rows of the whole part or of one `group` of a slice."""

    metric: str
    rows: int
    importance: tuple[Importance, ...]
    group: Mapping[str, str] = field(default_factory=dict)
    within: "tuple[Explanation, ...]" = ()
    """The explanations of the groups."""

    def as_json(self) -> dict[str, Any]:
        """The object of explain.json."""
        method = f"What {self.metric} loses when a column's values are shuffled among the rows"
        return {
            "method": method,
            **self._told(),
            "slices": [{"slice": dict(one.group), **one._told()} for one in self.within],
        }

    def _told(self) -> dict[str, Any]:
        told = [
            {"column": one.column, "value": finite(one.value), "low": finite(one.low), "high": finite(one.high)}
            | ({} if one.shap is None else {"shap": one.shap})
            for one in self.importance
        ]
        return {"rows": self.rows, "importance": told}


def explain(
    bundle: Bundle, encoded: Encoded, test: Predictions, threshold: float | None, spec: Spec
) -> Explanation | None:
    """The explanation on `explain.rows` test rows drawn by the seed, and on as many of each group of `explain.slices`;
    None where the spec asks for none.

    A group must have `evaluate.min_rows` test rows.
    """
    if not spec.explain.rows:
        return None
    drawn = np.random.default_rng(spec.seed)
    family = find("models", str(bundle.model["family"]))

    def on(places: NDArray[np.intp]) -> Explanation:
        some = np.sort(drawn.permutation(places)[: spec.explain.rows])
        matrix = _rows(encoded, family.encoder, some)
        return importance_of(
            bundle, matrix, take(test, some), threshold, spec, family.contributions(bundle.folder, matrix), drawn
        )

    overall, within = on(np.arange(len(test))), []
    for one in spec.explain.slices:
        groups = groups_of(test, one.columns)
        for number in groups.largest(MAX_GROUPS, spec.evaluate.min_rows):
            within.append(replace(on(np.flatnonzero(groups.of == number)), group=groups.names[number]))
    return replace(overall, within=tuple(within))


def importance_of(
    bundle: Bundle,
    matrix: Matrix,
    rows: Predictions,
    threshold: float | None,
    spec: Spec,
    contributions: Matrix | None,
    drawn: np.random.Generator,
) -> Explanation:
    """The importance of each table column on these rows, whose encoded form is `matrix` (n, columns); `contributions`
    (n, columns) are Shapley values."""
    metric = metric_of(spec.search.metric)
    sign = 1.0 if metric.better == "higher" else -1.0
    cut, clusters, draws = 0.5 if threshold is None else threshold, num_clusters(rows), min(DRAWS, spec.evaluate.draws)
    whole = metric(rows.label, rows.score, rows.weight, cut)
    whole_drawn = replicate([metric], rows, threshold, draws=draws, seed=spec.seed)[metric.name]
    found, at = [], 0
    for encoding in bundle.encoder.encoded:
        its = slice(at, at + len(encoding.columns))
        at = its.stop
        shuffled = matrix.copy()
        shuffled[:, its] = matrix[drawn.permutation(len(matrix)), its]
        without = replace(rows, score=bundle.score_matrix(shuffled))
        lost = sign * (whole - metric(without.label, without.score, without.weight, cut))
        lost_drawn = sign * (
            whole_drawn - replicate([metric], without, threshold, draws=draws, seed=spec.seed)[metric.name]
        )
        interval = percentile(lost, lost_drawn, clusters, spec.evaluate.confidence)
        shap = None if contributions is None else float(np.abs(contributions[:, its].sum(1)).mean())
        found.append(Importance(encoding.name, interval.value, interval.low, interval.high, shap))
    found.sort(key=lambda one: (-np.nan_to_num(one.value, nan=-np.inf), one.column))
    return Explanation(metric.name, len(rows), tuple(found))


def _rows(encoded: Encoded, needs: str, places: NDArray[np.intp]) -> Matrix:
    """Those rows of the test part, by their place in it."""
    found, first = [], 0
    for view in blocks.views(encoded.fetch(), needs, "test"):
        here = places[(places >= first) & (places < first + len(view.matrix))]
        found.append(view.matrix[here - first])
        first += len(view.matrix)
    return np.concatenate(found)
