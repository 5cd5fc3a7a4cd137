"""OpenLineage events: the classes of openlineage-python take each of them, and give it back as it was."""

import importlib
import pkgutil
import re
import types
import typing
import uuid
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attr
import pyarrow as pa
import pytest
from openlineage.client import generated
from openlineage.client.generated.base import BaseFacet, RunEvent
from openlineage.client.naming.dataset import S3, Postgres
from openlineage.client.serde import Serde
from receiver_fixture import receiver
from run_fixture import Told

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.errors import DataError, Interrupted, Problem
from ray_pipeline.events import delivery, lineage, openlineage
from ray_pipeline.events.delivery import body_of
from ray_pipeline.profiling.column_statistics import ColumnStatistics
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = """
name: loans
task: binary
features:
  labels: {path: s3://bank/loans/2024, label: loss > 0, key: id}
  rates: {path: rates.parquet, on: [branch], columns: [rate]}
  clients:
    kind: sql
    url: postgresql+psycopg2://reader:${env:CLIENTS_PASSWORD}@db:5432/crm
    query: SELECT 1
    on: [id]
split: {by: random}
model: xgboost
"""
PASSWORD = "hunter2hunter2"


def classes() -> dict[str, type]:
    """The classes of openlineage-python by their names."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        names = vars(importlib.import_module(f"{generated.__name__}.{module.name}"))
        found |= {name: kind for name, kind in names.items() if isinstance(kind, type) and attr.has(kind)}
    return found


CLASSES = classes()


def read(hint: Any, value: Any) -> Any:
    """The value as the class of a field takes it; it must have the field's type."""
    options = [one for one in typing.get_args(hint) if one is not type(None)]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return read(options[0], value)
    if typing.get_origin(hint) is list:
        return [read(options[0], item) for item in value]
    if typing.get_origin(hint) is dict:
        return {key: read(options[1], item) for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if isinstance(hint, type) and attr.has(hint):
        return built(hint, value)
    assert hint is Any or isinstance(value, (int, float) if hint is float else hint), (hint, value)
    return value


def built(kind: type, value: dict[str, Any]) -> Any:
    """The object of a class of openlineage-python; of a facet, of the class that its schema names."""
    if issubclass(kind, BaseFacet):
        kind = CLASSES[value["_schemaURL"].rpartition("/")[2]]
    hints = typing.get_type_hints(kind)
    given = {name: one for name, one in value.items() if name not in ("schemaURL", "_schemaURL")}
    return kind(**{name.removeprefix("_"): read(hints[name], one) for name, one in given.items()})


def bare(value: Any) -> Any:
    """The value without what is empty, and without the numbers of versions of schemas."""
    if isinstance(value, dict):
        return {name: left for name, one in value.items() if (left := bare(one)) not in (None, {}, [])}
    if isinstance(value, list):
        return [bare(one) for one in value]
    return re.sub(r"(?<=/)\d+-\d+-\d+(?=/)", "N", value) if isinstance(value, str) else value


def assert_valid(event: dict[str, Any]) -> None:
    assert bare(Serde.to_dict(built(RunEvent, event))) == bare(event)


def footers(path: str, **columns: str) -> Footers:
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    return Footers(path=path, files=("a", "b"), schema=schema, num_rows=1000, num_bytes=5000, fingerprint="0")


PROFILE = cast(
    Profile,
    SimpleNamespace(
        parts={"train": 600, "validation": 200, "test": 200},
        footers={
            "labels": footers("s3://bank/loans/2024", id="int64", branch="string", amount="double", asked="date32"),
            "rates": footers("rates.parquet", branch="string", rate="float"),
        },
        types={
            "branch": pa.string(),
            "amount": pa.float64(),
            "asked": pa.date32(),
            "rates.rate": pa.float32(),
        },
        columns={
            "branch": ColumnStatistics(rows=600, nulls=10, values={"a": 400, "b": 190}),
            "amount": ColumnStatistics(rows=600, nulls=5, low=1.0, high=9.5),
            "asked": ColumnStatistics(rows=600, low=1e15, high=2e15),
            "rates.rate": ColumnStatistics(rows=600, nulls=600),
        },
    ),
)
RELEASE = Release(
    run="loans-0-1",
    status="registered",
    exit=0,
    model="models:/loans/3",
    version=3,
    family="xgboost",
    fit={},
    metrics={},
    gates=({"gate": "auc >= 0.6", "passed": True}, {"gate": "auc >= champion", "passed": False}),
    num_trials=1,
    rows={},
    seconds={},
    report="r",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("CLIENTS_PASSWORD", PASSWORD)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The context of a run whose events go to `events.jsonl`."""
    (tmp_path / "cluster.yaml").write_text("lineage: events.jsonl\n")
    facts: dict[str, Any] = {
        "spec": Spec.from_text(SPEC, folder=tmp_path),
        "where": Where.from_file(tmp_path / "cluster.yaml"),
        "registry": SimpleNamespace(uri="postgresql://me:hunter2hunter2@db/mlflow?sslmode=require"),
        "versions": {"ray": "2.60.0"},
    }
    return cast(Run, SimpleNamespace(id="loans-0-1", profile=None, release=None, **facts))


def events(folder: Path) -> list[Any]:
    lines = (folder / "events.jsonl").read_text()
    assert "hunter2" not in lines
    return [delivery.json.loads(line) for line in lines.splitlines()]


def test_a_run_starts_and_completes_with_inputs_outputs_and_quality(run: Run, tmp_path: Path) -> None:
    with lineage.lineage(run):
        run.profile = PROFILE
        run.release = RELEASE
    start, complete = events(tmp_path)
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    for event in (start, complete):
        assert_valid(event)
        assert event["job"] == {**event["job"], "namespace": "ray_pipeline", "name": "loans"}
    assert start["run"]["runId"] == complete["run"]["runId"] == str(uuid.UUID(start["run"]["runId"]))
    assert start["outputs"] == [] and [one["name"] for one in start["inputs"]] == [
        "loans/2024",
        f"{tmp_path}/rates.parquet",
        "crm#e004ebd5",
    ]
    labels, rates, clients = complete["inputs"]
    assert [one["namespace"] for one in (labels, rates, clients)] == ["s3://bank", "file", "postgres://db:5432"]
    assert clients["facets"]["documentation"]["description"] == "SELECT 1"
    assert labels["facets"]["schema"]["fields"][2] == {"name": "amount", "type": "double"}
    assert (
        labels["inputFacets"]["inputStatistics"] | {"rowCount": 1000, "size": 5000, "fileCount": 2}
        == (labels["inputFacets"]["inputStatistics"])
    )
    quality = labels["inputFacets"]["dataQualityMetrics"]
    assert (quality["rowCount"], quality["columnMetrics"]) == (
        600,
        {
            "branch": {"nullCount": 10, "count": 590, "distinctCount": 2},
            "amount": {"nullCount": 5, "count": 595, "min": 1.0, "max": 9.5},
            "asked": {"nullCount": 0, "count": 600},
        },
    )
    assert rates["inputFacets"]["dataQualityMetrics"]["columnMetrics"] == {"rate": {"nullCount": 600, "count": 0}}
    (model,) = complete["outputs"]
    assert (model["namespace"], model["name"]) == ("postgresql://db/mlflow", "loans")
    assert (model["facets"]["version"]["datasetVersion"], model["facets"]["datasetType"]["datasetType"]) == (
        "3",
        "MODEL",
    )
    tests = complete["run"]["facets"]["test"]["tests"]
    assert [(one["name"], one["status"]) for one in tests] == [("auc >= 0.6", "pass"), ("auc >= champion", "fail")]


def test_names_are_those_of_openlineage() -> None:
    ours = openlineage.table_dataset("s3://bank/loans/2024?endpoint_override=http://minio")
    theirs = S3("bank", "loans/2024")
    assert (ours["namespace"], ours["name"]) == (theirs.get_namespace(), theirs.get_name())
    database = openlineage.query_dataset("postgresql://me:pw@db:5432/crm", "SELECT 1")
    assert database["namespace"] == Postgres("db", "5432", "crm", "public", "t").get_namespace()
    assert openlineage.query_dataset("sqlite:////srv/a.db", "SELECT 1")["name"].startswith("/srv/a.db#")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DataError(Problem(found="the file at s3://me:hunter2@bank/x is gone", fix="restore it")), "FAIL"),
        (ZeroDivisionError(), "FAIL"),
        (Interrupted(Problem(found="interrupted")), "ABORT"),
        (KeyboardInterrupt(), "ABORT"),
    ],
)
def test_a_run_that_does_not_end_well_says_why(error: BaseException, state: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(type(error)), lineage.lineage(run):
        raise error
    start, end = events(tmp_path)
    assert_valid(end)
    assert (start["eventType"], end["eventType"], end["outputs"]) == ("START", state, [])
    facet = end["run"]["facets"]["errorMessage"]
    assert facet["message"] == (str(error) or type(error).__name__) and facet["programmingLanguage"] == "python"


def test_a_server_gets_the_events_in_order_with_the_key_of_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lineage.API_KEY, "key-0123456789")
    with receiver([503]) as server:
        run.where = Where(lineage=server.url)
        with lineage.lineage(run):
            pass
    assert [event["eventType"] for event in server.events] == ["START", "START", "COMPLETE"]
    assert {one["Authorization"] for one in server.headers} == {"Bearer key-0123456789"}


def test_a_server_that_is_down_is_one_warning(run: Run) -> None:
    with receiver() as server:
        url = server.url  # nobody listens there after this block
    run.where, progress = Where(lineage=url), Told()
    with progress.current(), lineage.lineage(run):
        pass
    reason = "127.0.0.1 did not answer (Connection refused) 4 times"
    assert progress.notes == [f"OpenLineage did not get START and COMPLETE: {reason}"]


def test_an_event_that_cannot_be_made_is_one_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIENTS_PASSWORD")
    progress = Told()
    with progress.current(), lineage.lineage(run):
        pass
    assert progress.notes == ["OpenLineage did not get START and COMPLETE: ValueError"]


def test_without_a_place_for_lineage_nothing_is_sent(run: Run, tmp_path: Path) -> None:
    run.where = Where()
    with lineage.lineage(run):
        pass
    assert not (tmp_path / "events.jsonl").exists()


def test_an_event_is_one_line_of_json() -> None:
    body = body_of({"run": {"message": "two\nlines", "list": ["s3://me:password@bucket", float("inf"), ("a",)]}})
    assert body == b'{"run": {"message": "two\\nlines", "list": ["s3://***@bucket", null, ["a"]]}}'
