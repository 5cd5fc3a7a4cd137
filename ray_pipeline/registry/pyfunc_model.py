"""What MLflow runs to serve a bundle: a model from code, so that nothing is pickled. Shipped with each version, run by
MLflow alone."""

from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import set_model


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Scores the rows of a frame by the bundle that lies among the artifacts."""

    _skip_type_hint_validation = True  # the signature says what a row is; without this MLflow warns at every load

    def load_context(self, context: Any) -> None:
        """Reads the bundle; every file is hashed first."""
        from pathlib import Path

        from ray_pipeline.bundle import Bundle

        self.bundle = Bundle.load(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow makes rules of type hints
        """float64 scores, (rows,) or (rows, classes). A row that does not fit is the caller's error (HTTP 400), in our
        words."""
        from ray_pipeline.errors import DataError

        try:
            return self.bundle.predict(model_input)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(BundleModel())
