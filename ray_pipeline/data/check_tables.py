"""What `check` can know of the data without Ray and without rows: files, footers, columns and their types."""

from dataclasses import dataclass, replace

import pyarrow as pa

from ray_pipeline.data.column_checks import check_columns, check_expressions
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.open_tables import open_source, time_units
from ray_pipeline.data.preconditions import require_even_files
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where


@dataclass(frozen=True, kw_only=True)
class CheckedTables:
    """The tables whose footers could be read, and what is wrong."""

    schemas: dict[str, pa.Schema]
    problems: tuple[Problem, ...]


def check_tables(spec: Spec, where: Where) -> CheckedTables:
    """Checks the tables of a spec that are Parquet files on this machine; a run checks all of them."""
    tables, problems = dict[str, InputTable](), list[Problem]()
    for name, table in spec.features.all.items():
        if "://" in where.resolve(table.path, spec.folder) or table.kind != "parquet":
            continue
        try:
            opened = InputTable.open(open_source(spec, where, name), where.stall_after.total_seconds())
            tables[name] = opened.with_time_units(time_units(spec, name))
        except PipelineError as error:
            file, line = spec.place(f"features.{name}.path")
            problems += [
                replace(one, file=file, line=line, key=f"features.{name}.path", found=f"{one.found} ({one.file})")
                for one in error.problems
            ]
    schemas = {name: table.schema for name, table in tables.items()}
    if "labels" in schemas:
        complete = len(tables) == len(spec.features.all)
        try:
            columns = ResolvedColumns(spec, schemas, complete=complete)
            require_even_files(tables, columns)
            check_columns(columns)
            check_expressions(columns)
        except PipelineError as error:
            problems += error.problems
    return CheckedTables(schemas=schemas, problems=tuple(problems))
