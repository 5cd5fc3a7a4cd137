"""Checks of the columns that the spec names, from schemas alone: every absent or unfit column is reported at once."""

from collections.abc import Iterator
from unicodedata import normalize

import pyarrow as pa

from ray_pipeline.column_types import kind_of as value_kind
from ray_pipeline.components.choice import files
from ray_pipeline.components.column_encodings._base import options_of
from ray_pipeline.components.column_encodings._columns import Kind, kind_of
from ray_pipeline.data.column_roles import misfit
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.join_keys import plain_key
from ray_pipeline.data.labels import label_values
from ray_pipeline.errors import DataError, listed, nearest
from ray_pipeline.spec.features import FeatureTable
from ray_pipeline.spec.sections import Encode
from ray_pipeline.values import INTERNAL

NAME = "correct the name, or remove it"


def check_columns(columns: ResolvedColumns, *, of_model: bool = False) -> None:
    """Checks every column that the spec names.

    Parameters
    ----------
    columns
        The columns of the spec.
    of_model
        Whether the rows are new ones for a registered model. What the spec says of its features is then not checked:
        the model says itself what it takes.

    Raises
    ------
    DataError
        With one problem for each column that is absent or unfit.
    """
    _check_label_columns(columns)
    _check_names(columns)
    _check_roles(columns)
    if not of_model:
        _check_encodings(columns)
        _check_constraints(columns)
        _check_ignored(columns)
    for name, table in columns.spec.features.tables.items():
        _check_join_columns(columns, name, table)
        _check_times(columns, name, table)
    if columns.complete and not columns.features and not columns.problems.problems:
        found, fix = "no column is left to be a feature", "name columns that have no other role"
        columns.problems.add("features.labels.columns", None, found, fix)
    columns.problems.raise_all()


def check_expressions(columns: ResolvedColumns) -> None:
    """Checks the types in the label and in `select.where`; without rows, and so without examples of values.

    Raises
    ------
    DataError
        With one problem for each expression that cannot be computed, and for a label that the task does not take.
    """
    spec = columns.spec
    for key, expression in (("features.labels.label", spec.label_expression), ("select.where", spec.where_expression)):
        if expression is None or not all(name in columns.resolve for name in expression.columns):
            continue
        names = {columns.resolve[name] for name in expression.columns}
        schema = pa.schema([(name, columns.types[name]) for name in sorted(names)])
        empty = pa.Table.from_batches([], schema=schema)
        try:
            values = expression.evaluate(empty, columns.resolve)
            if expression is spec.label_expression:
                label_values(values, expression, spec.task)
        except DataError as error:
            for problem in error.problems:
                columns.problems.add(key, problem.column or expression.text, problem.found, problem.fix)
    columns.problems.raise_all()


def _check_label_columns(columns: ResolvedColumns) -> None:
    """Every column that the spec names outside feature tables exists."""
    spec, labels = columns.spec, columns.spec.features.labels
    own = columns.schemas["labels"].names
    named: list[tuple[str, str | None]] = [("features.labels.key", labels.key), ("features.labels.time", labels.time)]
    if columns.labelled:
        where = spec.where_expression.columns if spec.where_expression else ()
        named += [
            ("features.labels.weight", labels.weight),
            *((f"features.labels.slice_only[{place}]", name) for place, name in enumerate(labels.slice_only)),
            *(("split", name) for name in spec.split.columns()),
        ]
        for name in spec.label_expression.columns:
            if columns.own_name(name) not in own:
                columns.problems.add_absent("features.labels.label", "labels", name)
        for name in where:
            columns.require("select.where", name)
    for key, role in named:
        if role is not None and role not in own:
            columns.problems.add_absent(key, "labels", role)


def _check_names(columns: ResolvedColumns) -> None:
    """No two columns have one name, and no name is one of ours."""
    joined = {f"{table}.{name}" for table, schema in columns.schemas.items() for name in schema.names}
    for name in columns.schemas["labels"].names:
        if name in joined and not name.startswith("labels."):
            found = f"labels has a column {name!r}, which is also the name of a feature table's column"
            columns.problems.add("features", name, found, "rename the column, or the feature table")
    read = {name for names in columns.to_read().values() for name in names}
    for name in sorted(name for name in read if INTERNAL in name):
        columns.problems.add("features", name, f"the name {name!r} has a NUL character", "rename the column")
    _check_twins(columns)


