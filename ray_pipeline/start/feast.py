"""Feast repositories: every feature view becomes a feature table, joined by the keys and times that Feast knows."""

import json
from dataclasses import dataclass
from pathlib import Path

from ray_pipeline.components.sources._base import source_of
from ray_pipeline.data.as_of_join import JoinOptions
from ray_pipeline.data.feast import with_feast_tables
from ray_pipeline.duration import as_timedelta
from ray_pipeline.spec import Spec
from ray_pipeline.spec.features import FeatureTable
from ray_pipeline.spec.where import Where
from ray_pipeline.start.join import JoinProposal, join_sample
from ray_pipeline.start.label import Label
from ray_pipeline.start.roles import Roles
from ray_pipeline.start.table import StartTable, written_path

SPEC = """\
name: feast
task: {task}
features:
  labels: {{path: {path}, label: {label}{time}}}
  {name}: {{kind: feast, path: {repository}, views: [any]}}
split: {{by: random}}
model: xgboost
"""


@dataclass(frozen=True, kw_only=True)
class FeastProposal:
    """A Feast repository in the spec."""

    name: str
    path: str
    """As the spec writes it."""
    views: tuple[str, ...]
    joins: tuple[JoinProposal, ...]
    """One for each view."""
    tables: tuple[FeatureTable, ...]
    """What a spec would say of each view."""


def propose_feast(labels: StartTable, roles: Roles, label: Label, name: str, path: str, folder: Path) -> FeastProposal:
    """Every feature view of a repository.

    Raises
    ------
    SpecError
        No Python with Feast is found, or a view needs a time and the label table has none.
    DataError
        The registry or a view cannot be read.
    """
    time = f", time: {json.dumps(roles.time.column)}" if roles.time else ""
    values = {"path": labels.path, "label": label.text, "repository": path}
    written = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    spec = Spec.from_text(SPEC.format(**written, name=name, time=time, task=label.task), file=path)
    every = {name: spec.features.repositories[name].model_copy(update={"views": None})}
    spec = spec.model_copy(update={"features": spec.features.model_copy(update={"repositories": every})})
    tables, joins = with_feast_tables(spec, Where()).features.tables, list[JoinProposal]()
    for view, table in tables.items():
        source = source_of(table.kind, view, table.path)
        opened = StartTable(name=view, path=table.path, source=source, footers=source.footers(), kind=table.kind)
        columns = table.columns or ()
        options = JoinOptions(
            name=view,
            on=table.on,
            columns=columns,
            time=table.time,
            known_at=table.known_at,
            max_age=None if table.max_age is None else as_timedelta(table.max_age),
        )
        joins.append(join_sample(labels, roles, opened, options))
    return FeastProposal(
        name=name,
        path=written_path(path, folder),
        views=tuple(tables),
        joins=tuple(joins),
        tables=tuple(tables.values()),
    )
