"""Whole runs that tell their events: a registered one, a refused one whose hooks hang, and one that fails."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from receiver_fixture import receiver
from run_fixture import Told
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.errors import DataError
from ray_pipeline.events import delivery, hooks
from ray_pipeline.registered_model import evaluate_registered
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
GATES = "gates: [auc >= 0.6, auc >= champion - 0.2, selection_rate gap by sex <= 0.6]"


@pytest.fixture
def folder(loans: Path, ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tables, which is the working directory."""
    shutil.copytree(loans / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.001)
    return tmp_path


def run(folder: Path, gates: str, told: Told | None = None, **cluster: Any) -> Release:
    """A small run with these gates and these keys of the cluster file."""
    path = write_spec(
        folder, trials="trials: 6 => trials: 1", gates=f"{GATES} => gates: {gates}", alias="challenger => champion"
    )
    (folder / "cluster.yaml").write_text(json.dumps(cluster))
    return pipeline.run(Spec.from_file(path), Where.from_file(folder / "cluster.yaml"), progress=told)


def manifest(release: Release) -> Any:
    return json.loads((Path(release.folder) / "manifest.json").read_text())


def test_a_registered_and_a_refused_run_tell_their_events_in_order_and_make_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as server, receiver() as marquez:
        told = {event: {"url": server.url} for event in ("registered", "refused", "promoted", "revoked")}
        first = run(folder, "[auc >= 0.6]", hooks=told, lineage=marquez.url)
        rows = pq.read_table(folder / "data" / "loans" / "part-0.parquet")
        losses = pa.array(rows["loss"].to_pylist()[::-1])
        pq.write_table(rows.set_column(rows.column_names.index("loss"), "loss", losses), folder / "new.parquet")
        where = Where.from_file(folder / "cluster.yaml")
        answer = evaluate_registered("loans@champion", folder / "new.parquet", where, revoke=True)
    assert [event["event"] for event in server.events] == ["registered", "promoted", "revoked"]
    registered, promoted, revoked = server.events
    assert revoked.items() >= answer["revoked"].items() and revoked["model"] == "models:/loans/1"
    assert registered.items() >= first.as_json().items() and registered["alias"] == "champion"
    assert promoted["model"] == first.model == "models:/loans/1"
    start, complete = marquez.events
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert [one["name"] for one in complete["inputs"]] == [
        f"{folder}/data/{name}" for name in ("loans", "rates.parquet", "branches.parquet")
    ]
    assert [one["facets"]["version"]["datasetVersion"] for one in complete["outputs"]] == ["1"]
    income = complete["inputs"][0]["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["income"]
    evaluated = complete["inputs"][0]["inputFacets"]["dataQualityMetrics"]["rowCount"]
    assert evaluated == first.rows["train"] == income["nullCount"] + income["count"] and income["nullCount"] > 0

    monkeypatch.setattr(hooks, "DEADLINE_S", 0.2)
    progress = Told()
    second = run(
        folder,
        "[auc >= 0.99]",
        progress,
        hooks={"refused": {"command": "sleep 600"}, "registered": {"command": "touch registered"}},
        lineage=marquez.url,
    )
    warnings = [note for note in progress.notes if "hook" in note or "OpenLineage" in note]
    assert (second.status, second.exit) == ("refused", 7)
    assert warnings == [
        "the hook of `refused` failed: 'sleep' was killed after 0.2 s",
        "OpenLineage did not get START and COMPLETE: 127.0.0.1 did not answer (Connection refused) 4 times",
    ]
    assert not (folder / "registered").exists()
    assert manifest(first)["digests"] == manifest(second)["digests"]
    assert manifest(first)["where"] == manifest(second)["where"], "events leave no trace in the manifest"
    kept = b"".join(path.read_bytes() for one in (first, second) for path in Path(one.folder).rglob("*.json"))
    assert server.url.encode() not in kept and b"sleep" not in kept


def test_a_run_that_fails_says_so_in_a_file(folder: Path) -> None:
    (folder / "data" / "rates.parquet").unlink()
    with pytest.raises(DataError):
        run(folder, "[auc >= 0.6]", hooks={"refused": {"command": "touch refused"}}, lineage="lineage.jsonl")
    start, fail = map(json.loads, (folder / "lineage.jsonl").read_text().splitlines())
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert "rates.parquet" in fail["run"]["facets"]["errorMessage"]["message"]
    assert not (folder / "refused").exists(), "a run that fails was not judged"
