"""The listing from a registry's tables, against MLflow's own client on the same file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from ray_pipeline.registry import Registry, lineage
from ray_pipeline.registry.sqlite_listing import list_sqlite
from ray_pipeline.registry.versions import all_models, all_versions


@pytest.fixture
def client(registry: Registry) -> MlflowClient:
    """MLflow's client on a registry with odd names, tags, aliases and deleted versions."""
    client = MlflowClient(registry.uri, registry.uri)
    for name in ("b-model", "a.model", "empty", "Grösse 'x'; --"):
        client.create_registered_model(name, tags={"ray_pipeline.journal": "[]"})
        for number in range(0 if name == "empty" else 12):
            tags = {"ray_pipeline.status": "registered", "ray_pipeline.run": f"run-{number}", "note": "é \n ' \""}
            client.create_model_version(name, source=f"file:///none/{number}", tags=tags if number % 3 else {})
    client.set_registered_model_alias("b-model", "champion", "11")
    client.set_registered_model_alias("b-model", "challenger", "11")
    client.set_registered_model_alias("a.model", "champion", "2")
    client.delete_registered_model_alias("a.model", "champion")
    client.delete_model_version("a.model", "5")
    client.delete_model_version_tag("b-model", "2", "note")
    client.set_model_version_tag("b-model", "3", "ray_pipeline.status", "refused")
    return client


def file_of(registry: Registry) -> Path:
    return Path(registry.uri.removeprefix("sqlite:///"))


def test_it_gives_the_models_versions_tags_and_aliases_of_mlflow_itself(
    registry: Registry, client: MlflowClient
) -> None:
    models, versions = list_sqlite(file_of(registry)) or ([], [])
    assert [(model.name, model.aliases) for model in models] == [
        (model.name, {alias: int(number) for alias, number in model.aliases.items()}) for model in all_models(client)
    ]
    found = {(one.name, one.version): (one.creation_timestamp, one.tags) for one in versions}
    expected = {(one.name, int(one.version)): (one.creation_timestamp, one.tags) for one in all_versions(client)}
    assert found == expected and len(found) == 3 * 12 - 1
    assert lineage.overview(models, versions) == lineage.overview(all_models(client), all_versions(client))


def test_an_empty_registry_has_no_models(registry: Registry) -> None:
    assert list_sqlite(file_of(registry)) == ([], [])


@pytest.mark.parametrize(
    "change", ["ALTER TABLE model_versions RENAME COLUMN creation_time TO made", "DROP TABLE registered_model_aliases"]
)
def test_tables_of_another_mlflow_are_left_to_its_client(registry: Registry, change: str) -> None:
    with closing(sqlite3.connect(file_of(registry), isolation_level=None)) as database:
        database.execute(change)
    assert list_sqlite(file_of(registry)) is None


@pytest.mark.parametrize("content", [None, b"", b"no database " * 100])
def test_a_file_that_is_no_registry_gives_nothing_and_is_not_changed(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "mlflow.db"
    if content is not None:
        file.write_bytes(content)
    assert list_sqlite(file) is None
    assert (file.read_bytes() if file.exists() else None) == content
