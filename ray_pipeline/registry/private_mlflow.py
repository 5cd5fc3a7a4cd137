"""MLflow's private interfaces that this package uses.

`tests/registry/test_private_mlflow.py` names the one that a release of MLflow removes.
"""

from contextlib import AbstractContextManager

from ray_pipeline.runtime.overrides import attributes

CHECKED_WITH = "3.17.2"
"""The release of MLflow with which these interfaces were last read in its source."""

TABLES = {
    "models": "SELECT name FROM registered_models ORDER BY name",
    "versions": "SELECT name, version, creation_time FROM model_versions WHERE current_stage != 'Deleted_Internal'",
    "tags": "SELECT name, version, key, value FROM model_version_tags",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases",
}
"""What a list of versions shows, read from the tables of a registry in a database."""

ADDED_FILE = "registered_model_meta"
"""The file that MLflow adds to a model's folder when it loads the model from there."""


def has_old_schema(message: str) -> bool:
    """Whether MLflow's error says that the database was made by an older MLflow."""
    return "out-of-date database schema" in message


_COMPARISON = "mlflow.utils.environment:warn_dependency_requirement_mismatches"


def without_comparison() -> AbstractContextManager[None]:
    """In the block, MLflow does not compare the packages that a model requires with those that are installed.

    The requirements of a version are read from the installed packages. To warn of differences MLflow lists every file
    of every package: 1.4 s of the 1.9 s of a registration, where 300 packages are installed.
    """
    return attributes.use({_COMPARISON: lambda requirements: None})
