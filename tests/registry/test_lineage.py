"""What `models list` and `models show` say of a version, and what a later evaluation adds."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bundle_fixture import Trained
from mlflow.tracking import MlflowClient
from registry_fixture import NAME, PASSED, REFUSED, add, model_folder

from ray_pipeline.bundle import write_bundle
from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import Registry, lineage
from ray_pipeline.serving import load


@pytest.fixture
def client(one: Registry) -> MlflowClient:
    """MLflow's client on a registry with one version."""
    return MlflowClient(one.uri, one.uri)


def version_1(client: MlflowClient) -> Any:
    return client.get_model_version(NAME, "1")


def test_detail_has_what_the_run_registered(one: Registry, client: MlflowClient, trained: Trained) -> None:
    one.promote(f"{NAME}/1", reason="the first")
    detail = lineage.detail(client, version_1(client))
    (listed,) = one.list()[0]["versions"]
    assert {key: detail[key] for key in listed} == listed
    assert listed == {
        "model": f"models:/{NAME}/1",
        "version": 1,
        "status": "registered",
        "scorecard": "passed",
        "aliases": ["challenger", "champion"],
        "family": "xgboost",
        "run": "run-1",
        "created": listed["created"],
    }
    assert datetime.fromisoformat(listed["created"]).tzinfo is not None
    assert detail["metrics"] == {"auc": 0.71, "brier": 0.2} and detail["params"] == {"max_depth": "3"}
    assert detail["gates"] == PASSED["gates"]
    assert detail["gates_of"] == detail["metrics_of"] == "the test part of run-1"
    assert detail["data"] == {"fingerprint": "d" * 64, "files": {"data/flights/0.parquet": "e" * 64}}
    assert detail["tags"]["bundle"] == trained.bundle.fingerprint and detail["tags"]["fingerprint"] == "a" * 64
    assert Path(detail["artifacts"].removeprefix("file://")) == model_folder(one, f"{NAME}/1").parent
    assert [(move["action"], move["to"], move["why"]) for move in detail["journal"]] == [("promote", 1, "the first")]


def test_mlflow_shows_who_made_a_version_from_what(client: MlflowClient) -> None:
    import mlflow

    version = version_1(client)
    run = client.get_run(version.run_id)
    for tags in (version.tags, run.data.tags):
        assert tags["mlflow.user"] == getpass.getuser()
        assert (tags["mlflow.source.name"], tags["mlflow.source.type"]) == ("flights.yaml", "LOCAL")
    inputs = {each.dataset.name: each for each in run.inputs.dataset_inputs}
    sources = {name: mlflow.data.get_source(each).uri for name, each in inputs.items()}
    assert sources == {"labels": "/srv/data/flights", "weather": "s3://bucket/weather"}
    assert {each.dataset.digest for each in inputs.values()} == {"d" * 36}
    assert [(tag.key, tag.value) for tag in inputs["labels"].tags] == [("mlflow.data.context", "training")]


def test_a_later_scorecard_is_the_verdict_and_the_first_one_is_kept(one: Registry, client: MlflowClient) -> None:
    for turn in range(2):
        lineage.attach(client, version_1(client), "scorecard.json", {**REFUSED, "turn": turn, "rows_path": "may.csv"})
    detail = lineage.detail(client, version_1(client))
    assert (detail["scorecard"], detail["gates"]) == ("refused", REFUSED["gates"])
    assert detail["metrics_of"] == "the test part of run-1" and detail["metrics"]["auc"] == 0.71
    rows, _, when = detail["gates_of"].partition(", judged ")
    assert rows == "may.csv" and abs(datetime.now(UTC) - datetime.fromisoformat(when)).total_seconds() < 60
    judged_by = detail["tags"]["judged_by"]
    run = version_1(client).run_id
    assert lineage.json_file(client, run, judged_by) == {**REFUSED, "turn": 1, "rows_path": "may.csv"}
    stored = model_folder(one, f"{NAME}/1").parent
    files = sorted(stored.glob("evaluations/*/scorecard.json"))
    assert [json.loads(file.read_text())["turn"] for file in files] == [0, 1], "the folders sort by time"
    assert json.loads((stored / "scorecard.json").read_text()) == PASSED


