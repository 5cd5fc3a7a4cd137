"""The versions in a sqlite registry, read from its tables: that takes half a second, the import of MLflow alone two."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ray_pipeline.registry.private_mlflow import TABLES


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version, with the attribute names of MLflow's `ModelVersion`."""

    name: str
    version: int
    creation_timestamp: int
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A registered model, with the attribute names of MLflow's `RegisteredModel`."""

    name: str
    aliases: dict[str, int]


def list_sqlite(file: Path) -> tuple[list[Model], list[Version]] | None:
    """Return every model and every version; None if the file lacks a table or a column that the queries name."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=20)) as database:
            rows = {name: database.execute(query).fetchall() for name, query in TABLES.items()}
    except sqlite3.DatabaseError:
        return None
    tags, aliases = defaultdict[tuple[str, int], dict[str, str]](dict), defaultdict[str, dict[str, int]](dict)
    for name, number, key, value in rows["tags"]:
        tags[name, number][key] = value
    for name, alias, number in rows["aliases"]:
        aliases[name][alias] = int(number)
    return [Model(name=name, aliases=aliases[name]) for (name,) in rows["models"]], [
        Version(name=name, version=number, creation_timestamp=created, tags=tags[name, number])
        for name, number, created in rows["versions"]
    ]
