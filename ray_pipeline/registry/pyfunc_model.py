"""What MLflow runs to serve a bundle: a model from code, so that nothing is pickled. Each version contains it."""

from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import set_model


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Scores the rows of a data frame with the bundle among the model's artifacts."""

    _skip_type_hint_validation = True  # the signature describes a row; without this, MLflow warns at every load

    def load_context(self, context: Any) -> None:
        """Load the bundle, after each of its files was hashed."""
        from pathlib import Path

        from ray_pipeline.bundle import Bundle

        self.bundle = Bundle.load(Path(context.artifacts["bundle"]))

    # Without annotations: MLflow takes them for a schema of the rows.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return float64 scores of shape (rows,) or (rows, classes).

        A row that does not fit is the caller's error (HTTP 400), with the bundle's message.
        """
        from ray_pipeline.errors import DataError

        try:
            return self.bundle.predict(model_input)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(BundleModel())