def test_another_file_is_stored_and_leaves_the_verdict(client: MlflowClient) -> None:
    lineage.attach(client, version_1(client), "drift.json", {"rows": 3})
    detail = lineage.detail(client, version_1(client))
    assert detail["scorecard"] == "passed" and "judged_by" not in detail["tags"]


@pytest.mark.parametrize("content", [None, "{torn", "[1, 2]", "\x00"])
def test_a_file_that_is_absent_or_no_object_reads_as_none(
    one: Registry, client: MlflowClient, content: str | None
) -> None:
    if content is not None:
        (model_folder(one, f"{NAME}/1").parent / "odd.json").write_text(content)
    assert lineage.json_file(client, version_1(client).run_id, "odd.json") is None


def test_a_version_of_another_program_has_a_detail_without_a_run(registry: Registry) -> None:
    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", source="s3://bucket/model")
    detail = lineage.detail(client, client.get_model_version("theirs", "1"))
    assert (detail["status"], detail["artifacts"], detail["gates"]) == ("foreign", "s3://bucket/model", [])
    assert detail["metrics_of"] is None is detail["gates_of"]
    assert detail["data"] is None and detail["metrics"] == {} and detail["journal"] == []


def test_versions_stand_newest_first_and_models_in_the_given_order(one: Registry, trained: Trained) -> None:
    add(one, trained, "run-2", scorecard=REFUSED)
    client = MlflowClient(one.uri, one.uri)
    client.create_registered_model("without_versions")
    models = one.list()
    assert [(model["name"], [each["version"] for each in model["versions"]]) for model in models] == [
        (NAME, [2, 1]),
        ("without_versions", []),
    ]
    assert models[0]["aliases"] == {"challenger": 1}


def test_a_version_that_mlflow_copied_to_another_model_is_used_like_the_original(
    one: Registry, client: MlflowClient, trained: Trained
) -> None:
    client.copy_model_version(f"models:/{NAME}/1", "production")
    client.copy_model_version("models:/production/1", "abroad")
    expected = trained.bundle.score(trained.rows).tolist()
    for model in ("production/1", "abroad/1"):
        assert load(model, one.uri).predict(trained.rows).tolist() == expected
        assert one.verify(model)["rows"] == 256
        assert one.show(model)["metrics"]["auc"] == 0.71


@pytest.mark.parametrize("missing", ["bundle", "sha256", "status"])
def test_a_version_that_lost_a_tag_is_shown_and_refused_with_a_message(
    one: Registry, client: MlflowClient, missing: str
) -> None:
    client.delete_model_version_tag(NAME, "1", f"ray_pipeline.{missing}")
    assert one.list()[0]["versions"][0]["version"] == one.show(f"{NAME}/1")["version"] == 1
    with pytest.raises(RegistryError, match=r"not (the one|the bundle|registered by)"):
        one.verify(f"{NAME}/1")


@pytest.mark.parametrize("journal", ["no JSON", "3", '[{"action": "promote"}]', '{"a": 1}', "[null]"])
def test_a_journal_that_another_program_wrote_over_is_named(one: Registry, client: MlflowClient, journal: str) -> None:
    client.set_registered_model_tag(NAME, "ray_pipeline.journal", journal)
    assert one.list()[0]["name"] == NAME
    for use in (lambda: one.show(f"{NAME}/1"), lambda: one.promote(f"{NAME}/1"), lambda: one.rollback(NAME)):
        with pytest.raises(RegistryError, match="is no journal of moves"):
            use()


def as_the_first_bundles(encoder: dict[str, Any]) -> dict[str, Any]:
    """The encoder as 0.1.0 first wrote it: every column has categories, and none names its encoding."""
    encoded = [
        {"categories": of.get("categories", []), "kind": of["kind"], "name": of["name"]} for of in encoder["encoded"]
    ]
    return {**encoder, "encoded": encoded}


def test_a_bundle_of_the_first_0_1_0_scores_as_before(trained: Trained, tmp_path: Path) -> None:
    parts = {
        name: json.loads((trained.bundle.folder / f"{name}.json").read_text())
        for name in ("encoder", "model", "calibration", "schema")
    }
    old = write_bundle(
        tmp_path / "model",
        model_file=trained.bundle.folder / "model.ubj",
        **{**parts, "encoder": as_the_first_bundles(parts["encoder"])},
    )
    assert old.fingerprint != trained.bundle.fingerprint
    assert old.score(trained.rows).tolist() == trained.bundle.score(trained.rows).tolist()
