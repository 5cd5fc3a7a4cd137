"""The registry on real sqlite files and a real MLflow server: registering, verifying, promoting and finding models."""

import gc
import json
import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from bundle_fixture import Trained, train
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from registry_fixture import NAME, PASSED, REFUSED, add, model_folder
from registry_server_fixture import mlflow_server
from typer.testing import CliRunner

from ray_pipeline.bundle import Bundle
from ray_pipeline.cli import build
from ray_pipeline.components.choice import find
from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import Registry, champion_history, package, preflight, publish, versions
from ray_pipeline.registry.address import ModelName, absolute
from ray_pipeline.registry.versions import names_no_version
from ray_pipeline.serving import load

# Registering


def test_a_registered_version_scores_as_the_training_run_did(three: Registry, trained: Trained) -> None:
    for model in (f"{NAME}@challenger", f"{NAME}/1", f"models:/{NAME}@challenger", f"models:/{NAME}/2"):
        loaded = load(model, three.uri)
        np.testing.assert_array_equal(loaded.predict(trained.rows.to_pandas()), trained.bundle.score(trained.rows))


def test_everything_that_was_registered_is_shown(three: Registry, trained: Trained) -> None:
    shown = three.show(f"{NAME}/2")
    assert (shown["status"], shown["scorecard"], shown["family"], shown["run"]) == (
        "registered",
        "passed",
        "xgboost",
        "run-2",
    )
    assert "challenger" in shown["aliases"]
    assert shown["metrics"] == {"auc": 0.71, "brier": 0.2}
    assert shown["params"] == {"max_depth": "3"}
    assert shown["gates"] == PASSED["gates"]
    assert shown["data"]["files"] == {"data/flights/0.parquet": "e" * 64}
    assert shown["tags"]["fingerprint"] == "a" * 64
    assert shown["tags"]["bundle"] == trained.bundle.fingerprint


def test_a_refused_version_is_marked_and_gets_no_alias(three: Registry) -> None:
    assert three.show(f"{NAME}/3")["status"] == "refused"
    (model,) = three.list()
    assert model["aliases"]["challenger"] == 2
    assert [version["version"] for version in model["versions"]] == [3, 2, 1]


