"""An ensemble from the spec to the registry: two families with encoders of their own, on the shared local Ray."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xgboost
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.bundle import Bundle
from ray_pipeline.bundle_members import Members
from ray_pipeline.registered_model import predict_rows
from ray_pipeline.registry.package import requirements
from ray_pipeline.resuming import rerun
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
MODELS = """model:
  xgboost: {num_boost_round: 8, max_depth: 3, learning_rate: {log: [0.05, 0.3]}}
  linear: {}
ensemble: {members: 3}"""


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Where:
    return Where(storage=str(tmp_path_factory.mktemp("where") / "runs"))


@pytest.fixture(scope="module")
def release(loans: Path, at: Where) -> Release:
    xgboost = "model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
    explained = "register: {alias: challenger} => register: {alias: challenger}\nexplain: {rows: 200}"
    spec = write_spec(
        loans, "ensemble.yaml", model=f"{xgboost} => {MODELS}", trials="trials: 6 => trials: 10", explain=explained
    )
    return pipeline.run(Spec.from_file(spec), at)


def folder_of(release: Release) -> Path:
    return Path(release.report).parent


def test_members_of_both_families_are_scored_as_one_registered_model(release: Release) -> None:
    folder = folder_of(release)
    found = json.loads((folder / "ensemble.json").read_text())
    bundle = Bundle.load(folder / "model")
    assert release.family == "ensemble" and release.version == 1
    assert {member["family"] for member in found["members"]} == {"xgboost", "linear"} == {*bundle.families}
    assert 2 <= len(found["members"]) <= 3 and found["why"] == ""
    assert sum(member["weight"] for member in found["members"]) == pytest.approx(1)
    assert found["value"] > found["single"] and found["members"][-1]["value"] == pytest.approx(found["value"])
    assert isinstance(bundle.scorer, Members)
    assert [(member.trial, member.weight) for member in bundle.scorer.members] == [
        (member["trial"], member["weight"]) for member in found["members"]
    ]


def test_each_member_says_how_many_rounds_its_own_model_has(release: Release) -> None:
    folder = folder_of(release) / "model"
    members = json.loads((folder / "members.json").read_text())["members"]
    boosters = {n: folder / f"members/{n}/model.ubj" for n, one in enumerate(members) if one["family"] == "xgboost"}
    assert boosters
    for number, file in boosters.items():
        assert members[number]["rounds"] == xgboost.Booster(model_file=str(file)).num_boosted_rounds()


def test_predict_gives_the_scores_of_the_run_bit_for_bit(release: Release, at: Where, tmp_path: Path) -> None:
    stored, out = pq.read_table(folder_of(release) / "predictions/test.parquet"), tmp_path / "scores.parquet"
    schema = Bundle.load(folder_of(release) / "model").schema
    predict_rows(str(release.model), Path(schema["base"]) / "data/loans", out, at)
    scored = pq.read_table(out)
    by_key = dict(zip(scored[schema["key"]].to_pylist(), scored["score"].to_pylist(), strict=True))
    assert [by_key[key] for key in stored["key"].to_pylist()] == stored["score"].to_pylist()


def test_the_version_names_the_libraries_of_every_member(release: Release) -> None:
    bundle = Bundle.load(folder_of(release) / "model")
    required = {one.partition("==")[0] for one in requirements(bundle)}
    assert {"xgboost", "safetensors"} <= required


def test_every_column_is_explained_once_and_the_report_shows_the_members(release: Release) -> None:
    explained = json.loads((folder_of(release) / "explain.json").read_text())
    names = [row["column"] for row in explained["importance"]]
    assert len(names) == len(set(names)) and {"amount", "income"} <= set(names[:4])
    report = (folder_of(release) / "report.html").read_text()
    assert "Ensemble" in report and "linear" in report


def test_a_rerun_gives_the_same_bytes(release: Release, at: Where) -> None:
    answer = rerun(str(folder_of(release)), at, verify=True)
    assert answer["status"] == "identical"
