"""What `check` can know of the data without Ray and without a row.

Paths exist, are Parquet, and have the columns that the spec names. Only local paths are checked, and only the first
file of each table; a run checks all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.errors import Problem, listed, nearest
from ray_pipeline.spec.source_map import Place, dotted
from ray_pipeline.spec.spec import Spec
from ray_pipeline.spec.where import Where

MAGIC = b"PAR1"
SUFFIXES = (".parquet", ".pq", ".parq")


@dataclass(frozen=True, kw_only=True)
class FirstFooters:
    """The columns of each table whose first footer could be read, and what is wrong."""

    schemas: Mapping[str, pa.Schema]
    problems: tuple[Problem, ...]


def read_first_footers(spec: Spec, where: Where) -> FirstFooters:
    """Reads the first footer of every Parquet table of the spec."""
    schemas: dict[str, pa.Schema] = {}
    problems: list[Problem] = []
    for name, table in spec.features.all.items():
        path = where.resolve(table.path, spec.folder)
        if "://" in path or table.kind != "parquet":
            continue
        file, line = spec.place(f"features.{name}.path")
        found = _schema(path)
        if isinstance(found, pa.Schema):
            schemas[name] = found
        else:
            problems.append(Problem(file=file, line=line, key=f"features.{name}.path", found=found[0], fix=found[1]))
    return FirstFooters(schemas=schemas, problems=(*problems, *_columns(spec, schemas)))


def _schema(path: str) -> pa.Schema | tuple[str, str]:
    """The columns of the table at a local path, or what is wrong and how to correct it."""
    try:
        first, others = _first_file(path)
        if first is None and not others and not has_magic(path) and not Path(path).exists():
            near = (
                nearest(Path(path).name, [one.name for one in Path(path).parent.iterdir()])
                if Path(path).parent.is_dir()
                else ""
            )
            return (
                f"there is no such file or folder: {path}{f'; {near.strip()}' if near else ''}",
                "correct the path; it is relative to the spec's folder, or to `data:` of the cluster file",
            )
        if first is None:
            return (
                f"no Parquet file at {path} ({others} other files)",
                "name a folder with *.parquet files, a file or a glob",
            )
        size = first.stat().st_size
        with first.open("rb") as opened:
            head = opened.read(12)
            opened.seek(max(0, size - 4))
            tail = opened.read(4)
        if size == 0:
            return f"{first} is empty (0 bytes)", "write it again"
        if not head.startswith(MAGIC):
            return f"{first} is not Parquet: it starts with {head!r}", "convert it, or name its kind"
        if tail != MAGIC:
            return f"{first} has no footer: the file is cut at {size:,} bytes", "write it again"
        schema = pq.read_schema(first)
    except PermissionError as error:
        return f"permission denied: {error.filename}", "grant read access"
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        return f"the footer of {path} cannot be read: {str(error).splitlines()[0]}", "write it again"
    for part in first.parent.parts[len(Path(path).parts) :] if Path(path).is_dir() else ():
        key, equals, _ = part.partition("=")
        if equals and key not in schema.names:
            schema = schema.append(pa.field(key, pa.string()))
    return schema


def _first_file(path: str) -> tuple[Path | None, int]:
    """The first Parquet file of a path, a folder or a glob, and how many other files there are."""
    if has_magic(path):
        found = sorted(Path(one) for one in glob(path, recursive=True) if Path(one).is_file())  # noqa: PTH207 (absolute, with a pattern anywhere)
        return (found[0] if found else None), 0
    at = Path(path)
    if not at.is_dir():
        return (at if at.exists() else None), 0
    every = sorted(
        one
        for one in at.rglob("*")
        if one.is_file() and not any(part.startswith((".", "_")) for part in one.relative_to(at).parts)
    )
    parquet = [one for one in every if one.suffix in SUFFIXES]
    return (parquet[0] if parquet else None), len(every) - len(parquet)


def _columns(spec: Spec, schemas: Mapping[str, pa.Schema]) -> Iterator[Problem]:
    """Columns that the spec names and no footer has."""
    spine = schemas.get("labels")
    labels = spec.features.labels

    def absent(place: Place, name: str, known: Sequence[str], of: str) -> Problem:
        return _problem(
            spec, place, name, f"{of} has no column {name!r}; {nearest(name, known)}Known: {listed(known, 30)}"
        )

    def of_list(table: str, key: str, names: Sequence[str]) -> Iterator[Problem]:
        known = schemas[table].names
        for place, name in enumerate(names):
            if has_magic(name) and name not in known:
                if not any(fnmatchcase(one, name) for one in known):
                    near = nearest(name.strip("*?"), known)
                    yield _problem(
                        spec,
                        ("features", table, key, place),
                        None,
                        f"{name!r} matches none of the {len(known)} columns of {table}; {near}Known:"
                        f" {listed(known, 30)}",
                    )
            elif name not in known:
                yield absent(("features", table, key, place), name, known, table)

    if spine is not None:
        for role in ("key", "time", "weight"):
            if (name := getattr(labels, role)) is not None and name not in spine.names:
                yield absent(("features", "labels", role), name, spine.names, "labels")
        for name in spec.label_expression.columns:
            if name not in spine.names:
                yield absent(("features", "labels", "label"), name, spine.names, "labels")
        for name in spec.split.columns():
            if name not in spine.names:
                yield absent(("split",), name, spine.names, "labels")
        yield from of_list("labels", "columns", labels.columns or ())
        yield from of_list("labels", "slice_only", labels.slice_only)
    for key, table in spec.features.tables.items():
        if key in schemas:
            for role in ("time", "known_at"):
                if (name := getattr(table, role)) is not None and name not in schemas[key].names:
                    yield absent(("features", key, role), name, schemas[key].names, key)
            yield from of_list(key, "columns", table.columns or ())
        for place, name in enumerate(table.on):
            for side in ("labels", key):
                if side in schemas and name not in schemas[side].names:
                    yield absent(("features", key, "on", place), name, schemas[side].names, side)
    if len(schemas) == 1 + len(spec.features.tables):
        yield from _used_anywhere(spec, schemas)


def _used_anywhere(spec: Spec, schemas: Mapping[str, pa.Schema]) -> Iterator[Problem]:
    """Names that may be of any table: `where`, slices, groups, the cluster, encodings."""
    bare = list(schemas["labels"].names)
    joined = [(table, name) for table, schema in schemas.items() if table != "labels" for name in schema.names]
    known = [*bare, *(f"{table}.{name}" for table, name in joined)]
    used: list[tuple[Place, str]] = []
    if spec.where_expression:
        used += [(("select", "where"), name) for name in spec.where_expression.columns]
    used += [
        (("evaluate", "slices", place), name) for place, one in enumerate(spec.evaluate.slices) for name in one.columns
    ]
    used += [(("bias", "groups", place), name) for place, one in enumerate(spec.bias.groups) for name in one.columns]
    used += [
        (("explain", "slices", place), name) for place, one in enumerate(spec.explain.slices) for name in one.columns
    ]
    used += [(("evaluate", "cluster"), spec.evaluate.cluster)] if spec.evaluate.cluster else []
    used += [(("encode", name), name) for name in spec.encode]
    for place, name in used:
        owners = [f"{table}.{column}" for table, column in joined if column == name]
        if name in known or len(owners) == 1:
            continue
        elif owners:
            yield _problem(spec, place, name, f"{name!r} may be {' or '.join(owners)}")
        else:
            yield _problem(
                spec, place, name, f"no table has a column {name!r}; {nearest(name, known)}Known: {listed(known, 30)}"
            )


def _problem(spec: Spec, place: Place, column: str | None, found: str) -> Problem:
    file, line = spec.place(dotted(place))
    return Problem(file=file, line=line, key=dotted(place), column=column, found=found, fix="correct the name")
