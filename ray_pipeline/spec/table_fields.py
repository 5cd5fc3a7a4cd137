"""A spec whose tables have other fields: the number of a version, the folder of a query's rows."""

from collections.abc import Mapping
from typing import Any

from ray_pipeline.spec.spec import Spec


def with_table_fields(spec: Spec, changes: Mapping[str, Mapping[str, Any]]) -> Spec:
    """Return the spec with these fields of these tables in place of its own, unchecked."""
    if not changes:
        return spec
    changed: dict[str, Any] = {
        name: table.model_copy(update=dict(changes[name]))
        for name, table in spec.features.all.items()
        if name in changes
    }
    labels = changed.pop("labels", spec.features.labels)
    features = spec.features.model_copy(update={"labels": labels, "tables": {**spec.features.tables, **changed}})
    return spec.model_copy(update={"features": features})


def with_paths(spec: Spec, paths: Mapping[str, str]) -> Spec:
    """Return the spec with other paths of these tables."""
    return with_table_fields(spec, {name: {"path": path} for name, path in paths.items()})
