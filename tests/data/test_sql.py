"""Queries as tables: read once to Parquet, refused with a remedy, and without a password anywhere."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from job_fixture import free_port
from postgres_fixture import postgres_server

from ray_pipeline.data import query_rows as module
from ray_pipeline.data.open_tables import open_source
from ray_pipeline.data.query_rows import query_rows
from ray_pipeline.data.query_types import schema_of
from ray_pipeline.data.sql_tables import _encoded, is_waiting, to_read_again, with_query_rows, with_rows_of
from ray_pipeline.errors import DataError, PipelineError, SpecError, StorageError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SECRET = "a-secret-of-the-database"
BASE = {"name": "loans", "task": "binary", "split": {"by": "random"}, "model": "xgboost"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Five loans; the first amounts are null, then whole, then fractions."""
    with closing(sqlite3.connect(tmp_path / "loans.db")) as connection:
        connection.execute("CREATE TABLE loans (id INTEGER, amount, bad INTEGER, branch TEXT)")
        rows = [(1, None, 0, "a"), (2, None, 1, "b"), (3, 5, 0, None), (4, 6, 1, "a"), (5, 7.5, 0, "100% :x")]
        connection.executemany("INSERT INTO loans VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    return tmp_path


def spec_of(folder: Path, query: str = "SELECT * FROM loans", url: str = "sqlite:///loans.db", **more: Any) -> Spec:
    labels = {"kind": "sql", "url": url, "query": query, "label": "bad", "key": "id"}
    return Spec.from_dict({**BASE, "features": {"labels": labels, **more}}, folder=folder)


def run_folder(spec: Spec, folder: Path) -> tuple[Spec, dict[str, Any]]:
    """What a run in that folder reads."""

    def write(name: str, content: pa.Buffer) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return with_query_rows(spec, Where(), write, str(folder))


def test_a_query_is_read_in_parts_of_one_type_each(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2)
    spec, facts = run_folder(spec_of(database, "SELECT *, '%' AS sign FROM loans WHERE branch <> ':y' OR 1"), database)
    files = sorted((database / "tables/labels").iterdir())
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert {str(pq.read_schema(file).field("amount").type) for file in files} == {"double"}
    table = open_source(spec, Where(), "labels").table(["id", "amount", "branch", "sign"])
    assert table["amount"].to_pylist() == [None, None, 5.0, 6.0, 7.5]
    assert table["branch"].to_pylist() == ["a", "b", None, "a", "100% :x"]
    assert {name: facts["labels"][name] for name in ("rows", "files", "url")} == {
        "rows": 5,
        "files": 3,
        "url": "sqlite:///loans.db",
    }
    assert facts["labels"]["query"].startswith("SELECT *") and len(facts["labels"]["sha256"]) == 64
    assert abs((datetime.now(UTC) - datetime.fromisoformat(facts["labels"]["read_at"])).total_seconds()) < 60


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        ([None, "2024-01-31", "2024-02-01"], "timestamp[us]"),
        (["2024-01-31 10:00:00", None, "2024-01-31T10:00:00.123456"], "timestamp[us]"),
        (["2024-01-31 10:00:00+02:00", "2024-01-31T10:00:00Z", None], "timestamp[us, tz=UTC]"),
        (["2024-01-31 10:00:00", "2024-01-31T10:00:00Z", None], "string"),
        (["2024-01-31", "2024-02-01", "soon"], "string"),
        (["2024", "2025", "2026"], "string"),
        ([None, None, None], "null"),
    ],
)
def test_times_of_sqlite_are_found_by_all_their_values(
    texts: list[str | None], type_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 1)
    with closing(sqlite3.connect(tmp_path / "loans.db")) as connection:
        connection.execute("CREATE TABLE loans (moment TEXT, bad INTEGER)")
        connection.executemany("INSERT INTO loans VALUES (?, 0)", [(text,) for text in texts])
        connection.commit()
    spec, _ = run_folder(spec_of(tmp_path), tmp_path)
    moments = open_source(spec, Where(), "labels").table(["moment"])["moment"]
    assert str(moments.type) == type_
    if type_ == "timestamp[us, tz=UTC]":
        assert moments.to_pylist()[:2] == [datetime(2024, 1, 31, hour, tzinfo=UTC) for hour in (8, 10)]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT CASE WHEN id < 3 THEN id ELSE 'none' END AS odd FROM loans", "values of the types int64, string"),
        ("SELECT CASE WHEN id < 3 THEN 9007199254740993 ELSE 0.5 END AS odd FROM loans", "the types int64, double"),
    ],
)
def test_parts_of_unlike_types_are_refused(
    query: str, told: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2)
    with pytest.raises(DataError, match=f"labels: 'odd' has .*{told}") as refused:
        run_folder(spec_of(database, query), database)
    assert refused.value.problems[0].fix == "cast it in the query, as in CAST(odd AS TEXT)"


