"""The events of a run as OpenLineage 2-0-2 writes them: https://openlineage.io/spec/2-0-2/OpenLineage.json."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import urlsplit

import pyarrow as pa

from ray_pipeline.profiling.column_statistics import ColumnStatistics
from ray_pipeline.profiling.profile import Profile

Json = dict[str, Any]
State = Literal["START", "COMPLETE", "FAIL", "ABORT"]

SPEC = "https://openlineage.io/spec"
NAMESPACE = "ray_pipeline"
"""Of jobs."""
FACETS = {
    "schema": "1-2-0/SchemaDatasetFacet",
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "documentation": "1-1-0/DocumentationDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "datasetType": "1-0-1/DatasetTypeDatasetFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "dataQualityMetrics": "1-0-3/DataQualityMetricsInputDatasetFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "tags": "1-0-0/TagsRunFacet",
    "test": "1-0-1/TestRunFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
}
"""Version and class of each facet that is written."""
DATABASES = {"postgresql": "postgres", "mssql": "sqlserver"}
"""Namespaces of databases that OpenLineage calls otherwise than SQLAlchemy."""
FILES = ("sqlite", "duckdb")


def producer() -> str:
    """The URI of this version of the package."""
    return f"https://pypi.org/project/ray-pipeline/{version('ray-pipeline')}"


def run_event(
    state: State, *, run_id: str, run: Json, job: str, inputs: Sequence[Json], outputs: Sequence[Json] = ()
) -> Json:
    """One event of a run.

    Parameters
    ----------
    state
        What the run has done.
    run_id
        A UUID, the same in each event of one run.
    run
        The facets of the run, by name.
    job
        The name of the job.
    inputs, outputs
        Datasets.
    """
    kind = {"processingType": "BATCH", "integration": "RAY_PIPELINE", "jobType": "JOB"}
    return {
        "eventType": state,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "producer": producer(),
        "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run_id, "facets": facets(run)},
        "job": {"namespace": NAMESPACE, "name": job, "facets": facets({"jobType": kind})},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


def facets(contents: Mapping[str, Json]) -> Json:
    """The facets with what every facet says of itself: who made it, and by which schema."""
    return {name: {"_producer": producer(), "_schemaURL": _schema_url(name), **own} for name, own in contents.items()}


def engine(ray: str, run: str, fingerprint: str) -> Json:
    """The facets of a run that are known when it starts: versions, and the run's id and fingerprint as tags."""
    tags = [{"key": key, "value": value} for key, value in (("run", run), ("fingerprint", fingerprint))]
    adapter = version("ray-pipeline")
    return {
        "processing_engine": {"version": ray, "name": "ray", "openlineageAdapterVersion": adapter},
        "tags": {"tags": [{**tag, "source": "RAY_PIPELINE"} for tag in tags]},
    }


def gates_facet(gates: Sequence[Mapping[str, Any]]) -> Json:
    """The gates of a run as tests."""
    tests = [
        {"name": gate["gate"], "status": "pass" if gate["passed"] else "fail", "severity": "error", "type": "gate"}
        for gate in gates
    ]
    return {"test": {"tests": tests}} if tests else {}


def table_dataset(path: str) -> Json:
    """The dataset of a file, a folder or an object, by OpenLineage's naming.

    >>> dataset = table_dataset("s3://bucket/data/weather")
    >>> dataset["namespace"], dataset["name"]
    ('s3://bucket', 'data/weather')
    """
    if "://" not in path:
        return _dataset("file", path, f"file://{path}")
    scheme, _, rest = path.partition("?")[0].partition("://")
    authority, _, name = rest.partition("/")
    return _dataset(f"{scheme}://{authority}", name or "/", f"{scheme}://{rest}")


def query_dataset(url: str, query: str) -> Json:
    """The dataset of a query: its database, and the query's hash, because no table is known.

    Parameters
    ----------
    url
        As SQLAlchemy writes it. A login in it is left out.
    query
        The statement, which becomes the documentation.
    """
    parts = urlsplit(url)
    scheme, database = parts.scheme.partition("+")[0], parts.path.removeprefix("/")
    if scheme in FILES:
        namespace = "file"
    else:
        port = f":{parts.port}" if parts.port else ""
        namespace = f"{DATABASES.get(scheme, scheme)}://{parts.hostname or 'localhost'}{port}"
    dataset = _dataset(namespace, f"{database}#{hashlib.sha256(query.encode()).hexdigest()[:8]}", None)
    dataset["facets"] |= facets({"documentation": {"description": query}})
    return dataset


def model_dataset(registry: str, name: str, number: int) -> Json:
    """The dataset of a registered version: the namespace is the registry, without a login."""
    scheme, _, rest = registry.partition("?")[0].partition("://")
    facts: dict[str, Json] = {"version": {"datasetVersion": str(number)}, "datasetType": {"datasetType": "MODEL"}}
    return {
        "namespace": f"{scheme}://{rest.rpartition('@')[2]}",
        "name": name,
        "facets": facets(facts),
    }


def table_facets(profile: Profile) -> dict[str, Json]:
    """The facets of each table that the profile knows.

    Returns
    -------
    dict
        By table: `facets` with its columns, and `inputFacets` with the rows, bytes and files of the table, and with
        counts of its features over the joined training rows.
    """
    rows = profile.parts.get("train", 0)
    found = dict[str, Json]()
    for name, footers in profile.footers.items():
        fields = [{"name": field.name, "type": str(field.type)} for field in footers.schema]
        prefix = "" if name == "labels" else f"{name}."
        columns = {
            column: _metrics(profile.columns[key], profile.types[key])
            for column in footers.schema.names
            if (key := f"{prefix}{column}") in profile.columns
        }
        sizes = {"rowCount": footers.num_rows, "size": footers.num_bytes, "fileCount": len(footers.files)}
        quality = {"rowCount": rows, "columnMetrics": columns}
        found[name] = {
            "facets": facets({"schema": {"fields": fields}}),
            "inputFacets": facets({"inputStatistics": sizes, "dataQualityMetrics": quality}),
        }
    return found


def with_facets(dataset: Json, known: Json) -> Json:
    """A dataset of an input, with what the profile knows of it."""
    own: Json = {"facets": {**dataset["facets"], **known.get("facets", {})}}
    return {**dataset, **own, "inputFacets": known.get("inputFacets", {})}


def _metrics(statistics: ColumnStatistics, type_: pa.DataType) -> Json:
    """Counts of one column, and the range of a number."""
    metrics: Json = {"nullCount": statistics.nulls, "count": statistics.rows - statistics.nulls}
    if statistics.values:
        metrics["distinctCount"] = len(statistics.values)
    is_number = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    if is_number and statistics.low is not None and statistics.high is not None:
        metrics |= {"min": float(statistics.low), "max": float(statistics.high)}
    return metrics


def _dataset(namespace: str, name: str, uri: str | None) -> Json:
    source = {"name": namespace, **({"uri": uri} if uri else {})}
    return {"namespace": namespace, "name": name, "facets": facets({"dataSource": source})}


def _schema_url(facet: str) -> str:
    name = FACETS[facet].partition("/")[2]
    return f"{SPEC}/facets/{FACETS[facet]}.json#/$defs/{name}"