def test_a_list_read_from_the_tables_is_what_mlflow_says(
    three: Registry, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray_pipeline.registry import registry as door

    seen = three.list()
    assert len(seen[0]["versions"]) == 3 and seen[0]["aliases"]
    monkeypatch.setattr(door, "list_sqlite", lambda _: None)
    assert three.list() == seen
    assert registry.list() == []


def test_the_files_lie_beside_the_sqlite_file(three: Registry) -> None:
    folder = model_folder(three, f"{NAME}/1")
    database = Path(three.uri.removeprefix("sqlite:///"))
    assert folder.is_relative_to(database.parent / "mlartifacts" / NAME)
    assert (folder.parent / "spec.yaml").read_text() == "name: flight_delay\n"
    assert json.loads((folder.parent / "scorecard.json").read_text()) == PASSED


def test_the_report_and_plain_files_go_along(registry: Registry, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>report</p>")
    (tmp_path / "evaluation.json").write_text("[]")
    add(
        registry,
        trained,
        "run-1",
        files=tuple(tmp_path / name for name in ("report.html", "evaluation.json", "absent.json")),
    )
    stored = model_folder(registry, f"{NAME}/1").parent
    assert {"report.html", "evaluation.json", "spec.yaml", "data.json"} <= {file.name for file in stored.iterdir()}


def test_the_same_run_registers_once(registry: Registry, trained: Trained) -> None:
    assert [add(registry, trained, run) for run in ("run-1", "run-1", "run-2", "run-1")] == [1, 1, 2, 1]
    (model,) = registry.list()
    assert model["aliases"] == {"challenger": 2}


def test_the_same_run_with_another_model_is_refused(registry: Registry, trained: Trained, tmp_path: Path) -> None:
    add(registry, trained, "run-1")
    with pytest.raises(RegistryError, match="with another model"):
        add(registry, train(tmp_path / "other", seed=5), "run-1")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_register_too(registry: Registry, tmp_path: Path, task: str) -> None:
    made = train(tmp_path / "run", task=task)
    assert add(registry, made, "run-1") == 1
    np.testing.assert_array_equal(
        Bundle.load(registry.fetch(f"{NAME}/1")).score(made.rows), made.bundle.score(made.rows)
    )


def test_a_score_that_differs_in_its_last_bit_stops_the_registration_and_the_right_one_ends_it(
    registry: Registry, trained: Trained
) -> None:
    scores = trained.bundle.score(trained.rows)
    scores[17] = np.nextafter(scores[17], 1)
    with pytest.raises(RegistryError, match="1 of 256 stored rows differently; row 17"):
        add(registry, trained, "run-1", scores=scores)
    (model,) = registry.list()
    assert model["aliases"] == {}
    assert [version["status"] for version in model["versions"]] == ["incomplete"]
    for refuse in (registry.fetch, registry.verify, registry.promote):
        with pytest.raises(RegistryError, match="incomplete"):
            refuse(f"{NAME}/1")
    assert add(registry, trained, "run-1") == 1
    assert registry.show(f"{NAME}@challenger")["status"] == "registered"


@pytest.mark.parametrize(
    ("step", "before"),
    [
        ("_open_run", False),
        ("_log_files", False),
        ("_create_version", False),
        ("verify.verify", True),
        ("_finish", True),
        ("set_champion", True),
        ("set_champion", False),
    ],
)
@pytest.mark.slow
def test_cut_off_anywhere_the_same_call_ends_with_one_version_and_its_alias(
    registry: Registry, trained: Trained, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    target, name = (publish.verify, "verify") if step == "verify.verify" else (publish, step)
    real = getattr(target, name)

    def cut(*args: Any, **kwargs: Any) -> Any:
        if not before:
            real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, name, cut)
        with pytest.raises(KeyboardInterrupt):
            add(registry, trained, "run-1", alias="champion")
    for model in registry.list():
        assert all(version["status"] != "incomplete" for version in model["versions"] if version["aliases"])
    assert add(registry, trained, "run-1", alias="champion") == 1
    (model,) = registry.list()
    assert [(version["version"], version["status"], version["aliases"]) for version in model["versions"]] == [
        (1, "registered", ["champion"])
    ]
    assert [(move["action"], move["from"], move["to"]) for move in registry.show(f"{NAME}/1")["journal"]] == [
        ("register", None, 1)
    ]


def test_mlflow_is_silent_and_leaves_no_setting_behind(
    registry: Registry, trained: Trained, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW", "DO_NOT_TRACK"))}
    add(registry, trained, "run-1")
    registry.verify(f"{NAME}/1")
    assert capfd.readouterr() == ("", "")
    assert {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW", "DO_NOT_TRACK"))} == before


@pytest.mark.parametrize("name", ["a/b", "x' or '1'='1", "", "a b", "../up"])
def test_names_that_could_mean_something_else_are_refused(registry: Registry, trained: Trained, name: str) -> None:
    with pytest.raises(RegistryError, match="no name for the registry"):
        add(registry, trained, name)


# What a version consists of


def test_the_shipped_code_is_what_scoring_needs_and_no_more(three: Registry) -> None:
    code = model_folder(three, f"{NAME}/1") / "code" / "ray_pipeline"
    shipped = {file.relative_to(code).as_posix() for file in code.rglob("*.py")}
    assert {
        "bundle.py",
        "errors.py",
        "values.py",
        "components/choice.py",
        "components/models/xgboost.py",
        "components/encoders/trees.py",
        "components/calibrators/none.py",
    } <= shipped
    choices = {f"components/{kind}" for kind in ("calibrators", "column_encodings", "encoders", "models")}
    folders = {file.rpartition("/")[0] for file in shipped}
    assert folders == {"", "components", "components/models/_torch", *choices}
    assert "pipeline.py" not in shipped


SERVED = """
import sys, json
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "sklearn", "optuna"):
            raise ModuleNotFoundError(f"forbidden: {name}", name=name)
sys.meta_path.insert(0, Forbid())
sys.path[:] = [path for path in sys.path if not (__import__("pathlib").Path(path) / "ray_pipeline").exists()]
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
import ray_pipeline.bundle
scores = model.predict(pandas.read_parquet(sys.argv[2])).tolist()
print(json.dumps([ray_pipeline.bundle.__file__, [score.hex() for score in scores]]))
"""


def test_mlflow_loads_it_where_neither_ray_nor_this_package_is_installed(
    three: Registry, trained: Trained, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    pq.write_table(trained.rows, tmp_path / "rows.parquet")
    shutil.copytree(model_folder(three, f"{NAME}/1"), tmp_path / "version")
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVED, str(tmp_path / "version"), str(tmp_path / "rows.parquet")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, scores = json.loads(done.stdout.splitlines()[-1])
    assert Path(file).is_relative_to(tmp_path / "version" / "code")
    assert scores == [score.hex() for score in trained.bundle.score(trained.rows).tolist()]


# Verifying


def test_verify_hashes_every_file_and_scores_the_stored_rows(three: Registry) -> None:
    proof = three.verify(f"{NAME}/1")
    assert proof["rows"] == package.ROWS
    assert proof["files"] == len([file for file in model_folder(three, f"{NAME}/1").rglob("*") if file.is_file()])


@pytest.fixture
def damaged(three: Registry, tmp_path: Path) -> Iterator[Registry]:
    """The registry with three versions; what a test does to the files of the first is undone."""
    folder = model_folder(three, f"{NAME}/1")
    shutil.copytree(folder, tmp_path / "whole")
    yield three
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "whole", folder)


def test_one_changed_byte_in_any_file_is_found_and_the_file_named(damaged: Registry) -> None:
    folder = model_folder(damaged, f"{NAME}/1")
    for file in [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")
        with pytest.raises(RegistryError, match="was changed") as caught:
            damaged.verify(f"{NAME}/1")
        assert caught.value.problems[0].file == str(file)
        file.write_bytes(content)
    damaged.verify(f"{NAME}/1")


def test_a_change_with_new_sums_is_found_by_the_registry(damaged: Registry) -> None:
    folder = model_folder(damaged, f"{NAME}/1")
    (folder / "code" / "ray_pipeline" / "values.py").write_text("raise SystemExit('planted')\n")
    (folder / "SHA256SUMS").write_text(package.sums(folder))
    with pytest.raises(RegistryError, match="not the one in the registry"):
        damaged.verify(f"{NAME}/1")


def test_another_bundle_in_its_place_is_never_loaded(damaged: Registry, tmp_path: Path) -> None:
    bundle = model_folder(damaged, f"{NAME}/1") / "artifacts" / "bundle"
    other = train(tmp_path / "other", seed=9).bundle.folder
    shutil.rmtree(bundle)
    shutil.copytree(other, bundle)
    for use in (damaged.fetch, damaged.promote, lambda model: load(model, damaged.uri)):
        with pytest.raises(RegistryError, match="not the bundle that was registered"):
            use(f"{NAME}/1")


@pytest.mark.parametrize("place", ["", "artifacts", "artifacts/bundle"])
def test_a_link_in_the_place_of_a_folder_is_refused_though_it_leads_to_the_right_files(
    damaged: Registry, tmp_path: Path, place: str
) -> None:
    folder = model_folder(damaged, f"{NAME}/1") / place
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    try:
        for use in (damaged.fetch, damaged.promote, lambda model: load(model, damaged.uri)):
            with pytest.raises(RegistryError, match="is a link"):
                use(f"{NAME}/1")
    finally:
        folder.unlink()
        (tmp_path / "moved").rename(folder)


class Tripwire:
    """Unpickling it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize(
    "place",
    [
        "artifacts/bundle/model.pkl",
        "python_model.pkl",
        "verification/rows.pkl",
        "code/planted.py",
        "code/ray_pipeline/__pycache__/values.cpython-311.pyc",
        "artifacts/bundle/__pycache__/bundle.cpython-311.pyc",
    ],
)
def test_a_planted_file_is_found_and_never_opened(damaged: Registry, tmp_path: Path, place: str) -> None:
    canary = tmp_path / "canary"
    planted = model_folder(damaged, f"{NAME}/1") / place
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(pickle.dumps(Tripwire(canary)))
    with pytest.raises(RegistryError) as caught:
        damaged.verify(f"{NAME}/1")
    assert caught.value.problems[0].file == str(planted)
    if "bundle" in place:
        with pytest.raises(RegistryError, match="no part of a bundle"):
            damaged.fetch(f"{NAME}/1")
    assert not canary.exists()


def test_a_file_that_is_replaced_after_the_check_is_not_read(damaged: Registry) -> None:
    stored = model_folder(damaged, f"{NAME}/1") / "artifacts" / "bundle"
    fetched = damaged.fetch(f"{NAME}/1")
    assert fetched.stat().st_uid == os.getuid() and fetched.parents[2].stat().st_mode & 0o077 == 0
    for file in stored.iterdir():
        file.write_bytes(b"planted")
    assert Bundle.load(fetched).fingerprint
    with pytest.raises(RegistryError) as refused:
        damaged.fetch(f"{NAME}/1")
    assert {problem.file for problem in refused.value.problems} <= {str(file) for file in stored.iterdir()}


def test_the_copies_of_versions_end_with_the_process(damaged: Registry) -> None:
    fetched = damaged.fetch(f"{NAME}/1")
    versions.remove_copies()
    assert not fetched.exists()
    assert damaged.fetch(f"{NAME}/1").is_dir()


def test_the_copy_of_a_loaded_model_goes_with_it(one: Registry) -> None:
    loaded = load(f"{NAME}/1", one.uri)
    folder = loaded.folder
    assert folder.is_dir()
    del loaded
    gc.collect()
    assert not folder.exists()


def test_files_that_are_gone_are_an_error_of_the_registry(damaged: Registry) -> None:
    shutil.rmtree(model_folder(damaged, f"{NAME}/1"))
    with pytest.raises(RegistryError, match="gone"):
        damaged.verify(f"{NAME}/1")
    with pytest.raises(RegistryError, match="no bundle here"):
        damaged.fetch(f"{NAME}/1")


def test_a_source_outside_the_runs_artifacts_is_refused(one: Registry, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute("update model_versions set source = ?", ("file:///etc",))
    for use in (one.fetch, one.verify):
        with pytest.raises(RegistryError, match="outside its run's artifacts"):
            use(f"{NAME}/1")


# Finding


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a@b", ModelName(name="a", alias="b")),
        ("flight_delay/3", ModelName(name="flight_delay", version=3)),
        ("models:/x.y-z@champion", ModelName(name="x.y-z", alias="champion")),
        ("models:/x/12", ModelName(name="x", version=12)),
    ],
)
def test_models_are_named_in_four_ways(text: str, meant: ModelName) -> None:
    assert ModelName.parse(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "flight_delay",
        "a/b/c",
        "a@",
        "@b",
        "a/0",
        "a/-1",
        "a/latest",
        "models:/a",
        "a@b/3",
        "",
        "a/1\n",
        "../a/1",
        "a b@c",
        "models:/a/1#x",
        "a/1?x",
        "a/٣",
    ],
)
def test_anything_else_names_no_version(text: str) -> None:
    with pytest.raises(RegistryError, match="names no version"):
        ModelName.parse(text)


@pytest.mark.parametrize(
    ("model", "found", "fix"),
    [
        ("flight_dleay@challenger", "no model 'flight_dleay'", "did you mean 'flight_delay'"),
        ("flight_delay@chalenger", "no alias 'chalenger'", "did you mean 'flight_delay@challenger'"),
        ("flight_delay/99", "no version 99", "Known: 3, 2, 1"),
        (
            "flight_delay",
            "names no version",
            "did you mean 'flight_delay@challenger' or 'flight_delay/3'? Known: flight_delay@challenger, flight",
        ),
        ("models:/flight_delay/", "names no version", "did you mean 'flight_delay@challenger' or 'flight_delay/3'?"),
        ("flight_dleay", "no model 'flight_dleay'", "did you mean 'flight_delay'? Known: flight_delay"),
    ],
)
def test_an_unknown_model_offers_the_nearest(three: Registry, model: str, found: str, fix: str) -> None:
    for use in (three.fetch, three.show, three.verify, three.promote):
        with pytest.raises(RegistryError) as caught:
            use(model)
        assert caught.value.exit_code == 5
        assert found in caught.value.problems[0].found
        assert fix in caught.value.problems[0].fix


def test_a_name_alone_offers_only_what_exists() -> None:
    versions = [{"version": 7}, {"version": 4}]
    for aliases, shown, told in (
        (
            {"best": 4, "champion": 7},
            versions,
            "did you mean 'a@champion' or 'a/7'? Known: a@champion, a@best, a/7, a/4",
        ),
        ({}, versions, "did you mean 'a/7'? Known: a/7, a/4"),
        ({}, versions[:1], "did you mean 'a/7'?"),
        ({}, [], "it has no version yet"),
    ):
        error = names_no_version("a", {"name": "a", "aliases": aliases, "versions": shown})
        assert error.problems[0].fix == told


def test_without_an_alias_the_versions_that_exist_are_offered(registry: Registry) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("theirs")
    with pytest.raises(RegistryError, match="has no alias 'champion' · Fix: it has no version yet"):
        registry.show("theirs@champion")
    for _ in range(2):
        client.create_model_version("theirs", source="s3://bucket/model")
    client.delete_model_version("theirs", "1")
    with pytest.raises(RegistryError, match=r"no alias is set; name a version: theirs/2$"):
        registry.show("theirs@champion")


def test_no_champion_yet_is_no_error(three: Registry, registry: Registry, tmp_path: Path) -> None:
    assert registry.champion(NAME) is None
    assert three.champion("another") is None
    nowhere = Registry(f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    assert nowhere.champion(NAME) is None
    assert nowhere.list() == []
    with pytest.raises(RegistryError, match="there is no registry"):
        nowhere.fetch(f"{NAME}/1")
    assert not (tmp_path / "nowhere").exists()


def test_a_version_that_another_program_registered_is_shown_and_not_loaded(registry: Registry) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", source="s3://bucket/model")
    assert registry.list()[0]["versions"][0]["status"] == "foreign"
    assert registry.show("theirs/1")["metrics"] == {}
    with pytest.raises(RegistryError, match="not registered by ray-pipeline"):
        registry.fetch("theirs/1")


@pytest.mark.parametrize(
    "uri",
    ["./mlruns", "/srv/mlruns", "file:///srv/mlruns", "mlruns", "s3://bucket/x", "sqlite://", "sqlite:///:memory:"],
)
def test_a_folder_or_no_address_is_refused_with_the_remedy(uri: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry(uri)
    assert "sqlite:///" in caught.value.problems[0].fix


def test_a_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///runs/mlflow.db") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert Registry.default().uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert Registry.default().uri == "http://tracking:5000"
    monkeypatch.setenv("RAY_PIPELINE_REGISTRY", "sqlite:////srv/mlflow.db")
    assert Registry.default().uri == "sqlite:////srv/mlflow.db"


# Champion


def test_promotion_asks_for_a_passed_scorecard_or_a_reason(three: Registry) -> None:
    for asked in ({}, {"force": True}, {"reason": "because"}):
        with pytest.raises(RegistryError, match="says 'refused'"):
            three.promote(f"{NAME}/3", **asked)
    moved = three.promote(f"{NAME}/3", force=True, reason="the old one is worse")
    assert (moved["action"], moved["to"], moved["why"]) == ("force", 3, "the old one is worse")
    assert moved["who"].count("@") == 1
    assert moved["when"].endswith("+00:00")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(moves=[2, 1, 2, 1, "back", "back"])  # the first of two reigns of a version was taken for the second
@given(moves=st.lists(st.sampled_from([1, 2, 3, "back"]), max_size=8))
def test_promote_and_rollback_are_a_stack(three: Registry, moves: list[int | str]) -> None:
    """The oracle is a plain list; where it runs empty, so does the journal."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(three.uri, three.uri)
    client.delete_registered_model_tag(NAME, champion_history.JOURNAL)
    client.delete_registered_model_alias(NAME, "champion")
    history: list[int] = []
    for move in moves:
        if move == "back" and len(history) < 2:
            with pytest.raises(RegistryError, match="has had no champion before"):
                three.rollback(NAME)
        elif move == "back":
            history.pop()
            assert three.rollback(NAME)["to"] == history[-1]
        elif history[-1:] != [move]:
            history.append(int(move))
            three.promote(f"{NAME}/{move}", force=True, reason="test")
        else:
            assert three.promote(f"{NAME}/{move}", force=True, reason="test")["action"] == "none"
        found = three.champion(NAME)
        assert (found[0] if found else None) == (history[-1] if history else None)


def test_a_later_scorecard_decides_about_promotion(one: Registry) -> None:
    one.attach(f"{NAME}/1", "scorecard.json", REFUSED)
    assert one.show(f"{NAME}/1")["gates"] == REFUSED["gates"]
    with pytest.raises(RegistryError, match="says 'refused'"):
        one.promote(f"{NAME}/1")
    one.attach(f"{NAME}/1", "scorecard.json", PASSED)
    assert one.promote(f"{NAME}/1")["to"] == 1
    one.verify(f"{NAME}/1")


# Is it there?


def test_a_registry_that_refuses_or_hangs_is_an_error_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://user:secret@127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(RegistryError) as refused:
            Registry(address).prepare()
        listening.listen()  # accepts, and never answers
        monkeypatch.setattr(preflight, "DEADLINE_S", 1)
        with pytest.raises(RegistryError, match="did not answer within 1 s") as hung:
            Registry(address).prepare()
    for caught in (refused, hung):
        assert "127.0.0.1" in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("damage", ["torn", "no database"])
def test_a_damaged_sqlite_is_refused_and_left_alone(registry: Registry, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "mlflow.db"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage == "torn" else b"not a database" * 1000)
    before = file.read_bytes()
    with pytest.raises(RegistryError, match=r"is damaged|cannot be used"):
        registry.prepare()
    assert file.read_bytes() == before


def test_a_read_only_sqlite_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").chmod(0o444)
    with pytest.raises(RegistryError, match="read-only"):
        registry.prepare()


def test_a_locked_sqlite_is_waited_for_and_then_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "LOCK_S", 0.5)
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RegistryError, match="locked by another process"):
        registry.prepare()
    holder.execute("ROLLBACK")
    registry.prepare()
    holder.close()


NO_REGISTRY = {
    "a folder": (lambda file: file.mkdir(), "is a folder"),
    "a text": (lambda file: file.write_text("hello" * 1000), "not a database"),
    "a pipe": (os.mkfifo, "is no regular file"),
    "another program's database": (
        lambda file: sqlite3.connect(file).execute("CREATE TABLE theirs (x)").connection.close(),
        "without MLflow's tables (1 other tables)",
    ),
    "an empty file": (lambda file: file.touch(), "there is no registry"),
}


@pytest.mark.parametrize("case", list(NO_REGISTRY))
def test_a_file_that_is_no_registry_is_an_error_within_seconds_and_stays_as_it_is(tmp_path: Path, case: str) -> None:
    make, found = NO_REGISTRY[case]
    file = tmp_path / "mlflow.db"
    make(file)
    before = file.read_bytes() if file.is_file() else None
    registry, begun = Registry(f"sqlite:///{file}"), time.monotonic()
    for read in (registry.show, registry.verify, registry.promote, registry.fetch):
        with pytest.raises(RegistryError) as caught:
            read(f"{NAME}/1")
        assert found in caught.value.problems[0].found and caught.value.problems[0].fix
    if case == "an empty file":
        assert registry.list() == [] and registry.champion(NAME) is None
    else:
        with pytest.raises(RegistryError):
            registry.list()
    if case in ("a folder", "a text", "a pipe"):
        with pytest.raises(RegistryError):
            registry.prepare()
    assert time.monotonic() - begun < 10
    assert (file.read_bytes() if file.is_file() else None) == before


def test_a_locked_sqlite_is_named_by_those_who_only_read(
    one: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "BUSY_S", 0.5)
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for read in (one.list, lambda: one.show(f"{NAME}/1"), lambda: one.fetch(f"{NAME}/1"), lambda: one.champion(NAME)):
        with pytest.raises(RegistryError, match=r"locked by another process for 0\.5 s"):
            read()
    holder.execute("ROLLBACK")
    assert one.list()[0]["name"] == NAME
    holder.close()


def test_a_database_that_does_not_answer_is_an_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "DEADLINE_S", 1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        registry = Registry(f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.listen()  # accepts, and never answers
        for read in (registry.list, lambda: registry.show(f"{NAME}/1"), lambda: registry.rollback(NAME)):
            with pytest.raises(RegistryError, match="did not answer within 1 s"):
                read()


# Through the command line


@pytest.fixture
def command() -> typer.Typer:
    """The `models` commands alone."""
    return build()


def answer(command: typer.Typer, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of one call."""
    done = CliRunner().invoke(command, ["models", *words, "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def test_the_verbs_answer_in_json(command: typer.Typer, one: Registry, trained: Trained) -> None:
    add(one, trained, "run-2", scorecard=REFUSED)
    at = ("--registry", one.uri)
    code, listed = answer(command, "list", *at)
    assert (code, listed["status"], listed["exit"]) == (0, "done", 0)
    assert listed["models"] == one.list()
    assert answer(command, "show", f"{NAME}/1", *at)[1]["metrics"]["auc"] == 0.71
    assert answer(command, "verify", f"{NAME}@challenger", *at)[1]["status"] == "verified"
    assert answer(command, "promote", f"{NAME}/1", *at)[1]["to"] == 1
    code, refused = answer(command, "promote", f"{NAME}/2", *at)
    assert (code, refused["status"], refused["exit"]) == (5, "error", 5)
    assert "--force --reason" in refused["problems"][0]["fix"]
    assert answer(command, "promote", f"{NAME}/2", "--force", "--reason", "trial", *at)[1]["from"] == 1
    assert answer(command, "rollback", NAME, *at)[1]["to"] == 1
    code, unknown = answer(command, "show", "flight_dely/1", *at)
    assert (code, unknown["exit"]) == (5, 5)
    assert "did you mean 'flight_delay'" in unknown["problems"][0]["fix"]


def test_the_verbs_print_tables_for_people(command: typer.Typer, one: Registry) -> None:
    at = ("--registry", one.uri)
    one.promote(f"{NAME}/1", reason="first")
    listed = CliRunner().invoke(command, ["models", "list", *at])
    assert listed.exit_code == 0
    heads, row = (line.split() for line in listed.stdout.splitlines())
    assert heads[:3] == ["MODEL", "VERSION", "STATUS"]
    assert row[:4] == [NAME, "1", "registered", "passed"]
    shown = CliRunner().invoke(command, ["models", "show", f"{NAME}@champion", *at]).stdout
    assert "auc >= 0.6" in shown
    assert "first" in shown
    assert "metrics of the test part of run-1\n" in shown and "gates of the test part of run-1\n" in shown
    one.attach(f"{NAME}/1", "scorecard.json", {**REFUSED, "rows_path": "may.csv"})
    shown = CliRunner().invoke(command, ["models", "show", f"{NAME}@champion", *at]).stdout
    assert "metrics of the test part of run-1\n" in shown and "gates of may.csv, judged 20" in shown


# A tracking server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow server` on loopback, with sqlite, serving artifacts by proxy."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, f"sqlite:///{folder}/server.db") as uri:
        yield uri


@pytest.mark.long
def test_a_tracking_server_serves_the_whole_life_of_a_model(server: str, trained: Trained) -> None:
    registry = Registry(server)
    registry.prepare()
    assert registry.champion(NAME) is None
    assert [add(registry, trained, run) for run in ("run-1", "run-2", "run-1")] == [1, 2, 1]
    assert registry.verify(f"{NAME}@challenger")["rows"] == package.ROWS
    assert registry.promote(f"{NAME}/1")["to"] == 1
    assert registry.promote(f"{NAME}/2")["from"] == 1
    assert registry.rollback(NAME)["to"] == 1
    version, folder = registry.champion(NAME) or (0, Path())
    assert version == 1
    np.testing.assert_array_equal(Bundle.load(folder).score(trained.rows), trained.bundle.score(trained.rows))
    assert registry.show(f"{NAME}/2")["gates"] == PASSED["gates"]
    with pytest.raises(RegistryError, match="did you mean 'flight_delay'"):
        registry.fetch("flight_dela/1")


@pytest.mark.parametrize(
    ("family", "wanted", "unwanted"), [("linear", "safetensors", "torch"), ("xgboost", "xgboost", "safetensors")]
)
def test_a_version_asks_for_what_its_family_scores_with_and_no_more(
    family: str, wanted: str, unwanted: str, tmp_path: Path
) -> None:
    (tmp_path / find("models", family).file).touch()
    bundle: Any = SimpleNamespace(folder=tmp_path, families=(family,))
    names = [one.partition("==")[0] for one in package.requirements(bundle)]
    assert wanted in names and unwanted not in names


def test_a_damaged_version_is_not_rolled_back_to(registry: Registry, trained: Trained) -> None:
    for run in ("run-1", "run-2"):
        add(registry, trained, run)
    registry.promote(f"{NAME}/1")
    registry.promote(f"{NAME}/2")
    (model_folder(registry, f"{NAME}/1") / "artifacts" / "bundle" / "model.ubj").write_bytes(b"another")
    with pytest.raises(RegistryError, match=r"model\.ubj"):
        registry.rollback(NAME)
    assert registry.show(f"{NAME}@champion")["version"] == 2


def test_the_files_of_a_registry_are_of_this_user_alone(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    add(Registry(f"sqlite:///{folder}/mlflow.db"), trained, "run-1")
    below = list(folder.iterdir())
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in below}
    assert [path for path in below if path.stat().st_mode & 0o077] == []
