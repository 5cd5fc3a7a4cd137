"""A registered model as scikit-learn knows estimators: fitted already, and frozen.

`fit` changes nothing, as with scikit-learn's own `FrozenEstimator`. So the model works where scikit-learn takes a
fitted estimator: metrics, `permutation_importance`, `CalibratedClassifierCV`, the last step of a pipeline.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import DataError
from ray_pipeline.given_table import is_table
from ray_pipeline.values import Vector


class _Frozen(BaseEstimator):  # type: ignore[misc]
    """What classifiers and regressors share.

    Parameters
    ----------
    model
        The registered model.
    """

    def __init__(self, model: Bundle) -> None:
        self.model = model

    def fit(self, X: Any, y: Any = None, **parameters: Any) -> Self:
        """Change nothing: the model is fitted already."""
        return self

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The names of the columns that the model reads, in order; shape (n_features_in_,)."""
        return np.asarray(self.model.columns, object)

    @property
    def n_features_in_(self) -> int:
        """The number of columns that the model reads."""
        return len(self.model.columns)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.model)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def _score(self, X: Any) -> Vector:
        """The scores of a table, or of an array with the columns in the order of `feature_names_in_`.

        Raises
        ------
        ValueError
            The rows do not fit the model.
        """
        try:
            return self.model.predict(X if is_table(X) or _is_records(X) else self._table(X))
        except DataError as error:
            raise ValueError(str(error)) from error

    def _table(self, X: Any) -> pa.Table:
        checked = validate_data(self, X, reset=False, dtype=None, ensure_all_finite="allow-nan")
        columns = [pa.array(checked[:, place], from_pandas=True) for place in range(self.n_features_in_)]
        return pa.Table.from_arrays(columns, names=list(self.model.columns))


class BundleClassifier(ClassifierMixin, _Frozen):  # type: ignore[misc]
    """A registered classifier.

    `predict` decides at the model's own threshold, so for two classes it need not be the more probable class.
    """

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes in the order of `predict_proba`: 0 and 1 for a binary label, else texts; shape (classes,)."""
        return np.array([0, 1]) if self.model.schema["task"] == "binary" else np.asarray(self.model.schema["classes"])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the decision for each row, one of `classes_`; shape (rows,).

        Parameters
        ----------
        X
            A data frame or Arrow table with the columns `feature_names_in_`, in any order; or an array of shape
            (rows, n_features_in_).

        Raises
        ------
        ValueError
            The rows do not fit the model.
        """
        decisions = self.model.decide(self._score(X))
        return self.classes_[decisions] if self.model.schema["task"] == "binary" else decisions

    def predict_proba(self, X: Any) -> Vector:
        """Return the probability of each class; shape (rows, classes). See `predict` for the parameter."""
        score = self._score(X)
        return np.column_stack([1 - score, score]) if score.ndim == 1 else score


class BundleRegressor(RegressorMixin, _Frozen):  # type: ignore[misc]
    """A registered regressor."""

    def predict(self, X: Any) -> Vector:
        """Return the predicted number for each row; shape (rows,).

        Parameters
        ----------
        X
            A data frame or Arrow table with the columns `feature_names_in_`, in any order; or an array of shape
            (rows, n_features_in_).

        Raises
        ------
        ValueError
            The rows do not fit the model.
        """
        return self._score(X)


def _is_records(X: object) -> bool:
    """Whether the rows are a dict of columns, or a list of dicts."""
    return isinstance(X, Mapping) or (isinstance(X, list) and bool(X) and isinstance(X[0], Mapping))
