"""Columns: from the names that a user wrote to canonical names, and from globs to features."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import pyarrow as pa

from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec import Spec

GLOB = set("*?[")


class ColumnProblems:
    """Problems with columns, each with its line of the spec; raised together."""

    def __init__(self, spec: Spec, schemas: Mapping[str, pa.Schema]) -> None:
        self.spec, self.schemas, self.problems = spec, schemas, list[Problem]()

    def add(self, key: str, column: str | None, found: str, fix: str) -> None:
        """Adds a problem, unless the same one is there already."""
        file, line = self.spec.place(key)
        problem = Problem(file=file, line=line, key=key, stage="read", column=column, found=found, fix=fix)
        if problem not in self.problems:
            self.problems.append(problem)

    def add_absent(self, key: str, table: str, column: str) -> None:
        """Adds that a table lacks a column."""
        known = self.schemas[table].names
        near = f"{nearest(column.strip('*?'), known)}Known: {listed(known, 12)}"
        found = f"there is no column {column!r} in {table} ({len(known)} columns); {near}"
        label = self.spec.features.labels.label.strip()
        odd = key == "features.labels.label" and label in known
        self.add(key, column, found, f"write the name in backticks: `{label}`" if odd else "correct the name")

    def add_unknown(self, key: str, column: str, owners: Sequence[str], known: Sequence[str]) -> None:
        """Adds that a name means no column, or more than one."""
        if owners:
            self.add(key, column, f"{column!r} may be {' or '.join(owners)}", "write the name with its table")
        else:
            near = f"{nearest(column, known)}Known: {listed(known, 30)}"
            self.add(key, column, f"no table has a column {column!r}; {near}", "correct the name")

    def raise_all(self) -> None:
        """Raises `DataError` with all problems, if there are any."""
        if self.problems:
            raise DataError(self.problems)


class Origin(NamedTuple):
    """Where a column comes from."""

    table: str
    column: str


class ResolvedColumns:
    """The columns of the spec by canonical name: `<column>` of the label table, `<table>.<column>` of a feature table.

    What the spec names and no table has becomes a problem; `check_columns` raises all of them.

    Parameters
    ----------
    spec
        The run's spec.
    schemas
        Plain types of the columns, by table.
    labelled
        Whether the rows have labels.
    complete
        Whether `schemas` has every table; else a name that none of them has may still be right.
    """

    def __init__(
        self, spec: Spec, schemas: Mapping[str, pa.Schema], labelled: bool = True, complete: bool = True
    ) -> None:
        self.spec, self.schemas, self.labelled, self.complete = spec, schemas, labelled, complete
        self.problems = ColumnProblems(spec, schemas)
        self.origins = {
            column if table == "labels" else f"{table}.{column}": Origin(table, column)
            for table, schema in schemas.items()
            for column in schema.names
        }
        self.types = {name: schemas[of.table].field(of.column).type for name, of in self.origins.items()}
        self.resolve = self._canonical_names()
        self.features = self._features()
        self.slice_columns = [name for name in self._slice_columns() if name not in self.features]

    def own_name(self, written: str) -> str:
        """The name in the label table of a column that the user wrote with or without `labels.`."""
        of = self.origins.get(self.resolve.get(written, written))
        return of.column if of and of.table == "labels" else written

    def to_read(self) -> dict[str, tuple[str, ...]]:
        """The columns that the run reads, by table and by their own names."""
        tables = {name: self._read_of(name) for name in self.spec.features.tables if name in self.schemas}
        return {"labels": self._read_of_labels(), **tables}

    def role_columns(self, table: str) -> set[str | None]:
        """The columns of a table that decide what becomes of its rows: all that are read but features and slices."""
        spec, labels = self.spec, self.spec.features.labels
        if table != "labels":
            one = spec.features.tables[table]
            return {*one.on, one.time, one.known_at}
        roles = {labels.key, labels.time, *(column for one in spec.features.tables.values() for column in one.on)}
        if self.labelled:
            roles |= {labels.weight, *spec.split.columns(), *map(self.own_name, spec.label_expression.columns)}
        return roles

    def joined(self, table: str) -> list[str]:
        """The columns that a feature table brings besides keys and times: features, slice columns, those of `where`."""
        wanted = [*self.features, *self.slice_columns, *(self.resolve.get(name, name) for name in self._of_where())]
        return [of.column for name in dict.fromkeys(wanted) if (of := self.origins.get(name)) and of.table == table]

    def _canonical_names(self) -> dict[str, str]:
        """Canonical names by every name that a user may write: bare where it is unique, or with the table."""
        by_bare_name: dict[str, list[str]] = {}
        for name, of in self.origins.items():
            by_bare_name.setdefault(of.column, []).append(name)
        return {
            **{bare: names[0] for bare, names in by_bare_name.items() if len(names) == 1},
            **{f"labels.{name}": name for name in self.schemas["labels"].names},
            **{name: name for name in self.types},
        }

    def _features(self) -> list[str]:
        """Every feature, the label table's first."""
        spec, labels = self.spec, self.spec.features.labels
        own = [labels.key, labels.time, labels.weight, *labels.slice_only, *spec.split.columns()]
        roles = {*own, *(self.own_name(name) for name in spec.label_expression.columns)}
        features = self._matching("labels", labels.columns, roles)
        for name, table in spec.features.tables.items():
            if name not in self.schemas:
                continue
            columns = self._matching(name, table.columns, {*table.on, table.time, table.known_at})
            features += [f"{name}.{column}" for column in columns]
        return features

    def _matching(self, table: str, written: Sequence[str] | None, roles: set[str | None]) -> list[str]:
        """The columns that names and globs mean, in their order; all without a role if nothing is written."""
        columns = self.schemas[table].names
        if written is None:
            return [column for column in columns if column not in roles]
        matching: dict[str, None] = {}
        for place, name in enumerate(written):
            is_glob = bool(GLOB & set(name)) and name not in columns
            matched = [c for c in columns if (fnmatchcase(c, name) and c not in roles if is_glob else c == name)]
            if not matched:
                self.problems.add_absent(f"features.{table}.columns[{place}]", table, name)
            matching |= dict.fromkeys(matched)
        return list(matching)

    def _slice_columns(self) -> list[str]:
        """The columns of slices, of the bootstrap's clusters and of the split's group."""
        spec, wanted = self.spec, dict[str, str]()
        for key, slices in (
            ("evaluate.slices", spec.evaluate.slices),
            ("bias.groups", spec.bias.groups),
            ("explain.slices", spec.explain.slices),
        ):
            for place, one in enumerate(slices):
                for column in one.columns:
                    wanted.setdefault(column, f"{key}[{place}]")
        if spec.evaluate.cluster is not None:
            wanted.setdefault(spec.evaluate.cluster, "evaluate.cluster")
        if self.labelled:  # new rows to predict need no slice columns
            for name, key in wanted.items():
                self.require(key, name)
        group = getattr(spec.split, "group", None)
        return [self.resolve[name] for name in dict.fromkeys([*wanted, group]) if name in self.resolve]

    def require(self, key: str, name: str) -> None:
        """Adds a problem where a name means no column of any table, or several."""
        if name not in self.resolve and self.complete:
            owners = [full for full, of in self.origins.items() if of.column == name]
            self.problems.add_unknown(key, name, owners, list(self.types))

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
            wanted += [labels.weight, *(self.resolve.get(name, name) for name in written)]
        known = self.schemas["labels"].names
        return tuple(name for name in dict.fromkeys(wanted) if name is not None and name in known)

    def _read_of(self, name: str) -> tuple[str, ...]:
        """A feature table's columns that are read."""
        table = self.spec.features.tables[name]
        wanted = [*table.on, table.time, table.known_at, *self.joined(name)]
        return tuple(column for column in dict.fromkeys(wanted) if column is not None)