def test_the_stored_spec_names_the_rows_and_keeps_its_identity(database: Path) -> None:
    given = spec_of(database)
    assert "path" not in given.as_data()["features"]["labels"] and is_waiting(given.features.labels)
    read, facts = run_folder(given, database)
    again = Spec.from_text(read.render(), folder=database)
    assert again == read and not is_waiting(again.features.labels)
    assert again.fingerprint == given.fingerprint != spec_of(database, "SELECT 1").fingerprint
    (database / "loans.db").unlink()
    untouched, nothing = run_folder(again, database)
    assert untouched == again and nothing == {} and set(facts) == {"labels"}
    assert open_source(again, Where(), "labels").footers().num_rows == 5


def test_queries_of_feature_tables_are_read_again_for_new_rows(database: Path) -> None:
    branches = {
        "kind": "sql",
        "url": "sqlite:///loans.db",
        "query": "SELECT branch, 1 AS size FROM loans",
        "on": "branch",
    }
    read, _ = run_folder(spec_of(database, branches=branches), database)
    assert not any(map(is_waiting, read.features.all.values()))
    again = to_read_again(read)
    assert [is_waiting(table) for table in again.features.all.values()] == [False, True]
    assert with_rows_of(again, read) == read


def test_a_password_in_a_url_is_refused_and_one_of_the_environment_is_stored_nowhere(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="the URL holds a password") as refused:
        spec_of(database, url=f"postgresql://me:{SECRET}@db/loans")
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("LOANS_URL", f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/loans")
    spec = spec_of(database, url="${env:LOANS_URL}")
    assert SECRET not in spec.render()
    with pytest.raises(StorageError, match="the database does not answer") as down:
        run_folder(spec, database)
    assert SECRET not in str(down.value) and down.value.exit_code == 6


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELEC * FROM loans", 'refuses the query: near "SELEC": syntax error'),
        ("SELECT * FROM lons", "refuses the query: no such table: lons"),
        ("SELECT id, bad AS id FROM loans", "the query gives 2 columns 'id'"),
        ("SELECT * FROM loans WHERE id > 9", "the query gives 0 rows"),
        ("DROP TABLE loans", "the database refuses the query: attempt to write a readonly database"),
        ("SELECT CASE WHEN id = 1 THEN 'x' ELSE id END AS odd FROM loans", "'odd' has values that Arrow cannot hold"),
    ],
)
def test_a_query_that_gives_no_table_is_refused(database: Path, query: str, told: str) -> None:
    with pytest.raises(DataError) as refused:
        run_folder(spec_of(database, query), database)
    assert told in str(refused.value) and refused.value.exit_code == 3
    with closing(sqlite3.connect(database / "loans.db")) as connection:
        assert connection.execute("SELECT count(*) FROM loans").fetchone() == (5,)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///nowhere.db", "there is no such database: "),
        ("oracle+nothing://host/db", "there is no kind of database 'oracle+nothing'"),
        ("mysql://host/db", "which is not installed"),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused(database: Path, url: str, told: str) -> None:
    with pytest.raises(DataError) as refused:
        run_folder(spec_of(database, url=url), database)
    assert told in str(refused.value)
    assert not (database / "nowhere.db").exists()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"url": "loans.db", "query": "SELECT 1"}, "expected a URL such as postgresql://host/database"),
        ({"url": "sqlite:///loans.db"}, "query"),
        ({"url": "sqlite:///loans.db", "query": ""}, "query"),
    ],
)
def test_a_table_without_url_or_query_is_refused_by_check(table: dict[str, str], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Spec.from_dict({**BASE, "features": {"labels": {"kind": "sql", "label": "bad", **table}}})


def test_plan_says_that_the_rows_are_not_read_yet(database: Path) -> None:
    with pytest.raises(DataError, match="known once a run has read them"):
        open_source(spec_of(database), Where(), "labels").footers()


def test_duckdb_gives_its_own_types_and_is_opened_to_read(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    with duckdb.connect(str(tmp_path / "loans.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE loans AS SELECT i AS id, i::DECIMAL(9,2) AS d, i % 2 AS bad FROM range(9) t(i)"
        )
    url = "duckdb:///loans.duckdb"
    spec, facts = run_folder(spec_of(tmp_path, url=url), tmp_path)
    table = open_source(spec, Where(), "labels").table(["id", "d"])
    assert table["d"].type == pa.decimal128(9, 2) and facts["labels"]["rows"] == 9
    for query, told in (("SELEC 1", "refuses the query"), ("DROP TABLE loans", "refuses the query")):
        with pytest.raises(DataError, match=told):
            run_folder(spec_of(tmp_path, query, url), tmp_path)
    (tmp_path / "bad.duckdb").write_bytes(b"no database")
    with pytest.raises(PipelineError, match=r"bad\.duckdb"):
        run_folder(spec_of(tmp_path, url="duckdb:///bad.duckdb"), tmp_path)


def test_a_database_that_gives_no_row_in_time_ends_the_reading(database: Path) -> None:
    endless = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i FROM t LIMIT 40000000) SELECT max(i) FROM t"
    hurried = Where().model_copy(update={"stall_after": timedelta(seconds=1)})
    with pytest.raises(StorageError, match="labels: the database has given no row for 1 s \\(`stall_after`\\)"):
        with_query_rows(spec_of(database, endless), hurried, lambda *_: None, str(database))


@pytest.mark.long
def test_postgresql_is_read_by_a_cursor_in_one_transaction_that_may_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import create_engine, text

    monkeypatch.setattr(module, "PART_ROWS", 1_000)
    with postgres_server() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE loans AS SELECT i AS id, (i * 1.5)::numeric(12, 2) AS amount, i % 2 AS bad,"
                    " timestamptz '2026-01-01 00:00+00' + i * interval '1 hour' AS at, gen_random_uuid() AS token,"
                    " CASE WHEN i > 1500 THEN 'later' END AS note FROM generate_series(1, 2500) AS t(i)"
                )
            )
        query = "SELECT id, amount, bad, at, token::text AS token, note FROM loans WHERE note IS NULL OR note LIKE 'l%'"
        spec, facts = run_folder(spec_of(tmp_path, query, url), tmp_path)
        assert (facts["labels"]["rows"], facts["labels"]["files"]) == (2_500, 3)
        table = open_source(spec, Where(), "labels").table(["id", "amount", "at", "note"])
        assert table["at"].type == pa.timestamp("us", tz="UTC") and pa.types.is_decimal(table["amount"].type)
        assert table["amount"][0].as_py() == Decimal("1.50") and table["note"].null_count == 1_500
        for wrong, told in (
            ("SELEC 1", "syntax error"),
            ("DELETE FROM loans RETURNING id", "refuses the query"),
            ("SELECT * FROM lons", 'relation "lons" does not exist'),
        ):
            with pytest.raises(DataError, match=told):
                run_folder(spec_of(tmp_path, wrong, url), tmp_path)
        with engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM loans")).scalar() == 2_500
        with engine.begin() as connection:  # somebody holds the table
            connection.execute(text("LOCK TABLE loans IN ACCESS EXCLUSIVE MODE"))
            hurried = Where().model_copy(update={"stall_after": timedelta(seconds=1)})
            with pytest.raises(StorageError, match="the database has given no row for 1 s"):
                with_query_rows(spec_of(tmp_path, query, url), hurried, lambda *_: None, str(tmp_path))
        engine.dispose()
    with pytest.raises(StorageError, match="the database does not answer"):
        next(query_rows("labels", url, query))
    assert json.dumps(facts)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me@db/loans?password={SECRET}",
        f"snowflake://db/loans?warehouse=w&token={SECRET}",
        f"mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dme%3BPWD%3D{SECRET}",
        f"${{env:LOANS_URL}}?password={SECRET}",
    ],
)
def test_a_secret_in_the_query_of_a_url_is_refused(database: Path, url: str) -> None:
    with pytest.raises(SpecError, match="of the URL holds a secret") as refused:
        spec_of(database, url=url)
    assert SECRET not in str(refused.value)
    assert spec_of(database, url=url.replace(SECRET, "${env:LOANS_PASSWORD}"))


