"""The rows of a query, in parts: by SQLAlchemy, or by DuckDB itself, which gives Arrow. Nothing is written there."""

from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from ray_pipeline.data.query_values import as_table, keep_unheld, require_held
from ray_pipeline.errors import DataError, PipelineError, Problem, StorageError
from ray_pipeline.redaction import redacted

PART_ROWS = 100_000
CONNECT_TIMEOUT_S = 15
FILES = ("sqlite", "duckdb")
"""Databases that are one file: the URL holds its path."""

PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""The packages of drivers whose modules have other names."""


def query_rows(name: str, url: str, query: str) -> Iterator[pa.Table]:
    """Yield the rows of a query, at most 100,000 at a time.

    Parameters
    ----------
    name
        The table's name, for messages.
    url
        The database's URL; a file's path in it is absolute.
    query
        One statement that gives rows.

    Raises
    ------
    StorageError
        The database cannot be reached, or does not let us in.
    DataError
        The driver is missing, the database refuses the query, or a column has values that Arrow does not know.
    """
    scheme, _, rest = url.partition("://")
    database = scheme.partition("+")[0]
    if database in FILES and rest.lstrip("/") and not Path(rest.removeprefix("/")).is_file():
        found = f"{name}: there is no such database: {rest.removeprefix('/')}"
        raise DataError(Problem(stage="read", file=rest.removeprefix("/"), found=found, fix="correct `url`"))
    return _from_duckdb(name, rest.removeprefix("/"), query) if database == "duckdb" else _from_sql(name, url, query)


def _from_duckdb(name: str, file: str, query: str) -> Iterator[pa.Table]:
    try:
        import duckdb
    except ImportError:
        raise _absent(name, "duckdb") from None
    try:
        with closing(duckdb.connect(file, read_only=True)) as connection:
            relation = connection.sql(query)
            if relation is None:
                raise _no_rows(name)
            _refuse_twice(name, relation.columns)
            for batch in relation.to_arrow_reader(PART_ROWS):
                yield require_held(name, pa.Table.from_batches([batch]))
    except duckdb.IOException as error:
        raise _unreachable(name, error) from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _refused(name, error) from None


def _from_sql(name: str, url: str, query: str) -> Iterator[pa.Table]:
    from sqlalchemy import create_engine, exc
    from sqlalchemy.engine import make_url

    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql" and find_spec("psycopg") is None:
            parsed = parsed.set(drivername="postgresql+psycopg2")
        database = parsed.get_backend_name()
        options = {"connect_timeout": CONNECT_TIMEOUT_S} if database in ("postgresql", "mysql", "mariadb") else {}
        if database == "sqlite" and parsed.database:
            file = f"file:{parsed.database}"
            parsed = parsed.set(database=file, query={**parsed.query, "mode": "ro", "uri": "true"})
        engine = create_engine(parsed, connect_args=options)
    except ModuleNotFoundError as error:
        raise _absent(name, str(error.name)) from None
    except exc.NoSuchModuleError:
        known = f"there is no kind of database {url.partition('://')[0]!r}"
        fix = "write a URL as SQLAlchemy does, such as postgresql://host/database; install its package if it has one"
        raise DataError(Problem(stage="read", found=f"{name}: {known}", fix=fix)) from None
    except (exc.ArgumentError, ValueError) as error:
        found, fix = f"{name}: `url` cannot be read: {_said(error)}", "write it as postgresql://host:5432/database"
        raise DataError(Problem(stage="read", found=found, fix=fix)) from None
    execution = {"stream_results": True, "no_parameters": True, "postgresql_readonly": True}
    if database != "postgresql":
        del execution["postgresql_readonly"]
    connection = None
    try:
        with closing(engine.connect()) as connection:
            keep_unheld(connection.connection.dbapi_connection)
            result = connection.execution_options(**execution).exec_driver_sql(query)
            if not result.returns_rows:
                raise _no_rows(name)
            columns = list(result.keys())
            _refuse_twice(name, columns)
            empty = True
            for part in result.partitions(PART_ROWS):
                empty = False
                yield as_table(name, columns, part)
            if empty:
                yield as_table(name, columns, [])
    except exc.OperationalError as error:
        is_lost = connection is None or error.connection_invalidated
        raise (_unreachable if is_lost else _refused)(name, error.orig or error) from None
    except exc.DBAPIError as error:
        raise _refused(name, error.orig or error) from None
    except PipelineError:
        raise
    except Exception as error:  # whatever a driver raises that gives a value to Python
        raise _unreadable(name, error) from None
    finally:
        engine.dispose()


def _refuse_twice(name: str, columns: list[str]) -> None:
    if twice := [column for column in columns if columns.count(column) > 1]:
        found = f"{name}: the query gives {columns.count(twice[0])} columns {twice[0]!r}"
        raise DataError(Problem(stage="read", column=twice[0], found=found, fix="name them apart, with AS"))


def _no_rows(name: str) -> DataError:
    found = f"{name}: the statement gives no rows"
    return DataError(Problem(stage="read", found=found, fix="write a query: SELECT …"))


def _absent(name: str, library: str) -> DataError:
    fix = f"pip install {PACKAGES.get(library, library)}"
    return DataError(
        Problem(stage="read", found=f"{name}: the database needs {library}, which is not installed", fix=fix)
    )


def _unreachable(name: str, error: BaseException) -> PipelineError:
    found = f"{name}: the database does not answer: {_said(error)}"
    return StorageError(Problem(stage="read", found=found, fix="check `url`, and that the database runs"))


def _refused(name: str, error: BaseException) -> PipelineError:
    found = f"{name}: the database refuses the query: {_said(error)}"
    return DataError(Problem(stage="read", found=found, fix="correct `query`; try it in the database's own client"))


def _unreadable(name: str, error: BaseException) -> PipelineError:
    found = f"{name}: the database's driver cannot read a row: {_said(error)}"
    fix = "cast the columns with such values in the query, as in CAST(x AS TEXT)"
    return DataError(Problem(stage="read", found=found, fix=fix))


def _said(error: BaseException) -> str:
    """The first lines of the database's own message, without credentials."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redacted(" ".join(lines[:3]))[:500] or type(error).__name__
