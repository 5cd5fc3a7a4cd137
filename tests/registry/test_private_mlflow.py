"""Each private interface of MLflow that this package uses is still there; the name of a failing test says which not."""

import inspect
from importlib.metadata import version

import pytest

from ray_pipeline.registry import private_mlflow


@pytest.mark.parametrize("rows", private_mlflow.TABLES)
def test_mlflows_tables_have_the_columns_that_a_list_reads(rows: str) -> None:
    import sqlalchemy
    from mlflow.store.model_registry.dbmodels import models

    tables = (
        models.SqlRegisteredModel,
        models.SqlModelVersion,
        models.SqlModelVersionTag,
        models.SqlRegisteredModelAlias,
    )
    engine = sqlalchemy.create_engine("sqlite://")
    for table in tables:
        table.__table__.create(engine)
    with engine.connect() as database:
        assert database.execute(sqlalchemy.text(private_mlflow.TABLES[rows])).fetchall() == []
    engine.dispose()


def test_a_deleted_version_has_the_known_stage() -> None:
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL

    assert f"'{STAGE_DELETED_INTERNAL}'" in private_mlflow.TABLES["versions"]


def test_mlflow_adds_a_file_of_the_known_name_to_a_model() -> None:
    from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME

    assert REGISTERED_MODEL_META_FILE_NAME == private_mlflow.ADDED_FILE


def test_the_message_about_an_old_database_is_recognised() -> None:
    import mlflow.store.db.utils

    raised = inspect.getsource(mlflow.store.db.utils._verify_schema)
    assert private_mlflow.has_old_schema(raised)


def test_the_interfaces_were_checked_with_the_release_that_is_installed() -> None:
    assert version("mlflow-skinny").partition(".")[0] == private_mlflow.CHECKED_WITH.partition(".")[0]


def test_a_model_is_saved_without_a_comparison_of_the_installed_packages() -> None:
    from mlflow.utils import environment

    assert "warn_dependency_requirement_mismatches(" in inspect.getsource(environment._process_pip_requirements)
    compare = environment.warn_dependency_requirement_mismatches
    with private_mlflow.without_comparison():
        assert environment.warn_dependency_requirement_mismatches([]) is None
        assert environment.warn_dependency_requirement_mismatches is not compare
    assert environment.warn_dependency_requirement_mismatches is compare