def test_a_variable_that_is_not_set_is_named_with_its_key(database: Path) -> None:
    spec = spec_of(database, url="postgresql://reader:${env:NO_SUCH_VARIABLE}@127.0.0.1/loans")
    with pytest.raises(SpecError, match=r"features\.labels\.url: the environment variable NO_SUCH_VARIABLE is not set"):
        run_folder(spec, database)


def test_a_key_that_is_misspelt_is_named_beside_the_one_that_is_missing() -> None:
    labels = {"kind": "sql", "url": "sqlite:///l.db", "querry": "SELECT 1", "label": "bad"}
    with pytest.raises(SpecError) as told:
        Spec.from_dict({**BASE, "features": {"labels": labels}})
    by_key = {problem.key: problem for problem in told.value.problems}
    assert by_key["features.labels.query"].fix == "add `query:`"
    assert by_key["features.labels.querry"].fix == "write 'query'"


DATES = [
    ("'0044-03-15 BC'::date", "0044-03-15 BC"),
    ("'12345-01-01'::timestamp", "12345-01-01 00:00:00"),
    ("'infinity'::date", "infinity"),
    ("'-infinity'::timestamptz", "-infinity"),
    ("'Infinity'::numeric", "Infinity"),
]


@pytest.mark.long
def test_values_of_postgresql_are_read_as_they_are_or_refused_with_their_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's zone has summer time; the oracle of the moments is Python's own sum."""
    from sqlalchemy import create_engine

    monkeypatch.setattr(module, "PART_ROWS", 1_000)
    with postgres_server() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER ROLE CURRENT_USER SET timezone = 'Europe/Berlin'")
        engine.dispose()
        at = "'2024-01-01'::timestamptz + i * interval '3 hours' AS at"
        query = f"SELECT i AS id, {at}, i % 2 AS bad FROM generate_series(0, 2999) t(i)"
        spec, _ = run_folder(spec_of(tmp_path, query, url), tmp_path)
        table = open_source(spec, Where(), "labels").table(["id", "at"])
        began = datetime(2023, 12, 31, 23, tzinfo=UTC)
        assert table["at"].to_pylist() == [began + timedelta(hours=3 * i) for i in table["id"].to_pylist()]
        old = "SELECT '1850-01-01 00:00+00'::timestamptz AS at, 'NaN'::numeric AS n, 1.5::numeric AS m"
        ((row,),) = ([part.to_pylist() for part in query_rows("labels", url, old)],)
        assert row == [{"at": datetime(1850, 1, 1, tzinfo=UTC), "n": None, "m": Decimal("1.5")}]
        for written, text in DATES:
            with pytest.raises(DataError, match=r"'d' has values that Arrow cannot hold in 1 of 2 rows: ") as refused:
                list(query_rows("labels", url, f"SELECT 1 AS id, {written} AS d UNION ALL SELECT 2, NULL"))
            (problem,) = refused.value.problems
            assert problem.found.endswith(text) and problem.column == "d" and problem.rows == 1
            assert problem.fix.endswith(f"or make such values null: NULLIF(d, '{text}')")
        with pytest.raises(DataError, match=r"the database's driver cannot read a row: year -44 is out of range"):
            list(query_rows("labels", url, "SELECT array['0044-03-15 BC'::date] AS d"))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("interval 5 days", "'d' is month_day_nano_interval, which cannot be stored"),
        ("[interval 5 days]", "'d' is list<l: month_day_nano_interval>, which cannot be stored"),
        ("union_value(k := 1)", "'d' is sparse_union<k: int32=0>, which cannot be stored"),
        ("date 'infinity'", "'d' has values that Arrow cannot hold in 1 of 1 rows: infinity"),
        ("date '0044-03-15 (BC)'", "'d' has values that Arrow cannot hold in 1 of 1 rows: -043-03-15"),
        ("timestamptz '-infinity'", "'d' has values that Arrow cannot hold in 1 of 1 rows: -infinity"),
        ("CAST(i || 'a' AS INTEGER)", "Could not convert string"),
    ],
)
def test_values_of_duckdb_that_cannot_be_kept_are_refused_with_their_column(
    tmp_path: Path, written: str, told: str
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    duckdb.connect(str(tmp_path / "one.duckdb")).close()
    with pytest.raises(DataError) as refused:
        run_folder(spec_of(tmp_path, f"SELECT i, {written} AS d FROM range(1) t(i)", "duckdb:///one.duckdb"), tmp_path)
    assert told in refused.value.problems[0].found and "query" in refused.value.problems[0].fix


@pytest.mark.parametrize("url", ["postgresql://h:abc/x", "postgresql://[::1/x"])
def test_a_url_that_cannot_be_read_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="labels: `url` cannot be read"):
        list(query_rows("labels", url, "SELECT 1"))


def test_a_text_that_is_no_utf_8_is_a_fault_of_the_query_and_not_of_the_connection(database: Path) -> None:
    with pytest.raises(DataError, match="Could not decode to UTF-8"):
        list(query_rows("labels", f"sqlite:///{database}/loans.db", "SELECT CAST(x'ff' AS TEXT) AS x"))


def test_decimals_of_parts_that_no_type_holds_together_are_refused() -> None:
    parts = [_encoded("t", pa.table({"d": [Decimal(one)]})) for one in ("1e70", "1e-38")]
    with pytest.raises(DataError, match=r"t: 'd' has values of the types decimal256\(71, 0\), decimal128\(38, 38\)"):
        schema_of("t", parts, finds_times=False)
