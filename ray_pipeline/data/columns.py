"""Columns: from the names that a user wrote to those of the tables, from globs to features; and every absent or unfit
one, told at once."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from unicodedata import normalize

import pyarrow as pa

from ray_pipeline.components.column_encodings._base import options_of
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.join_keys import plain_key
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec import Spec

GLOB = set("*?[")


class Names:
    """Every column by its canonical name: the label table's bare, a feature table's as `<table>.<column>`."""

    def __init__(self, spec: Spec, footers: Mapping[str, Footers], labelled: bool) -> None:
        self.spec, self.labelled, self.problems = spec, labelled, list[Problem]()
        self.schemas = {name: footer.schema for name, footer in footers.items()}
        self.types = {
            name if table == "labels" else f"{table}.{name}": schema.field(name).type
            for table, schema in self.schemas.items()
            for name in schema.names
        }
        bare: dict[str, list[str]] = {}
        for name in self.types:
            bare.setdefault(name.partition(".")[2] or name, []).append(name)
        unique = {short: found[0] for short, found in bare.items() if len(found) == 1}
        self.resolve = {
            **unique,
            **{f"labels.{name}": name for name in self.schemas["labels"].names},
            **{name: name for name in self.types},
        }
        self.features = self._features()
        self.extra = [name for name in self._sliced() if name not in self.features]

    def _features(self) -> list[str]:
        spec, labels = self.spec, self.spec.features.labels
        roles = {
            labels.key,
            labels.time,
            labels.weight,
            *labels.slice_only,
            *spec.split.columns(),
            *spec.label_expression.columns,
        }
        features = self._chosen("labels", labels.columns, roles)
        for name, table in spec.features.tables.items():
            features += [
                f"{name}.{column}"
                for column in self._chosen(name, table.columns, {*table.on, table.time, table.known_at})
            ]
        for name in features:
            if kind_of(self.types[name]) is None:
                self.missing(
                    "features",
                    name,
                    f"column {name!r} is {self.types[name]}, which cannot be a feature",
                    "leave it out of `columns`, or write it as number, text, boolean or time",
                )
        return features

    def _chosen(self, table: str, written: Sequence[str] | None, roles: set[str | None]) -> list[str]:
        columns = self.schemas[table].names
        if written is None:
            return [column for column in columns if column not in roles]
        chosen: dict[str, None] = {}
        for word in written:
            matched = (
                [column for column in columns if fnmatchcase(column, word) and column not in roles]
                if GLOB & set(word)
                else [column for column in columns if column == word]
            )
            if not matched:
                self._absent(f"features.{table}.columns", table, word)
            chosen |= dict.fromkeys(matched)
        return list(chosen)

    def _sliced(self) -> list[str]:
        wanted = [column for slice_ in self.spec.slices for column in slice_.columns]
        wanted += [word for word in (self.spec.evaluate.cluster, getattr(self.spec.split, "group", None)) if word]
        return [found for word in dict.fromkeys(wanted) if (found := self._found("evaluate.slices", word))]

    def _found(self, key: str, word: str) -> str | None:
        if word in self.resolve:
            return str(self.resolve[word])
        if self.labelled:  # new rows to predict need no slice columns
            self._absent(key, "labels", word)
        return None

    def check(self) -> None:
        """Raises every absent or unfit column at once."""
        spec, labels = self.spec, self.spec.features.labels
        roles = [("labels.key", labels.key), ("labels.time", labels.time)]
        if self.labelled:
            roles += [
                ("labels.weight", labels.weight),
                *(("labels.slice_only", name) for name in labels.slice_only),
                *(("labels.label", name) for name in spec.label_expression.columns),
                *(("split", name) for name in spec.split.columns()),
            ]
            roles += [
                ("select.where", name) for name in (spec.where_expression.columns if spec.where_expression else ())
            ]
        for key, name in roles:
            if name and name not in self.resolve:
                self._absent(key if key.startswith("s") else f"features.{key}", "labels", name)
        self._encodings()
        self._twins()
        for name, table in spec.features.tables.items():
            for role, column in [
                *(("on", column) for column in table.on),
                ("time", table.time),
                ("known_at", table.known_at),
            ]:
                if column and column not in self.schemas[name].names:
                    self._absent(f"features.{name}.{role}", name, column)
            for column in table.on:
                if column not in self.schemas["labels"].names:
                    self._absent(f"features.{name}.on", "labels", column)
                elif column in self.schemas[name].names:
                    self._comparable(name, column)
            self._same_zone(name, table.time, table.known_at)
        if self.problems:
            raise DataError(self.problems)

    def _twins(self) -> None:
        """Features whose names differ by case or Unicode form alone: nobody can tell them apart."""
        alike: dict[str, list[str]] = {}
        for name in self.features:
            alike.setdefault(normalize("NFKC", name).casefold(), []).append(name)
        for names in alike.values():
            if len(names) > 1:
                self.missing(
                    "features",
                    names[1],
                    f"{' and '.join(map(repr, names))} differ by case or Unicode form alone",
                    "rename one of them, or leave it out of `columns`",
                )

    def _encodings(self) -> None:
        """Options of columns that are no feature, or of another kind than the options are for."""
        for written, chosen in self.spec.encode.items():
            name, key = self.resolve.get(written, written), f"encode.{written}"
            if name not in self.features:
                self.missing(
                    key,
                    written,
                    f"{written!r} is no feature",
                    f"{nearest(written, self.features)}Known: {listed(self.features, 12)}",
                )
                continue
            kind = kind_of(self.types[name]) or "number"
            encoding, taken = chosen.encoding, [option for option in options_of(kind) if option != "impute"]
            unfit = ["as"] if encoding and kind not in encoding.kinds else []
            unfit += [option for option in chosen.given if option not in (*taken, "encode", "impute")]
            number = (
                kind != "category"
                and isinstance(chosen.impute, str)
                and chosen.impute not in ("mean", "median", "most_frequent", "none")
            )
            if unfit or number or (kind == "category" and chosen.impute in ("mean", "median")):
                what = f"`{unfit[0]}`" if unfit else f"`impute: {chosen.impute}`"
                self.missing(
                    key,
                    name,
                    f"{what} is not for {name}, which is {self.types[name]}",
                    f"for a {kind} there are as, impute, {', '.join(taken)}",
                )

    def _comparable(self, table: str, column: str) -> None:
        ours, theirs = (
            plain_key(pa.chunked_array([], self.schemas[t].field(column).type)).type for t in ("labels", table)
        )
        if ours != theirs:
            self.missing(
                f"features.{table}.on",
                column,
                f"{column!r} is {ours} in labels and {theirs} in {table}",
                "write both in one type",
            )

    def _same_zone(self, name: str, *times: str | None) -> None:
        labels = self.schemas["labels"]
        spine = (
            labels.field(self.spec.features.labels.time).type
            if self.spec.features.labels.time in labels.names
            else None
        )
        for time in times:
            if time is None or spine is None or time not in self.schemas[name].names:
                continue
            theirs = self.schemas[name].field(time).type
            unfit = [kind for kind in (spine, theirs) if kind_of(kind) != "time"]
            if unfit:
                self.missing(
                    f"features.{name}.time",
                    time,
                    f"{time!r} is compared with {self.spec.features.labels.time!r}, but {unfit[0]} is not a time",
                    "write it as a timestamp or a date",
                )
            elif (
                pa.types.is_timestamp(theirs)
                and pa.types.is_timestamp(spine)
                and (theirs.tz is None) != (spine.tz is None)
            ):
                self.missing(
                    f"features.{name}.time",
                    time,
                    f"{name}.{time} is {theirs}, but {self.spec.features.labels.time} is {spine}: one has a time zone,"
                    " the other none",
                    "write both in UTC, or both without a zone",
                )

    def scanned(self, spec: Spec, labelled: bool) -> tuple[str, ...]:
        """The label table's columns that the scan must bring."""
        labels = spec.features.labels
        wanted = [
            labels.key,
            labels.time,
            *(on for table in spec.features.tables.values() for on in table.on),
            *self.features,
            *self.extra,
        ]
        if labelled:
            wanted += [
                labels.weight,
                *(self.resolve[name] for name in (*spec.label_expression.columns, *spec.split.columns())),
            ]
            wanted += [self.resolve[name] for name in (spec.where_expression.columns if spec.where_expression else ())]
        ours = set(self.schemas["labels"].names)
        return tuple(name for name in dict.fromkeys(wanted) if name and name in ours)

    def columns_of(self, table: str) -> list[str]:
        """The columns that a feature table must bring besides its keys and times: features, slice columns, and what
        `where` asks for."""
        later = self.spec.where_expression.columns if self.spec.where_expression and self.labelled else ()
        wanted = [*self.features, *self.extra, *(self.resolve[word] for word in later)]
        return [name.partition(".")[2] for name in dict.fromkeys(wanted) if name.startswith(f"{table}.")]

    def _absent(self, key: str, table: str, word: str) -> None:
        columns = self.schemas[table].names
        self.missing(
            key,
            word,
            f"there is no column {word!r} in {table} ({len(columns)} columns)",
            f"{nearest(word, columns)}Known: {listed(columns, 12)}",
        )

    def missing(self, key: str, column: str, found: str, fix: str, rows: int | None = None) -> None:
        """Notes a problem with a column, told together with all others by `check`."""
        file, line = self.spec.place(key)
        problem = Problem(file=file, line=line, key=key, stage="read", column=column, rows=rows, found=found, fix=fix)
        if problem not in self.problems:
            self.problems.append(problem)
