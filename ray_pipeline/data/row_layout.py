"""Rows for a model: which files they are, and how CSV files are written, as the model's own table or plainly.

Only the layout of the file may differ. What its cells mean is as in training.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray_pipeline.components.sources._base import kind_at, source_of
from ray_pipeline.components.sources._files import lake_at
from ray_pipeline.components.sources.csv import CSV
from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.data.columns_of_rows import columns_of_rows
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.spec import Spec

LAYOUT = {"delimiter": ",", "decimal": ".", "encoding": "utf-8", "skip_rows": 0}
"""The parameters of a CSV table that say how the file is written, with those of a plain file."""

PARQUET = "*.parquet"
"""The glob that stands for Parquet files of all endings."""


def rows_at(path: str | Path) -> str:
    """The absolute path of rows; of a local folder of CSV files, a glob for them.

    Raises
    ------
    DataError
        A folder has files of several kinds, of which one alone would be read.
    """
    if "://" in str(path):
        return str(path)
    folder = Path(path).absolute()
    if not folder.is_dir() or lake_at("rows", str(folder)):
        return str(folder)
    files = (file for file in folder.rglob("*") if not any(map(_is_hidden, file.relative_to(folder).parts)))
    counts = Counter(kind for kind in (_kind_of_file(file.name) for file in files) if kind)
    if len(counts) > 1:
        found = f"the folder has {' and '.join(f'{count} {kind} files' for kind, count in counts.items())}"
        fix = f"name files of one kind, as in --rows '{path}/{min(counts)}'"
        raise DataError(Problem(stage="read", file=str(folder), found=found, fix=fix))
    return f"{folder}/**/{kind}" if (kind := next(iter(counts), PARQUET)) != PARQUET else str(folder)


def _kind_of_file(name: str) -> str | None:
    """The glob for files like this one; None for a file that is no table."""
    if name.lower().endswith(Parquet.endings):
        return PARQUET
    return next((f"*{ending}" for ending in CSV.endings if name.lower().endswith(ending)), None)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def with_row_layout(spec: Spec, path: str, columns: Iterable[str]) -> tuple[Spec, str | None]:
    """The model's spec, such that its label table reads the rows at `path`.

    A CSV file is read as the model's table is written. Where that header has fewer of the model's columns, it is read
    without the lines before the header, or as a plain file: commas, decimal points, the header in line 1. Numbers that
    are written otherwise are then texts, which the model refuses. Text that is UTF-8 is read as UTF-8.

    Parameters
    ----------
    spec
        The spec that the model was trained with.
    path
        The rows: a file, folder, glob or URI.
    columns
        The full names of the model's columns.

    Returns
    -------
    tuple
        The spec; and a sentence, if the file is written otherwise than the model's table.

    Raises
    ------
    DataError
        The header has none of the columns, however it is read.
    """
    labels = spec.features.labels
    given = labels.parameters if labels.kind == "csv" else {}
    if kind_at(path) != "csv":
        return spec, None
    needed = set(columns_of_rows(spec, columns))
    own = {**LAYOUT, **{name: given[name] for name in LAYOUT if name in given}}
    own_source = _source(path, own)
    encoding = "utf-8" if own_source.is_utf_8_after_all() else own["encoding"]
    layouts = [{**own, "encoding": encoding}, {**own, "encoding": encoding, "skip_rows": 0}]
    layouts.append({**LAYOUT, "encoding": encoding})
    headers = [_source(path, one).header() for one in layouts]
    counts = [len(needed.intersection(header)) for header in headers]
    best = counts.index(max(counts))
    if needed and not counts[best]:
        what = "as the model's table" if given else "as a plain file"
        has = f"the header has none of the model's columns: {listed(map(repr, headers[0]))}"
        has = has if headers[0] else "the file has no header"
        found = f"labels: read {what} ({_written(layouts[0], LAYOUT)}), {has}"
        fix = (
            "save the rows with commas, decimal points, UTF-8 and the header in line 1, or as Parquet;"
            f" the model reads {listed(map(repr, sorted(needed)))}"
        )
        raise DataError(Problem(stage="read", file=path, found=found, fix=fix))
    layout = layouts[best]
    if labels.kind != "csv":
        return spec, None
    types = {name: type_ for name, type_ in given.get("types", {}).items() if name in headers[best]}
    if layout["decimal"] != own["decimal"]:  # else 1,500 would be one and a half in one file, and 1500 in the other
        types = {name: type_ for name, type_ in types.items() if type_ != "number"}
    parameters = {**given, **layout, "types": types}
    changed = labels.model_copy(update={"parameters": parameters})
    spec = spec.model_copy(update={"features": spec.features.model_copy(update={"labels": changed})})
    if layout == own:
        return spec, None
    differing = {name: layout[name] for name in LAYOUT if layout[name] != own[name]}
    return spec, f"read with {_written(layout, differing)}; the model's table has {_written(own, differing)}"


def _source(path: str, layout: Mapping[str, Any]) -> CSV:
    source = source_of("csv", "labels", path, layout)
    assert isinstance(source, CSV)
    return source


def _written(layout: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {layout[name]!r}" for name in names)
