"""Feast as a catalogue: its registry says where feature tables lie, what joins them and how old a row may be; reading
and joining are ours.

Feast needs an older pandas than we do, so its own Python reads the registry: that of FEAST_PYTHON, else the one beside
the command `feast`.
A row counts from its created timestamp on (`known_at`). Feast itself takes that column to break ties only, and so lets
a row be seen before it was there.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ray_pipeline.components.sources import _feast_views
from ray_pipeline.errors import DataError, Problem, SpecError, listed, nearest
from ray_pipeline.spec import Spec
from ray_pipeline.spec.features import FeatureTable, Repository
from ray_pipeline.spec.where import Where

PYTHON = "FEAST_PYTHON"
SECONDS = 120
KINDS = {"ParquetFormat": "parquet", "NoneType": "parquet", "DeltaFormat": "delta"}


def resolved(spec: Spec, where: Where) -> Spec:
    """The spec in which the feature tables of each Feast repository stand as if they had been written out: path, `on`,
    `time`, `known_at`, `max_age`, `columns`.

    Raises:
        SpecError: no Python with Feast is at hand, or the tables do not go with the rest of the spec.
        DataError: the repository, its registry, the service or a view is not there, or a view is made of what cannot be
            read.
    """
    tables, problems = dict[str, FeatureTable](), list[Problem]()
    for name, asked in spec.features.repositories.items():
        folder = where.resolve(asked.path, spec.folder)
        for view in _told(spec, name, asked, folder):
            if problem := _unfit(spec, name, view, {*spec.features.all, *tables}):
                problems.append(problem)
            else:
                tables[view["name"]] = _table(view, folder)
    if problems:
        raise DataError(problems)
    return spec.with_tables(tables) if tables else spec


def _table(view: Mapping[str, Any], folder: str) -> FeatureTable:
    path = view["path"] if "://" in view["path"] else str(Path(folder, view["path"]))
    return FeatureTable(
        path=path,
        kind=KINDS[view["format"]],
        on=tuple(view["keys"]),
        time=view["time"],
        known_at=view["created"] or None,
        max_age=timedelta(seconds=view["ttl_s"]) if view["ttl_s"] else None,
        columns=tuple(view["features"]),
    )


def _unfit(spec: Spec, name: str, view: Mapping[str, Any], taken: set[str]) -> Problem | None:
    """Why a view cannot be a feature table here, if so."""

    def reasons() -> Iterator[tuple[str, str]]:
        if view["source"] == "NoneType":
            yield f"is computed on demand ({view['view']})", "write what it computes to a table, or leave the view out"
        elif view["source"] != "FileSource":
            yield f"lies in a {view['source']}; files are read", "export it as Parquet, or leave the view out"
        elif view["format"] not in KINDS:
            yield f"lies in files of {view['format']}", "write it as Parquet or Delta"
        elif view["endpoint"]:
            yield "sets s3_endpoint_override", "leave it out, and set AWS_ENDPOINT_URL in the environment"
        elif view["renamed"]:
            old, new = next(iter(view["renamed"].items()))
            yield (
                f"renames {old!r} to {new!r}",
                "give the columns the same names in the source, the view and the label table",
            )
        elif not view["keys"] or view["keys"] == ["__dummy_id"]:
            yield "has no entity to join on", "give it an entity"
        elif view["name"] in taken:
            yield "has the name of another table", "give one of them another name (`with_name`)"

    return next((_problem(spec, name, f"feature view {view['name']!r} {found}", fix) for found, fix in reasons()), None)


def _told(spec: Spec, name: str, asked: Repository, folder: str) -> list[dict[str, Any]]:
    """What Feast says of the views that are asked for."""
    if not Path(folder, "feature_store.yaml").is_file():
        raise DataError(
            _problem(
                spec,
                name,
                f"{folder} is no feature repository: it has no feature_store.yaml",
                "name the folder that `feast apply` runs in",
            )
        )
    python = _python()
    if python is None:
        fix = (
            "python -m venv feast-env && feast-env/bin/pip install feast==0.67.*, then set"
            f" {PYTHON}=feast-env/bin/python"
        )
        raise SpecError(
            _problem(spec, name, "Feast is not installed, and needs an environment of its own (pandas 2)", fix)
        )
    script = Path(
        _feast_views.__file__
    ).read_text()  # as text: the file's own folder, with its csv.py, must not come before the library's
    words = [
        python,
        "-c",
        script,
        json.dumps({"repository": folder, "service": asked.service, "views": asked.views or []}),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
        told = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise SpecError(
            _problem(
                spec,
                name,
                f"{python} gives no answer: {str(error).splitlines()[0][:200]}",
                f"set {PYTHON} to a Python that has Feast",
            )
        ) from None
    if "error" not in told:
        return told["views"]  # type: ignore[no-any-return]
    if "No module named 'feast'" in told["error"]:
        raise SpecError(_problem(spec, name, f"{python} has no Feast", f"set {PYTHON} to a Python that has it"))
    if told["known"] or "there is no" in told["error"]:
        near = nearest(str(asked.service or next(iter(asked.views or ()), "")), told["known"])
        raise DataError(
            _problem(
                spec,
                name,
                f"{told['error']}; {near}Known: {listed(told['known']) or 'none'}",
                "correct the name, or run `feast apply`",
            )
        )
    raise DataError(
        _problem(spec, name, f"Feast cannot read the registry: {told['error']}", "run `feast apply` in the repository")
    )


def _python() -> str | None:
    if given := os.environ.get(PYTHON):
        return str(Path(given).absolute())
    command = shutil.which("feast")
    beside = Path(command).with_name("python") if command else None
    return str(beside) if beside and beside.exists() else None


def _problem(spec: Spec, name: str, found: str, fix: str) -> Problem:
    file, line = spec.place(f"features.{name}")
    return Problem(file=file, line=line, key=f"features.{name}", found=found, fix=fix)
