"""Checks of the columns that the spec names, from schemas alone: every absent or unfit column is reported at once."""

from unicodedata import normalize

import pyarrow as pa

from ray_pipeline.components.column_encodings._base import options_of
from ray_pipeline.components.column_encodings._columns import Kind, kind_of
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.join_keys import plain_key
from ray_pipeline.errors import listed, nearest
from ray_pipeline.spec.features import FeatureTable
from ray_pipeline.spec.sections import Encode


def check_columns(columns: ResolvedColumns) -> None:
    """Checks every column that the spec names.

    Raises
    ------
    DataError
        With one problem for each column that is absent or unfit.
    """
    _check_label_columns(columns)
    _check_encodings(columns)
    _check_twins(columns)
    for name, table in columns.spec.features.tables.items():
        _check_join_columns(columns, name, table)
        for time in (table.time, table.known_at):
            if time is not None and time in columns.schemas[name].names:
                _check_time(columns, name, time)
    columns.problems.raise_all()


def _check_label_columns(columns: ResolvedColumns) -> None:
    """Every column that the spec names outside feature tables exists."""
    spec, labels = columns.spec, columns.spec.features.labels
    named = [("features.labels.key", labels.key), ("features.labels.time", labels.time)]
    if columns.labelled:
        where = spec.where_expression.columns if spec.where_expression else ()
        named += [
            ("features.labels.weight", labels.weight),
            *(("features.labels.slice_only", name) for name in labels.slice_only),
            *(("features.labels.label", name) for name in spec.label_expression.columns),
            *(("split", name) for name in spec.split.columns()),
            *(("select.where", name) for name in where),
        ]
    for key, name in named:
        if name and name not in columns.resolve:
            columns.problems.add_absent(key, "labels", name)


def _check_encodings(columns: ResolvedColumns) -> None:
    """`encode` names features, with options for their kind."""
    for written, options in columns.spec.encode.items():
        name, key = columns.resolve.get(written, written), f"encode.{written}"
        if name not in columns.features:
            known = f"{nearest(written, columns.features)}Known: {listed(columns.features, 12)}"
            columns.problems.add(key, written, f"{written!r} is no feature", known)
            continue
        kind = kind_of(columns.types[name]) or "number"
        if option := _unfit_option(options, kind):
            found = f"`{option}` is not for {name}, which is {columns.types[name]}"
            fix = f"for a {kind} there are as, impute, {', '.join(_options_of(kind))}"
            columns.problems.add(key, name, found, fix)


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


def _check_twins(columns: ResolvedColumns) -> None:
    """No two features have names that differ by case or Unicode form alone: nobody can tell them apart."""
    alike: dict[str, list[str]] = {}
    for name in columns.features:
        alike.setdefault(normalize("NFKC", name).casefold(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            columns.problems.add(
                "features",
                names[1],
                f"{' and '.join(map(repr, names))} differ by case or Unicode form alone",
                "rename one of them, or leave it out of `columns`",
            )


def _check_join_columns(columns: ResolvedColumns, name: str, table: FeatureTable) -> None:
    """A feature table has its keys and times, and the label table has the keys in the same type."""
    roles = [*(("on", column) for column in table.on), ("time", table.time), ("known_at", table.known_at)]
    for role, column in roles:
        if column and column not in columns.schemas[name].names:
            columns.problems.add_absent(f"features.{name}.{role}", name, column)
    for column in table.on:
        if column not in columns.schemas["labels"].names:
            columns.problems.add_absent(f"features.{name}.on", "labels", column)
        elif column in columns.schemas[name].names:
            ours, theirs = (_key_type(columns.schemas[t].field(column).type) for t in ("labels", name))
            if ours != theirs:
                columns.problems.add(
                    f"features.{name}.on",
                    column,
                    f"{column!r} is {ours} in labels and {theirs} in {name}",
                    "write both in one type",
                )


def _key_type(type_: pa.DataType) -> pa.DataType:
    """The type in which a key column is compared."""
    return plain_key(pa.chunked_array([], type_)).type


def _check_time(columns: ResolvedColumns, name: str, time: str) -> None:
    """A feature table's time can be compared with the time of the labels."""
    labels, key = columns.schemas["labels"], f"features.{name}.time"
    label_time = columns.spec.features.labels.time
    if label_time not in labels.names:
        return
    ours, theirs = labels.field(label_time).type, columns.schemas[name].field(time).type
    if unfit := [type_ for type_ in (ours, theirs) if kind_of(type_) != "time"]:
        columns.problems.add(
            key,
            time,
            f"{time!r} is compared with {label_time!r}, but {unfit[0]} is not a time",
            "write it as a timestamp or a date",
        )
    elif all(map(pa.types.is_timestamp, (ours, theirs))) and (ours.tz is None) != (theirs.tz is None):
        columns.problems.add(
            key,
            time,
            f"{name}.{time} is {theirs}, but {label_time} is {ours}: one has a time zone, the other none",
            "write both in UTC, or both without a zone",
        )
