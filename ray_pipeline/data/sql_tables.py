"""Tables that are queries: read once, in parts, to Parquet; the spec then names the folder of the rows."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.components.sources.sql import NOT_READ
from ray_pipeline.data.open_tables import for_each
from ray_pipeline.data.query_rows import FILES, query_rows
from ray_pipeline.data.query_types import schema_of, unlike, unstorable
from ray_pipeline.errors import DataError, Problem, SpecError, StorageError
from ray_pipeline.redaction import redacted
from ray_pipeline.runtime.background import items_in_time
from ray_pipeline.spec import Spec
from ray_pipeline.spec.environment import expand
from ray_pipeline.spec.table_fields import with_paths
from ray_pipeline.spec.where import Where

KIND = "sql"
Write = Callable[[str, pa.Buffer], object]
"""Stores the content of a file under a relative path."""


def with_query_rows(spec: Spec, where: Where, write: Write, folder: str) -> tuple[Spec, dict[str, Any]]:
    """Read every query that is not read yet.

    Parameters
    ----------
    spec
        The spec.
    where
        Says where paths of database files start.
    write
        Stores a file.
    folder
        Where `write` puts files: a folder or URI.

    Returns
    -------
    tuple
        The spec with the folder of each query's rows; and for the manifest, by table: `query`, `url` without
        credentials, `read_at` (UTC), `seconds`, `rows`, `files` and `sha256` of the files.

    Raises
    ------
    SpecError
        A variable of a URL is not set.
    StorageError
        A database cannot be reached, or gives no row for `stall_after`.
    DataError
        A database refuses a query, or a query gives no rows; the problems of all tables are reported at once.
    """
    waiting = {name: table for name, table in spec.features.all.items() if is_waiting(table)}
    facts = for_each(waiting, lambda name: _read(name, waiting[name].parameters, spec, where, write))
    return with_paths(spec, {name: f"{folder}/{_place(name)}" for name in facts}), facts


def is_waiting(table: Any) -> bool:
    """Whether the table is a query that is not read yet."""
    return bool(table.kind == KIND and table.path == NOT_READ)


def to_read_again(spec: Spec) -> Spec:
    """Return the spec with the queries of its feature tables to be read again: their rows of today."""
    tables = spec.features.tables
    return with_paths(spec, {name: NOT_READ for name, table in tables.items() if table.kind == KIND})


def with_rows_of(spec: Spec, other: Spec) -> Spec:
    """Return the spec with the rows that another one has read of the same queries."""
    read = {
        (table.parameters["url"], table.parameters["query"]): table.path
        for table in other.features.all.values()
        if table.kind == KIND
    }
    queries = {
        name: read.get((table.parameters["url"], table.parameters["query"]))
        for name, table in spec.features.all.items()
        if table.kind == KIND
    }
    return with_paths(spec, {name: path for name, path in queries.items() if path})


def _place(name: str) -> str:
    return f"tables/{name}"


def _read(name: str, parameters: Mapping[str, Any], spec: Spec, where: Where, write: Write) -> dict[str, Any]:
    """Write the rows of one query, a file for each part; all files have the same types."""
    query = parameters["query"]
    try:
        url = absolute_url(expand(parameters["url"]), where, spec)
    except ValueError as error:
        file, line = spec.place(key := f"features.{name}.url")
        raise SpecError(Problem(file=file, line=line, key=key, found=str(error), fix="set the variable")) from None
    began, moment = time.monotonic(), datetime.now(UTC)
    try:
        parts = [
            _encoded(name, part)
            for part in items_in_time(query_rows(name, url, query), where.stall_after.total_seconds())
        ]
    except TimeoutError:
        raise StorageError(_silent(name, where)) from None
    types = schema_of(name, parts, finds_times=url.startswith("sqlite"))
    digest, rows = hashlib.sha256(), 0
    for number, part in enumerate(parts):
        content = _cast(name, part, types)
        rows += pq.read_metadata(pa.BufferReader(content)).num_rows
        digest.update(content)
        write(f"{_place(name)}/part-{number:05}.parquet", content)
    if not rows:
        found = f"{name}: the query gives 0 rows"
        raise DataError(Problem(stage="read", key=f"features.{name}.query", rows=0, found=found, fix="correct `query`"))
    return {
        "query": query,
        "url": redacted(parameters["url"]),
        "read_at": moment.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 2),
        "rows": rows,
        "files": len(parts),
        "sha256": digest.hexdigest(),
    }


def _silent(name: str, where: Where) -> Problem:
    found = f"{name}: the database has given no row for {where.stall_after.total_seconds():g} s (`stall_after`)"
    fix = "see in the database what the query waits for, or give `stall_after` in the cluster file more"
    return Problem(stage="read", key=f"features.{name}.query", found=found, fix=fix)


def _cast(name: str, part: pa.Buffer, types: pa.Schema) -> pa.Buffer:
    """The file with its columns in these types."""
    if pq.read_schema(pa.BufferReader(part)) == types:
        return part
    table = pq.read_table(pa.BufferReader(part))
    for place, field in enumerate(types):
        try:
            table = table.set_column(place, field, table[field.name].cast(field.type))
        except pa.ArrowInvalid:  # a whole number beyond 2^53 beside fractions
            raise unlike(name, field.name, [table[field.name].type, field.type]) from None
    return _encoded(name, table)


def _encoded(name: str, table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
    except pa.ArrowNotImplementedError:
        raise unstorable(name, table.schema) from None
    return sink.getvalue()


def absolute_url(url: str, where: Where, spec: Spec) -> str:
    """Return the URL with the absolute path of a database file; other URLs as they are."""
    scheme, _, rest = url.partition("://")
    file, mark, options = rest.removeprefix("/").partition("?")
    if scheme.partition("+")[0] not in FILES or not file or file.startswith(":"):
        return url
    path = file if Path(file).is_absolute() else where.resolve(file, spec.folder)
    return f"{scheme}:///{path}{mark}{options}"
