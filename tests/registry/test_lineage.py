"""What `models list` and `models show` say of a version, and what a later evaluation adds."""

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bundle_fixture import Trained
from mlflow.tracking import MlflowClient
from registry_fixture import NAME, PASSED, REFUSED, add, model_folder

from ray_pipeline.registry import Registry, lineage


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
        lineage.attach(client, version_1(client), "scorecard.json", {**REFUSED, "turn": turn})
    detail = lineage.detail(client, version_1(client))
    assert (detail["scorecard"], detail["gates"]) == ("refused", REFUSED["gates"])
    judged_by = detail["tags"]["judged_by"]
    run = version_1(client).run_id
    assert lineage.json_file(client, run, judged_by) == {**REFUSED, "turn": 1}
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
