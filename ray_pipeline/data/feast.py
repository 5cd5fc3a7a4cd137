"""Feast as a catalogue: its registry says where feature tables are stored, how they join, and how old a row may be.

Reading and joining are ours. Feast needs an older pandas than we do, so its own Python reads the registry: the one that
FEAST_PYTHON names, else the one beside the command `feast`. A row counts from its created timestamp on (`known_at`).
Feast itself uses that column for ties only, and so shows a row before it existed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ray_pipeline.components.sources import _feast_views
from ray_pipeline.errors import DataError, Problem, SpecError, listed, nearest
from ray_pipeline.spec import Spec
from ray_pipeline.spec.features import FeatureTable, Repository
from ray_pipeline.spec.where import Where

PYTHON = "FEAST_PYTHON"
TIMEOUT_S = 120
KINDS = {"ParquetFormat": "parquet", "NoneType": "parquet", "DeltaFormat": "delta"}
View = Mapping[str, Any]
"""What Feast says of a view, see `_feast_views`."""


def with_feast_tables(spec: Spec, where: Where) -> Spec:
    """The spec with the feature tables of each Feast repository written out.

    Each table gets its path, `on`, `time`, `known_at`, `max_age` and `columns`.

    Raises
    ------
    SpecError
        No Python with Feast is found, or the tables do not fit the rest of the spec.
    DataError
        The repository, its registry, the service or a view does not exist, or a view has a source that cannot be read.
    """
    tables, problems = dict[str, FeatureTable](), list[Problem]()
    for name, repository in spec.features.repositories.items():
        folder = where.resolve(repository.path, spec.folder)
        for view in _read_views(spec, name, repository, folder):
            if reason := _unfit(view, {*spec.features.all, *tables}):
                if not (repository.service or repository.views):  # every view that fits
                    continue
                found, fix = reason
                problems.append(_problem(spec, name, f"feature view {view['name']!r} {found}", fix))
            else:
                tables[view["name"]] = _feature_table(view, folder)
    if problems:
        raise DataError(problems)
    return spec.with_tables(tables) if tables else spec


def _feature_table(view: View, folder: str) -> FeatureTable:
    """The table that one would have written in the spec for this view."""
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


def _unfit(view: View, taken: set[str]) -> tuple[str, str] | None:
    """Why a view cannot be a feature table here, and what would help; None if it can."""
    if view["source"] == "NoneType":
        return f"is computed on demand ({view['view']})", "write what it computes to a table, or leave the view out"
    if view["source"] != "FileSource":
        return f"has a {view['source']}; only files are read", "export it as Parquet, or leave the view out"
    if view["format"] not in KINDS:
        return f"has files of {view['format']}", "write it as Parquet or Delta"
    if view["endpoint"]:
        return "sets s3_endpoint_override", "leave it out, and set AWS_ENDPOINT_URL in the environment"
    if view["renamed"]:
        old, new = next(iter(view["renamed"].items()))
        fix = "give the columns the same names in the source, the view and the label table"
        return f"renames {old!r} to {new!r}", fix
    if not view["keys"] or view["keys"] == ["__dummy_id"]:
        return "has no entity to join on", "give it an entity"
    if view["name"] in taken:
        return "has the name of another table", "give one of them another name (`with_name`)"
    return None


def _read_views(spec: Spec, name: str, repository: Repository, folder: str) -> list[View]:
    """What Feast says of the views of a repository that the spec names."""
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
    try:
        answer = _ask_feast(python, repository, folder)
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        found = f"{python} gives no answer: {str(error).splitlines()[0][:200]}"
        raise SpecError(_problem(spec, name, found, f"set {PYTHON} to a Python that has Feast")) from None
    if "error" not in answer:
        return answer["views"]  # type: ignore[no-any-return]
    if "No module named 'feast'" in answer["error"]:
        raise SpecError(_problem(spec, name, f"{python} has no Feast", f"set {PYTHON} to a Python that has it"))
    if answer["known"] or "there is no" in answer["error"]:
        near = nearest(str(repository.service or next(iter(repository.views or ()), "")), answer["known"])
        raise DataError(
            _problem(
                spec,
                name,
                f"{answer['error']}; {near}Known: {listed(answer['known']) or 'none'}",
                "correct the name, or run `feast apply`",
            )
        )
    raise DataError(
        _problem(
            spec, name, f"Feast cannot read the registry: {answer['error']}", "run `feast apply` in the repository"
        )
    )


def _ask_feast(python: str, repository: Repository, folder: str) -> dict[str, Any]:
    """The answer of `_feast_views`, run by that Python."""
    # The script is passed as text: its own folder, which has a csv.py, must not come before the standard library's.
    script = Path(_feast_views.__file__).read_text()
    question: dict[str, Any] = {"repository": folder, "service": repository.service, "views": repository.views or []}
    done = subprocess.run(
        [python, "-c", script, json.dumps(question)],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _python() -> str | None:
    """The Python that has Feast, if one is named or found."""
    if given := os.environ.get(PYTHON):
        return str(Path(given).absolute())
    command = shutil.which("feast")
    beside = Path(command).with_name("python") if command else None
    return str(beside) if beside and beside.exists() else None


def _problem(spec: Spec, name: str, found: str, fix: str) -> Problem:
    file, line = spec.place(f"features.{name}")
    return Problem(file=file, line=line, key=f"features.{name}", found=found, fix=fix)
