"""Which columns the model lives by: what its score loses on test rows when a column is shuffled among them, and for trees Shapley values.

Permutation importance (Breiman, 2001; Fisher, Rudin & Dominici, 2019): all matrix columns made of one table column are shuffled together. The interval comes
from the paired bootstrap of the loss. Columns that say the same share their importance: a small value does not mean that a column is useless.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ray_pipeline import blocks
from ray_pipeline.bundle import Bundle
from ray_pipeline.choice import find
from ray_pipeline.spec import Spec
from ray_pipeline.stages.bootstrap import num_clusters, replicate
from ray_pipeline.stages.encode import Encoded
from ray_pipeline.stages.evaluate import finite
from ray_pipeline.stages.groups import take
from ray_pipeline.stages.intervals import percentile
from ray_pipeline.values import Matrix, Predictions

DRAWS = 200


@dataclass(frozen=True)
class Importance:
    """By how much the search metric worsens without the column, with its interval; `shap` is the mean absolute Shapley value, where the family has any."""

    column: str
    value: float
    low: float
    high: float
    shap: float | None


@dataclass(frozen=True)
class Explanation:
    """The columns, the most important first."""

    metric: str
    rows: int
    importance: tuple[Importance, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of explain.json."""
        method = f"What {self.metric} loses when a column's values are shuffled among the rows"
        rows = [
            {"column": one.column, "value": finite(one.value), "low": finite(one.low), "high": finite(one.high)} | ({} if one.shap is None else {"shap": one.shap})
            for one in self.importance
        ]
        return {"method": method, "rows": self.rows, "importance": rows}


def explain(bundle: Bundle, encoded: Encoded, test: Predictions, threshold: float | None, spec: Spec) -> Explanation | None:
    """The explanation on `explain.rows` test rows drawn by the seed; None where the spec asks for none."""
    if not spec.explain.rows:
        return None
    drawn = np.random.default_rng(spec.seed)
    some = np.sort(drawn.permutation(len(test))[: spec.explain.rows])
    family = find("models", str(bundle.model["family"]))
    matrix = _rows(encoded, family.needs, some)
    return importance_of(bundle, matrix, take(test, some), threshold, spec, family.contributions(bundle.folder, matrix), drawn)


def importance_of(
    bundle: Bundle, matrix: Matrix, rows: Predictions, threshold: float | None, spec: Spec, contributions: Matrix | None, drawn: np.random.Generator
) -> Explanation:
    """The importance of each table column on these rows, whose encoded form is `matrix` (n, columns); `contributions` (n, columns) are Shapley values."""
    metric = find("metrics", spec.search.metric)()
    sign = 1.0 if metric.better == "higher" else -1.0
    cut, clusters, draws = 0.5 if threshold is None else threshold, num_clusters(rows), min(DRAWS, spec.evaluate.draws)
    whole = metric(rows.label, rows.score, rows.weight, cut)
    whole_drawn = replicate([metric], rows, threshold, draws=draws, seed=spec.seed)[metric.word]
    found, at = [], 0
    for encoding in bundle.encoder.encoded:
        its = slice(at, at + len(encoding.columns))
        at = its.stop
        shuffled = matrix.copy()
        shuffled[:, its] = matrix[drawn.permutation(len(matrix)), its]
        without = replace(rows, score=bundle.score_matrix(shuffled))
        lost = sign * (whole - metric(without.label, without.score, without.weight, cut))
        lost_drawn = sign * (whole_drawn - replicate([metric], without, threshold, draws=draws, seed=spec.seed)[metric.word])
        interval = percentile(lost, lost_drawn, clusters, spec.evaluate.confidence)
        shap = None if contributions is None else float(np.abs(contributions[:, its].sum(1)).mean())
        found.append(Importance(encoding.name, interval.value, interval.low, interval.high, shap))
    found.sort(key=lambda one: (-one.value, one.column))
    return Explanation(metric.word, len(rows), tuple(found))


def _rows(encoded: Encoded, needs: str, places: np.ndarray) -> Matrix:
    """Those rows of the test part, by their place in it."""
    found, first = [], 0
    for view in blocks.views(encoded.fetch(), needs, "test"):
        here = places[(places >= first) & (places < first + len(view.matrix))]
        found.append(view.matrix[here - first])
        first += len(view.matrix)
    return np.concatenate(found)
