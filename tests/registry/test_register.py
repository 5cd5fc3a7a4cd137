"""The stage `register`: the verdict and the spec decide, and the version holds what the run made."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from run_fixture import run_at
from tables import SPEC

from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.register import PLAIN_FILES, register
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.digests import json_digest
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.refit import TrainedModel

DATA = {"labels": {"fingerprint": "abc", "rows": 6_000}}
METRICS = {"auc": SimpleNamespace(value=0.8), "log_loss": SimpleNamespace(value=0.4)}


class Shelf:
    """A registry that keeps what it is given."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.given: list[NewVersion] = []

    def register(self, version: NewVersion) -> int:
        self.events.append("register")
        self.given.append(version)
        return 3


def verdict(passed: bool) -> Verdict:
    return cast(
        Verdict,
        SimpleNamespace(
            passed=passed,
            as_json=lambda: {"passed": passed, "gates": []},
            evaluation=SimpleNamespace(overall_metrics=METRICS),
        ),
    )


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    """The parts of a trained model that are registered."""
    found = SimpleNamespace(
        bundle=SimpleNamespace(folder=tmp_path / "model", model={"family": "xgboost"}),
        best=SimpleNamespace(family="xgboost", params={"max_depth": 3}),
        proof=SimpleNamespace(sample=pa.table({"amount": [1.0, 2.0]}), scores=np.array([0.25, 0.5])),
    )
    return cast(TrainedModel, found)


def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *sets: str) -> tuple[Run, Shelf, list[str]]:
    """A run at its last stage, the registry, and what happens in which order."""
    events = list[str]()

    def report(self: Run) -> Path:
        events.append("report")
        return self.folder.path / "report.html"

    monkeypatch.setattr(Run, "write_report", report)
    run = run_at(tmp_path / "runs", Spec.from_text(SPEC, sets, file="loans.yaml", folder=tmp_path))
    shelf = Shelf(events)
    run.registry, run.facts["data"] = cast(Any, shelf), DATA
    run.registry_ready = lambda: events.append("ready")
    run.end_session = lambda: events.append("session")
    return run, shelf, events


def test_a_model_that_passed_is_registered_with_its_proof_its_lineage_and_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: TrainedModel
) -> None:
    run, shelf, events = begun(tmp_path, monkeypatch)
    run.journal.record("warm_start", {"source": "models:/loans/2", "family": "xgboost", "params": {}})
    assert register(model, verdict(True), run) == 3
    assert [event for event in events if event != "session"] == ["report", "ready", "register"]
    (version,) = shelf.given
    assert (version.name, version.run, version.alias) == ("loans", run.id, "challenger")
    assert version.bundle_folder == model.bundle.folder
    assert version.sample is model.proof.sample and version.scores is model.proof.scores
    assert version.scorecard == {"passed": True, "gates": []}
    assert version.metrics == {"auc": 0.8, "log_loss": 0.4} and version.params == {"max_depth": 3}
    assert version.tags == {"fingerprint": run.spec.fingerprint, "family": "xgboost"}
    assert version.spec_text == run.spec.render()
    assert version.lineage == {
        "fingerprint": json_digest(DATA),
        "tables": DATA,
        "environment": dict(run.versions),
        "parent": "models:/loans/2",
    }
    assert version.spec_file == "loans.yaml"
    assert version.sources == {name: str(tmp_path / table.path) for name, table in run.spec.features.all.items()}
    assert [path.name for path in version.files] == ["report.html", *PLAIN_FILES]
    assert all(path.parent == run.folder.path for path in version.files)


@pytest.mark.parametrize(
    ("sets", "passed", "registered"),
    [
        (["register=false"], True, False),
        (["register=false"], False, False),
        (["register={alias: challenger}"], False, False),
        (["register={alias: challenger, when: always}"], False, True),
        (["register={alias: challenger, when: always}"], True, True),
        (["register={}"], True, True),
    ],
)
def test_the_spec_and_the_verdict_decide_whether_there_is_a_version(
    sets: list[str],
    passed: bool,
    registered: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: TrainedModel,
) -> None:
    run, shelf, events = begun(tmp_path, monkeypatch, *sets)
    assert register(model, verdict(passed), run) == (3 if registered else None)
    assert len(shelf.given) == registered
    # The report is written and Ray ends whatever the verdict is; the registry is asked only where it is needed.
    assert "report" in events and "session" in events and ("ready" in events) == registered


def test_a_registry_that_is_not_ready_ends_the_run_before_a_version_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: TrainedModel
) -> None:
    run, shelf, events = begun(tmp_path, monkeypatch)

    def fail() -> None:
        raise OSError("the registry is gone")

    run.registry_ready = fail
    with pytest.raises(OSError, match="the registry is gone"):
        register(model, verdict(True), run)
    assert shelf.given == [] and "report" in events
