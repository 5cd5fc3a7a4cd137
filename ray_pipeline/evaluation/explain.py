"""Which columns the model relies on: the loss of its metric when a column is shuffled, and Shapley values for trees.

Permutation importance (Breiman, 2001; Fisher, Rudin & Dominici, 2019): all matrix columns made of one table column are
shuffled together. The interval comes from the paired bootstrap of the loss. Columns that carry the same information
share their importance: a small value does not mean that a column is useless.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.evaluate import finite
from ray_pipeline.evaluation.groups import groups_of
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.pieces import Pieces, num_clusters
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.spec import Spec
from ray_pipeline.values import Matrix, Predictions

if TYPE_CHECKING:
    from ray_pipeline.tuning.refit import TrainedModel

DRAWS = 200
MAX_GROUPS = 20
"""How many groups of one slicing are explained, the largest first."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """By how much the search metric worsens without a column, with its interval."""

    column: str
    value: float
    low: float
    high: float
    shap: float | None
    """The mean absolute Shapley value; None where the family has none."""

    def as_json(self) -> dict[str, Any]:
        """One object of `importance` in explain.json."""
        numbers = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        return {"column": self.column, **numbers} | ({} if self.shap is None else {"shap": self.shap})


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The columns, the most important first, on some rows of the whole part or of one `group` of a slice."""

    metric: str
    rows: int
    importance: tuple[Importance, ...]
    group: Mapping[str, str] = field(default_factory=dict)
    within: "tuple[Explanation, ...]" = ()
    """The explanations of the groups."""

    def as_json(self) -> dict[str, Any]:
        """The object of explain.json."""
        method = f"What {self.metric} loses when a column's values are shuffled among the rows"
        slices = [{"slice": dict(one.group), **one._importance_json()} for one in self.within]
        return {"method": method, **self._importance_json(), "slices": slices}

    def _importance_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "importance": [one.as_json() for one in self.importance]}


def explain(model: "TrainedModel", encoded: Encoded, predictions: Predictions, spec: Spec) -> Explanation | None:
    """Explain the model on test rows drawn by the seed.

    `explain.rows` rows are drawn of the whole part, and as many of each group of `explain.slices` that has
    `evaluate.min_rows` rows. None where the spec asks for no explanation.
    """
    if not spec.explain.rows:
        return None
    generator, bundle = np.random.default_rng(spec.seed), model.bundle

    def on(rows: Pieces) -> Explanation:
        drawn = np.sort(generator.choice(rows.size, min(rows.size, spec.explain.rows), replace=False))
        drawn = drawn if rows.among is None else rows.places[drawn]
        matrix = matrix_of(encoded.rows, model.encoder, drawn)
        contributions = bundle.contributions(matrix)
        return importance_of(bundle, matrix, predictions.take(drawn), spec, contributions, generator)

    overall = on(Pieces(predictions))
    within = (
        replace(on(Pieces(predictions, partial(groups.is_of, number))), group=groups.names[number])
        for groups in (groups_of(predictions, slice_.columns) for slice_ in spec.explain.slices)
        for number in groups.largest(MAX_GROUPS, spec.evaluate.min_rows)
    )
    return replace(overall, within=tuple(within))


def importance_of(
    bundle: Bundle,
    matrix: Matrix,
    rows: Predictions,
    spec: Spec,
    contributions: Matrix | None,
    generator: np.random.Generator,
) -> Explanation:
    """Measure the importance of each table column on some rows.

    Parameters
    ----------
    bundle
        The model.
    matrix
        The encoded rows, shape (n, columns).
    rows
        The same rows with their labels and scores.
    spec
        Names the metric and the confidence.
    contributions
        Shapley values, shape (n, columns); None where the family has none.
    generator
        Shuffles the columns.
    """
    metric = metric_of(spec.search.metric)
    clusters, draws = num_clusters(rows), min(DRAWS, spec.evaluate.draws)
    whole = metric(rows.label, rows.score, rows.weight, rows.cut)
    whole_drawn = replicate([metric], rows, draws=draws, seed=spec.seed)[metric.name]
    importances, shuffled = [], matrix.copy()
    for name, own in bundle.encoder.places.items():
        shuffled[:, own] = matrix[np.ix_(generator.permutation(len(matrix)), own)]
        without = replace(rows, score=bundle.score_matrix(shuffled))
        shuffled[:, own] = matrix[:, own]
        if np.array_equal(without.score, rows.score):  # a column that the model does not use: nothing is drawn again
            value, drawn = whole, whole_drawn
        else:
            value = metric(without.label, without.score, without.weight, without.cut)
            drawn = replicate([metric], without, draws=draws, seed=spec.seed)[metric.name]
        lost, lost_drawn = metric.sign * (whole - value), metric.sign * (whole_drawn - drawn)
        interval = percentile(lost, lost_drawn, clusters, spec.evaluate.confidence)
        shap = None if contributions is None else float(np.abs(contributions[:, own].sum(1)).mean())
        importances.append(
            Importance(column=name, value=interval.value, low=interval.low, high=interval.high, shap=shap)
        )
    importances.sort(key=lambda one: (-np.nan_to_num(one.value, nan=-np.inf), one.column))
    return Explanation(metric=metric.name, rows=len(rows), importance=tuple(importances))


def matrix_of(rows: EncodedRows, encoder: str, places: NDArray[np.intp]) -> Matrix:
    """The matrix of some rows of the test part, by their ascending places in it."""

    def take(table: pa.Table, first: int) -> pa.Table:
        return table.take(places[(places >= first) & (places < first + table.num_rows)] - first)

    return np.concatenate([block.matrix for block in rows.part("test", encoder, take)])