def _check_twins(columns: ResolvedColumns) -> None:
    """No two features have names that differ by case or Unicode form alone: nobody can tell them apart."""
    alike: dict[str, list[str]] = {}
    for name in columns.features:
        alike.setdefault(normalize("NFKC", name).casefold(), []).append(name)
    for names in alike.values():
        if len(set(names)) > 1:
            columns.problems.add(
                "features",
                names[1],
                f"{' and '.join(map(repr, names))} differ by case or Unicode form alone",
                "rename one of them, or leave it out of `columns`",
            )


def _roles(columns: ResolvedColumns) -> Iterator[tuple[str, str, str]]:
    """Key of the spec, role and canonical column of every column with a role, outside joins."""
    spec, labels = columns.spec, columns.spec.features.labels
    for role, own in (("key", labels.key), ("time", labels.time)):
        if own is not None:
            yield f"features.labels.{role}", role, own
    for name in columns.features:
        yield "features", "feature", name
    for slice_ in spec.slices:
        for column in slice_.columns:
            role = "binned slice" if column in slice_.edges_needed else "slice"
            yield "evaluate.slices", role, columns.resolve.get(column, column)
    if not columns.labelled:
        return
    if labels.weight is not None:
        yield "features.labels.weight", "weight", labels.weight
    if (names_part := getattr(spec.split, "column", None)) is not None:
        yield "split.column", "split column", names_part
    for key, group in (
        ("split.group", getattr(spec.split, "group", None)),
        ("evaluate.cluster", spec.evaluate.cluster),
    ):
        if group is not None:
            yield key, "group", columns.resolve.get(group, group)


def _check_roles(columns: ResolvedColumns) -> None:
    """Each column has values of a kind that its role takes."""
    for key, role, name in _roles(columns):
        if name in columns.types and (why := misfit(role, columns.types[name])):
            found, fix = why
            if role == "feature":
                found, fix = f"{columns.types[name]}, which cannot be a feature", f"leave it out of `columns`, or {fix}"
            columns.problems.add(key, name, f"column {name!r} is {found}", fix)


def _check_encodings(columns: ResolvedColumns) -> None:
    """`encode` names features, with options for their kind."""
    for written, options in columns.spec.encode.items():
        name, key = columns.resolve.get(written, written), f"encode.{written}"
        if name not in columns.features:
            if not columns.complete:
                continue
            known = f"{nearest(written, columns.features)}Known: {listed(columns.features, 12)}"
            columns.problems.add(key, written, f"{written!r} is no feature", known)
            continue
        actual = kind_of(columns.types[name]) or "number"
        kind = options.type_ or actual
        if options.type_ and actual == "time":
            fix = "leave out `type`; `parts` encodes the parts of a time"
            columns.problems.add(key, name, f"`type` is not for {name}, which is {columns.types[name]}", fix)
        elif option := _unfit_option(options, kind):
            found = f"`{option}` is not for {name}, which is {columns.types[name]}"
            fix = f"for a {kind} there are as, impute, {', '.join(_options_of(kind))}"
            columns.problems.add(key, name, found, fix)


def _check_constraints(columns: ResolvedColumns) -> None:
    """`monotone` names features that are numbers, `interactions` names features."""
    spec = columns.spec
    groups = [(f"interactions[{place}]", name) for place, group in enumerate(spec.interactions) for name in group]
    for key, written in [*((f"monotone.{name}", name) for name in spec.monotone), *groups]:
        name = columns.resolve.get(written, written)
        if name not in columns.features:
            if columns.complete:
                known = f"{nearest(written, columns.features)}Known: {listed(columns.features, 12)}"
                columns.problems.add(key, written, f"{written!r} is no feature", known)
            continue
        if key.startswith("monotone"):
            options = {columns.resolve.get(column, column): one for column, one in spec.encode.items()}.get(name)
            kind = (options and options.type_) or kind_of(columns.types[name])
            as_ = options.as_ if options and options.as_ not in (None, "number") else None
            if kind != "number" or as_:
                found = f"{name!r} is {f'encoded as {as_}' if as_ else columns.types[name]}"
                columns.problems.add(
                    key, name, f"{found}, and a constraint needs a number", "constrain numbers only, or remove it"
                )


