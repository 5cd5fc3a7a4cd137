"""The columns that new rows must have for a registered model: all that are missing are one problem, with the rows."""

from collections.abc import Iterable, Iterator

from ray_pipeline.data.columns import GLOB, ResolvedColumns
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec import Spec

MOST = 30
"""Missing columns that a message names."""


def columns_of_rows(spec: Spec, needed: Iterable[str]) -> list[str]:
    """The columns that the rows themselves have: those of no feature table, and what feature tables are joined on.

    Parameters
    ----------
    spec
        The spec that the model was trained with.
    needed
        The full names of the model's columns.
    """
    tables = spec.features.tables
    own = [name for name in needed if name.partition(".")[0] not in tables]
    return list(dict.fromkeys([*own, *(name for table in tables.values() for name in table.on)]))


def require_columns_of_rows(columns: ResolvedColumns, needed: Iterable[str], path: str) -> None:
    """New rows have the columns that the model needs; where they have labels, also those that its evaluation needs.

    Parameters
    ----------
    columns
        The columns of the spec, with the rows in place of the label table.
    needed
        The full names of the model's columns.
    path
        The rows, for messages.

    Raises
    ------
    DataError
        With every column that is missing, as one problem.
    """
    given, labels = columns.schemas["labels"].names, columns.spec.features.labels
    written = [name for name in labels.columns or () if not GLOB & set(name)]
    of_model = [*columns_of_rows(columns.spec, needed), *written]
    if labels.time is not None and any(table.time for table in columns.spec.features.tables.values()):
        of_model.append(labels.time)
    wanted = dict.fromkeys([*of_model, *(_of_evaluation(columns) if columns.labelled else ())])
    if not (missing := [name for name in wanted if name not in given]):
        return
    who = "the model needs" if set(missing) <= set(of_model) else "the model or its evaluation needs"
    others = [name for name in given if name not in wanted]
    near = nearest(missing[0], others) if len(missing) == 1 else ""
    found = f"the rows have no column{'s' if missing[1:] else ''} {listed(map(repr, missing), MOST)}, which {who}"
    fix = f"{near}bring the columns that the model was trained on; a missing value is null"
    raise DataError(
        Problem(stage="read", file=path, column=missing[0], found=f"{found} (they have {listed(given, 12)})", fix=fix)
    )


def _of_evaluation(columns: ResolvedColumns) -> Iterator[str]:
    """The label and the other roles of labelled rows, by their names in the rows."""
    spec, labels = columns.spec, columns.spec.features.labels
    yield from (name for name in (labels.key, labels.time, labels.weight) if name is not None)
    yield from (*labels.slice_only, *spec.split.columns())
    where = spec.where_expression.columns if spec.where_expression else ()
    in_slices = [column for one in spec.slices for column in one.columns]
    yield from (name.removeprefix("labels.") for name in spec.label_expression.columns)
    for name in (*in_slices, *([spec.evaluate.cluster] if spec.evaluate.cluster else []), *where):
        if name not in columns.resolve and name.partition(".")[0] not in spec.features.tables:
            yield name.removeprefix("labels.")
