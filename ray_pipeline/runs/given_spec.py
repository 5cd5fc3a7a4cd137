"""What a run may be given as its spec: a `Spec`, the path of a YAML file, or a mapping.

In a mapping a table may stand in place of a path. It is written as Parquet into the storage of the runs, under the
SHA-256 of its content: the same table has the same path, so the run has the same identity.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.errors import DataError, Problem, SpecError, listed
from ray_pipeline.given_table import arrow_table, content_sha256, is_table, not_a_table
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.storage.blob_store import BlobStore

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, a mapping with the keys of a spec file, or the path of a spec file."""
WhereLike = Where | str | Path | None
"""A cluster file as a value, by its path or name, or None for this machine."""
FOLDER = ".tables"
GROUP_ROWS = 100_000
"""Rows of a row group: one task reads whole row groups."""


def given_where(where: WhereLike, spec: SpecLike) -> Where:
    """The cluster file; a name is looked for beside the spec file, else in the working directory."""
    if isinstance(where, Where):
        return where
    if not isinstance(spec, Spec | Mapping | str | PurePath):
        found = f"expected a spec: a mapping, the path of a YAML file or a Spec; got {type(spec).__name__}"
        raise SpecError(Problem(key="spec", found=found, fix="give it as the first argument"))
    beside = spec.folder if isinstance(spec, Spec) else Path.cwd() if isinstance(spec, Mapping) else Path(spec).parent
    return Where.find(None if where is None else str(where), beside)


def given_spec(spec: SpecLike, where: Where) -> Spec:
    """The spec, checked as a whole; the tables of a mapping are in the storage afterwards.

    Raises
    ------
    SpecError
        The spec has problems.
    DataError
        A table cannot be written as Parquet.
    StorageError
        The storage cannot be written.
    """
    if isinstance(spec, Spec):
        return spec
    if not isinstance(spec, Mapping):
        return Spec.from_file(spec)
    features = spec.get("features")
    if not isinstance(features, Mapping) or not any(map(_holds_table, features.values())):
        return Spec.from_dict(spec)
    store = BlobStore(where.storage_folder(Path.cwd()))
    # Relative paths start at the storage if they can: then its address is not part of the run's identity.
    folder = None if where.data or "://" in store.root else Path(store.root)
    tables = {name: _with_path(name, table, store, folder) for name, table in features.items()}
    return Spec.from_dict({**spec, "features": tables}, folder)


def store_table(given: Any, name: str, store: BlobStore) -> str:
    """Write a table as Parquet, unless the storage has it, and return its key.

    Raises
    ------
    DataError
        The table cannot be read, or Parquet has no such type.
    """
    table = arrow_table(given, name).replace_schema_metadata(None)
    try:
        key = f"{FOLDER}/{content_sha256(table)[:32]}.parquet"
        if store.exists(key):
            return key
        content = _as_parquet(table)
    except (pa.ArrowException, NotImplementedError) as error:
        unfit = list(filter(None, (_not_stored(table.select([column])) for column in table.column_names)))
        found = f"{name}: the {type(given).__name__} cannot be written as Parquet: {listed(unfit) or error}"
        raise DataError(Problem(stage="read", found=found, fix="leave such columns out")) from error
    store.write(key, content)
    return key


def _as_parquet(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=GROUP_ROWS)
    return sink.getvalue()


def _not_stored(column: pa.Table) -> str | None:
    """The name and type of a column that cannot be written; None where it can."""
    try:
        content_sha256(column), _as_parquet(column)
    except (pa.ArrowException, NotImplementedError):
        return f"{column.column_names[0]!r} is {column.schema.types[0]}"
    return None


def _holds_table(table: object) -> bool:
    """Whether a table, or what somebody takes for one, stands in place of a path."""
    return isinstance(table, Mapping) and not isinstance(table.get("path"), str | PurePath | None)


def _refuse_other_path(name: str, path: object) -> None:
    if not isinstance(path, str | PurePath | None):
        what, fix = not_a_table(path)
        found = f"expected a path, or a table of pandas, polars or Arrow; got {what}"
        raise SpecError(Problem(key=f"features.{name}.path", found=found, fix=fix))


def _with_path(name: str, table: Any, store: BlobStore, folder: Path | None) -> Any:
    """The entry of a feature table with a path as text: relative to `folder`, or as it is where there is none."""
    if not isinstance(table, Mapping) or "path" not in table:
        return table
    path = table["path"]
    if is_table(path):
        key = store_table(path, str(name), store)
        return {**table, "path": key if folder else store.address(key)}
    _refuse_other_path(str(name), path)
    is_relative = folder and "://" not in str(path) and not str(path).startswith(("/", "~", "${"))
    return {**table, "path": os.path.relpath(Path.cwd() / path, folder)} if is_relative else table
