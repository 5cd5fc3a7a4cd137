"""Baselines to compare a model with: a constant, and scikit-learn's linear model on a sample of the rows."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Scorer, TrainingContext
from ray_pipeline.encoded_block import EncodedBlock, views
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.tasks import task
from ray_pipeline.spec import Spec
from ray_pipeline.values import Matrix, Vector

SAMPLE_ROWS = 30_000


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The score of a simple model on validation, by the metric of the search."""

    name: str
    metric: str
    value: float
    about: str


def baselines(rows: EncodedRows, context: TrainingContext, spec: Spec) -> tuple[Baseline, ...]:
    """Score the constant and the linear model on validation, as a trial is scored.

    They use the matrix of the first family. The blocks stay where they are: a task for each block returns label sums
    and about `SAMPLE_ROWS` rows in all.
    """
    encoder, metric = next(iter(rows.encoders)), metric_of(spec.search.metric)
    every = max(1, rows.rows["train"] // SAMPLE_ROWS)
    sums, sample = _train(rows, encoder, every, context)
    scorers = {
        "constant": (constant(sums, context), "what train says on average, for every row"),
        "linear": (
            linear(sample, context, encoder),
            f"a linear model of every {every:,}th row of train" if every > 1 else "a linear model of train",
        ),
    }
    scored = {name: score_part(scorer, rows, encoder, "validation") for name, (scorer, _) in scorers.items()}
    values = {name: float(metric(part.label, part.score, part.weight)) for name, part in scored.items()}
    return tuple(
        Baseline(name=name, metric=metric.name, value=values[name], about=about) for name, (_, about) in scorers.items()
    )


def label_sums(rows: EncodedBlock, context: TrainingContext) -> Vector:
    """Add up the weight of each class, shape (classes,); of a regression the weighted labels and the weights, (2,)."""
    if context.task == "regression":
        return np.array([rows.weight @ rows.label, rows.weight.sum()])
    return np.bincount(rows.label.astype(int), rows.weight, context.num_classes).astype(np.float64)


def constant(sums: Vector, context: TrainingContext) -> Scorer:
    """Return the scorer that gives every row the weighted mean label, or the share of each class.

    Parameters
    ----------
    sums
        The result of `label_sums` for all training rows.
    context
        Says the task.
    """
    answer = sums[0] / sums[1] if context.task == "regression" else sums / sums.sum()
    if context.task == "binary":
        answer = answer[1]
    return lambda matrix: np.broadcast_to(answer, (len(matrix), *np.shape(answer)))


def linear(train: EncodedBlock, context: TrainingContext, encoder: str) -> Scorer:
    """Fit scikit-learn's logistic or ridge regression with its default penalty.

    Numbers enter as normal quantiles, each with a flag for missing values; categories as a column for each id.

    Parameters
    ----------
    train
        The rows to fit on.
    context
        Says the task, the classes, and which matrix columns are ids.
    encoder
        The encoder that made the matrix.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

    rows, codes = len(train.label), np.array(context.cardinalities[encoder])
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    quantiles = QuantileTransformer(n_quantiles=min(rows, 1000), output_distribution="normal", subsample=None)
    columns = make_column_transformer(
        # Many ties at the lowest value become -5.2: without the scaler the solver takes 200 steps on Adult, not 74.
        (make_pipeline(imputer, quantiles, StandardScaler()), codes == 0),
        (MissingIndicator(features="all"), codes == 0),
        (OneHotEncoder(handle_unknown="ignore"), codes > 0),
    )
    model = Ridge() if context.task == "regression" else LogisticRegression(max_iter=1000)
    # A row without weight for each class: the model then knows all classes, also those that the sample lacks.
    fitted = Pipeline([("columns", columns), ("model", model)]).fit(
        train.matrix[np.r_[:rows, np.arange(context.num_classes) % rows]],
        np.r_[train.label, : context.num_classes],
        model__sample_weight=np.r_[train.weight / train.weight.mean(), np.zeros(context.num_classes)],
    )
    if context.task == "regression":
        return fitted.predict  # type: ignore[no-any-return]
    return fitted.predict_proba if context.task == "multiclass" else lambda matrix: fitted.predict_proba(matrix)[:, 1]


def _train(rows: EncodedRows, encoder: str, every: int, context: TrainingContext) -> tuple[Vector, EncodedBlock]:
    """The label sums of train, and every so many rows of it."""
    import ray

    def read(block: pa.Table) -> list[tuple[Vector, Matrix, Vector, Vector]]:
        return [
            (label_sums(train, context), train.matrix[::every], train.label[::every], train.weight[::every])
            for train in views([block], encoder, "train")
        ]

    reading = task(read, num_cpus=0)  # the search has reserved the CPUs
    parts = [part for block in ray.get([reading.remote(block) for block in rows.blocks]) for part in block]
    sums, matrix, label, weight = zip(*parts, strict=True)
    arrays = {"matrix": np.concatenate(matrix), "label": np.concatenate(label), "weight": np.concatenate(weight)}
    return np.sum(sums, axis=0), EncodedBlock(**arrays, rows=pa.table({}))
