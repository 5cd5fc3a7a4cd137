"""A registered model in this process: it scores rows, joins feature tables to them, and becomes an estimator."""

import shutil
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.given_table import arrow_table, as_table
from ray_pipeline.serving.feature_join import FeatureJoin, feature_join
from ray_pipeline.spec import Spec
from ray_pipeline.values import Vector

if TYPE_CHECKING:
    from ray_pipeline.serving.estimator import BundleClassifier, BundleRegressor


@dataclass(frozen=True, kw_only=True)
class LoadedModel(Bundle):
    """A registered model: a bundle that also knows how its feature tables are joined."""

    def __repr__(self) -> str:
        """What it is, in a line: the fields hold a whole spec."""
        columns, task, family = len(self.schema["columns"]), self.schema["task"], self.model["family"]
        return f"<LoadedModel {self.fingerprint[:12]}: {family}, {task}, {columns} columns>"

    def predict(self, rows: Any, features: Mapping[str, Any] | None = None) -> Vector:
        """Return the scores of rows.

        Parameters
        ----------
        rows
            A pandas or polars frame, an Arrow table, or a list of dicts, with the columns that the model reads.
        features
            Feature tables by their names in the spec: each a pandas, polars or Arrow table, the path of one, or what
            `prepare` made of it. They are joined to the rows exactly as in training, as of the time of each row; rows
            without that column are joined as of now. The rows then need no columns of these tables.

        Returns
        -------
        Vector
            float64: the probability of the positive class, shape (rows,); of each class, shape (rows, classes); or the
            predicted number, shape (rows,).

        Raises
        ------
        DataError
            A column is missing, occurs twice, or is of another kind than in training; a table cannot be joined.
        """
        return self.score(self._joined(rows, features))

    def intervals(self, rows: Any, features: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the interval or set of each row, as `predict` writes it to files.

        Parameters
        ----------
        rows, features
            As for `predict`.

        Returns
        -------
        pyarrow.Table
            The columns `low` and `high`; or `set`, a list of classes for each row.

        Raises
        ------
        DataError
            As for `predict`; or the model has no intervals.
        """
        regions = self.regions_of(*self.score_and_ends(self._joined(rows, features)))
        if regions is None:
            fix = "train it with `intervals: {coverage: 0.9}`"
            raise DataError(Problem(stage="predict", found="the model has neither intervals nor sets", fix=fix))
        return pa.table(regions.columns(self.schema["classes"] if self.schema["task"] == "multiclass" else None))

    def _joined(self, rows: Any, features: Mapping[str, Any] | None) -> Any:
        """The rows with the columns of the feature tables."""
        if not features:
            return rows
        table = arrow_table(as_table(rows), "rows")
        for join in self.prepare(features).values():
            table = join.add_to(table)
        return table

    def prepare(self, features: Mapping[str, Any]) -> dict[str, FeatureJoin]:
        """Return feature tables, read and sorted once, for many calls of `predict`. See there for the parameter."""
        types = {name: self.types[name] for name in self.columns}
        return {
            name: given if isinstance(given, FeatureJoin) else feature_join(name, given, self._spec, types)
            for name, given in features.items()
        }

    def estimator(self) -> "BundleClassifier | BundleRegressor":
        """Return the model as an estimator that follows the conventions of scikit-learn, fitted and frozen."""
        from ray_pipeline.serving.estimator import BundleClassifier, BundleRegressor

        return BundleRegressor(self) if self.schema["task"] == "regression" else BundleClassifier(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the plain files of the bundle: they are checked again where they arrive."""
        files = {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in self.files}
        return _arrived, (files, self.fingerprint)

    @cached_property
    def _spec(self) -> Spec:
        """The spec that the model was trained with."""
        return Spec.from_text(self.schema["spec"], file="the spec of the model", folder=Path(self.schema["base"]))


def _arrived(files: Mapping[str, bytes], fingerprint: str) -> LoadedModel:
    """The model of these files, in a folder that goes with it."""
    folder = Path(mkdtemp(prefix="ray_pipeline-"))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    loaded = LoadedModel.load(folder, fingerprint)
    weakref.finalize(loaded, shutil.rmtree, folder, ignore_errors=True)
    return loaded