def _check_ignored(columns: ResolvedColumns) -> None:
    """A finding that `checks.ignore` leaves out is of a column, by the name that findings give it.

    A check of the user's own may name anything, and `uneven_files` names columns that no run can read.
    """
    spec = columns.spec
    roles = {spec.label_expression.text, getattr(spec.split, "group", None), spec.evaluate.cluster}
    for place, written in enumerate(spec.checks.ignore if columns.complete else ()):
        check, _, name = written.partition(":")
        if name and name not in columns.types and name not in roles and check in {*files("checks")} - {"uneven_files"}:
            known = f"{nearest(name, columns.types)}Known: {listed(columns.features, 12)}"
            columns.problems.add(f"checks.ignore[{place}]", name, f"no finding is of a column {name!r}; {known}", NAME)


def _unfit_option(options: Encode, kind: Kind) -> str | None:
    """The first option that a column of this kind does not take."""
    if options.encoding and kind not in options.encoding.kinds:
        return "as"
    if unfit := [option for option in options.given if option not in ("encode", "impute", *_options_of(kind))]:
        return unfit[0]
    impute = options.impute
    is_text = isinstance(impute, str) and impute not in ("mean", "median", "most_frequent", "none")
    unfit_impute = impute in ("mean", "median") if kind == "category" else is_text
    return f"impute: {impute}" if unfit_impute else None


def _options_of(kind: Kind) -> list[str]:
    """The keys of `encode` that a column of this kind takes, besides `as` and `impute`."""
    return [option for option in options_of(kind) if option != "impute"]


def _check_join_columns(columns: ResolvedColumns, name: str, table: FeatureTable) -> None:
    """A feature table has its keys, and the label table has them in a type that can be compared."""
    for place, column in enumerate(table.on):
        key, found = f"features.{name}.on[{place}]", list[pa.DataType]()
        for side in ("labels", name):
            if side not in columns.schemas:
                continue
            if column not in columns.schemas[side].names:
                columns.problems.add_absent(key, side, column)
                continue
            type_ = columns.schemas[side].field(column).type
            if why := misfit("join key", type_):
                columns.problems.add(key, column, f"{side}: column {column!r} is {why[0]}", why[1])
            else:
                found.append(type_)
        if len(found) == 2 and not any(map(pa.types.is_null, found)):
            ours, theirs = map(_key_type, found)
            if ours != theirs:
                columns.problems.add(
                    key,
                    column,
                    f"{column!r} is {found[0]} in labels and {found[1]} in {name}",
                    "write both in one type",
                )


def _key_type(type_: pa.DataType) -> pa.DataType:
    """The type in which a key column is compared; times with and without a zone are not compared."""
    zone = pa.types.is_timestamp(type_) and type_.tz
    return pa.timestamp("us", zone) if zone else plain_key(pa.chunked_array([], type_)).type


def _check_times(columns: ResolvedColumns, name: str, table: FeatureTable) -> None:
    """A feature table's times are times, and can be compared with the time of the labels."""
    labels, label_time = columns.schemas["labels"], columns.spec.features.labels.time
    for role, time in (("time", table.time), ("known_at", table.known_at)):
        key = f"features.{name}.{role}"
        if time is None or name not in columns.schemas:
            continue
        if time not in columns.schemas[name].names:
            columns.problems.add_absent(key, name, time)
            continue
        theirs = columns.schemas[name].field(time).type
        if why := misfit("time", theirs):
            columns.problems.add(key, time, f"column {time!r} of {name} is {why[0]}", why[1])
        elif label_time in labels.names:
            ours = labels.field(label_time).type
            counted = columns.spec.features.labels.time_unit or table.time_unit  # since 1970 in UTC
            times = not counted and all(value_kind(one) == "timestamp" for one in (ours, theirs))
            if times and (ours.tz is None) != (theirs.tz is None):
                columns.problems.add(
                    key,
                    time,
                    f"{name}.{time} is {theirs}, but {label_time} is {ours}: one has a time zone, the other none",
                    "write both in UTC, or both without a zone",
                )
