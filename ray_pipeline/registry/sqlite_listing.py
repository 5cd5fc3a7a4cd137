"""The versions in a sqlite registry, read from its tables: `models list` in half a second, where importing MLflow alone
takes two."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ray_pipeline.registry.private_mlflow import TABLES


@dataclass(frozen=True)
class Version:
    """What a list says of a version, under MLflow's names."""

    name: str
    version: int
    creation_timestamp: int
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A registered model under MLflow's names."""

    name: str
    aliases: dict[str, int]


def list_sqlite(file: Path) -> tuple[list[Model], list[Version]] | None:
    """Every model and version; None where the tables are not those that we know (an MLflow to come)."""
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
    versions = [Version(name, number, created, tags[name, number]) for name, number, created in rows["versions"]]
    return [Model(name, aliases[name]) for (name,) in rows["models"]], versions
