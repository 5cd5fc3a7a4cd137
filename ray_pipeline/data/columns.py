"""Columns: from the names that a user wrote to canonical names, and from globs to features."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pyarrow as pa

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.components.sources._base import Footers
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec import Spec

GLOB = set("*?[")


class ColumnProblems:
    """Problems with columns, each with its line of the spec; raised together."""

    def __init__(self, spec: Spec, schemas: Mapping[str, pa.Schema]) -> None:
        self.spec, self.schemas, self.problems = spec, schemas, list[Problem]()

    def add(self, key: str, column: str, found: str, fix: str) -> None:
        """Adds a problem, unless the same one is there already."""
        file, line = self.spec.place(key)
        problem = Problem(file=file, line=line, key=key, stage="read", column=column, found=found, fix=fix)
        if problem not in self.problems:
            self.problems.append(problem)

    def add_absent(self, key: str, table: str, column: str) -> None:
        """Adds that a table lacks a column."""
        known = self.schemas[table].names
        found = f"there is no column {column!r} in {table} ({len(known)} columns)"
        self.add(key, column, found, f"{nearest(column, known)}Known: {listed(known, 12)}")

    def raise_all(self) -> None:
        """Raises `DataError` with all problems, if there are any."""
        if self.problems:
            raise DataError(self.problems)


class ResolvedColumns:
    """The columns of the spec by canonical name: `<column>` of the label table, `<table>.<column>` of a feature table.

    What the spec names and no table has becomes a problem; `check_columns` raises all of them.
    """

    def __init__(self, spec: Spec, footers: Mapping[str, Footers], labelled: bool = True) -> None:
        self.spec, self.labelled = spec, labelled
        self.schemas = {name: footer.schema for name, footer in footers.items()}
        self.problems = ColumnProblems(spec, self.schemas)
        self.types = {
            name if table == "labels" else f"{table}.{name}": schema.field(name).type
            for table, schema in self.schemas.items()
            for name in schema.names
        }
        self.resolve = self._canonical_names()
        self.features = self._features()
        self.slice_columns = [name for name in self._slice_columns() if name not in self.features]

    def to_read(self) -> dict[str, tuple[str, ...]]:
        """The columns that the run reads, by table and by their own names."""
        tables = {name: self._read_of(name) for name in self.spec.features.tables}
        return {"labels": self._read_of_labels(), **tables}

    def joined(self, table: str) -> list[str]:
        """The columns that a feature table brings besides keys and times: features, slice columns, those of `where`."""
        wanted = [*self.features, *self.slice_columns, *(self.resolve[name] for name in self._of_where())]
        return [name.partition(".")[2] for name in dict.fromkeys(wanted) if name.startswith(f"{table}.")]

    def _canonical_names(self) -> dict[str, str]:
        """Canonical names by every name that a user may write: bare where it is unique, or with the table."""
        by_bare_name: dict[str, list[str]] = {}
        for name in self.types:
            by_bare_name.setdefault(name.partition(".")[2] or name, []).append(name)
        return {
            **{bare: names[0] for bare, names in by_bare_name.items() if len(names) == 1},
            **{f"labels.{name}": name for name in self.schemas["labels"].names},
            **{name: name for name in self.types},
        }

    def _features(self) -> list[str]:
        """Every feature, the label table's first."""
        spec, labels = self.spec, self.spec.features.labels
        roles = {labels.key, labels.time, labels.weight, *labels.slice_only}
        roles |= {*spec.split.columns(), *spec.label_expression.columns}
        features = self._matching("labels", labels.columns, roles)
        for name, table in spec.features.tables.items():
            columns = self._matching(name, table.columns, {*table.on, table.time, table.known_at})
            features += [f"{name}.{column}" for column in columns]
        for name in features:
            if kind_of(self.types[name]) is None:
                found = f"column {name!r} is {self.types[name]}, which cannot be a feature"
                fix = "leave it out of `columns`, or write it as number, text, boolean or time"
                self.problems.add("features", name, found, fix)
        return features

    def _matching(self, table: str, written: Sequence[str] | None, roles: set[str | None]) -> list[str]:
        """The columns that names and globs mean, in their order; all without a role if nothing is written."""
        columns = self.schemas[table].names
        if written is None:
            return [column for column in columns if column not in roles]
        matching: dict[str, None] = {}
        for name in written:
            is_glob = bool(GLOB & set(name))
            matched = [c for c in columns if (fnmatchcase(c, name) and c not in roles if is_glob else c == name)]
            if not matched:
                self.problems.add_absent(f"features.{table}.columns", table, name)
            matching |= dict.fromkeys(matched)
        return list(matching)

    def _slice_columns(self) -> list[str]:
        """The columns of slices, of the bootstrap's clusters and of the split's group."""
        wanted = [column for one in self.spec.slices for column in one.columns]
        wanted += [name for name in (self.spec.evaluate.cluster, getattr(self.spec.split, "group", None)) if name]
        absent = [name for name in dict.fromkeys(wanted) if name not in self.resolve]
        for name in absent if self.labelled else ():  # new rows to predict need no slice columns
            self.problems.add_absent("evaluate.slices", "labels", name)
        return [self.resolve[name] for name in dict.fromkeys(wanted) if name not in absent]

    def _of_where(self) -> tuple[str, ...]:
        """The columns of `select.where`, as written; unlabelled rows are not selected."""
        where = self.spec.where_expression
        return where.columns if where is not None and self.labelled else ()

    def _read_of_labels(self) -> tuple[str, ...]:
        """The label table's columns that the scan reads."""
        spec, labels = self.spec, self.spec.features.labels
        keys = [column for table in spec.features.tables.values() for column in table.on]
        wanted = [labels.key, labels.time, *keys, *self.features, *self.slice_columns]
        if self.labelled:
            written = (*spec.label_expression.columns, *spec.split.columns(), *self._of_where())
            wanted += [labels.weight, *(self.resolve[name] for name in written)]
        return tuple(name for name in dict.fromkeys(wanted) if name and name in self.schemas["labels"].names)

    def _read_of(self, name: str) -> tuple[str, ...]:
        """A feature table's columns that are read."""
        table = self.spec.features.tables[name]
        wanted = [*table.on, table.time, table.known_at, *self.joined(name)]
        return tuple(column for column in dict.fromkeys(wanted) if column)
