"""`init --from` writes a spec that `check` and `run` accept, for every format; what it cannot do it says."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from start_fixture import ROWS, columns_of, customers, typed, write_csv
from tables import write_tables

from ray_pipeline.spec import Spec

rng = np.random.default_rng(7)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def delta(folder: Path, table: pa.Table) -> None:
    import deltalake

    deltalake.write_deltalake(str(folder), table)


FORMATS: dict[str, tuple[str, Callable[[Path, pa.Table], object]]] = {
    "csv": ("customers.csv", lambda path, table: write_csv(table, path)),
    "csv folder": ("customers", lambda path, table: write_csv(table, path / "1.csv")),
    "parquet": ("customers.parquet", lambda path, table: pq.write_table(table, path)),
    "delta": ("customers", delta),
}


@pytest.mark.parametrize(("path", "write"), FORMATS.values(), ids=FORMATS)
def test_every_format_gives_a_spec_that_check_accepts(
    path: str, write: Callable[[Path, pa.Table], object], capfd: Capture
) -> None:
    write(Path(path), customers())
    code, answer, err = typed("init", "leaving", "--from", path, "--label", "churned", capfd=capfd)
    assert (code, answer["spec"], answer["problems"]) == (0, "leaving/leaving.yaml", []), err
    assert (answer["task"], answer["label"], answer["metric"]) == ("binary", "churned == 'yes'", "auc")
    spec = Spec.from_file("leaving/leaving.yaml")
    assert spec.features.labels.path == f"../{path}"
    assert spec.features.labels.key == "customer_id"
    assert spec.features.labels.columns == ("usage", "months", "level", "gender")
    assert [gate.metric for gate in spec.gates] == ["auc", "auc"] and 0.6 < (spec.gates[0].number or 0) < 0.95
    assert [one.columns for one in spec.bias.groups] == [("gender",)] and spec.bias.min_rows == 50
    assert typed("check", "leaving/leaving.yaml", capfd=capfd)[0] == 0
    assert "Now: ray-pipeline run leaving/leaving.yaml" in err


def test_an_iceberg_table_is_read_where_it_is(tmp_path: Path, capfd: Capture) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    with SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}") as catalog:
        catalog.create_namespace("n")
        catalog.create_table("n.t", schema=customers().schema).append(customers())
    (folder,) = {path.parent for path in tmp_path.rglob("metadata") if path.is_dir()}
    code, answer, err = typed("init", "leaving", "--from", folder, "--label", "churned", capfd=capfd)
    assert (code, answer["task"]) == (0, "binary"), err
    assert Spec.from_file("leaving/leaving.yaml").features.labels.kind == "iceberg"


def test_without_a_terminal_and_a_label_the_three_likeliest_columns_are_named(capfd: Capture) -> None:
    write_csv(customers(), Path("customers.csv"))
    code, answer, _ = typed("init", "leaving", "--from", "customers.csv", capfd=capfd)
    (problem,) = answer["problems"]
    assert code == 2 and problem["key"] == "--label"
    assert problem["found"].startswith(
        "nothing says which column to predict. Likeliest: churned (its name says 'churned', it is the last column,"
        " it has two values); "
    )
    assert problem["found"].count("; ") == 2 and problem["fix"] == "name it, as in --label 'churned'"
    assert not Path("leaving").exists()


@contextmanager
def at_a_terminal(keys: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal at which a person types the keys."""
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        yield


@pytest.mark.parametrize(("keys", "label"), [("\r", "churned == 'yes'"), ("\x1b[B\r", "gender == 'f'")])
def test_at_a_terminal_the_person_picks_the_label(
    keys: str, label: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from ray_pipeline.cli.init import init

    write_csv(customers(), Path("customers.csv"))
    with at_a_terminal(keys, monkeypatch):
        answer = init("leaving", None, "customers.csv", None, None)
    assert answer["label"].startswith(label[:6])


def test_who_leaves_the_question_interrupts(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from ray_pipeline.cli.init import init

    write_csv(customers(), Path("customers.csv"))
    with at_a_terminal("\x03", monkeypatch), pytest.raises(KeyboardInterrupt):
        init("leaving", None, "customers.csv", None, None)
    assert not Path("leaving").exists()


def test_leaking_constant_id_like_and_free_text_columns_are_comments_with_the_finding(capfd: Capture) -> None:
    leaves = customers()["churned"].to_pylist()
    table = customers(
        refund=[1.5 if one == "yes" else 0.0 for one in leaves],
        country=["AT"] * ROWS,
        ticket=[f"T-{number}" for number in rng.permutation(ROWS)],
        note=[f"the customer called {number} times" for number in rng.permutation(ROWS)],
        tags=pa.array([["a"]] * ROWS),
    )
    pq.write_table(table, "customers.parquet")
    assert typed("init", "leaving", "--from", "customers.parquet", "--label", "churned", capfd=capfd)[0] == 0
    text = Path("leaving/leaving.yaml").read_text()
    found = columns_of(text)
    assert found["left_out"] == ["refund", "country", "ticket", "note", "tags"]
    assert "# - refund  # leakage: refund alone predicts the label with an AUC of 1.0000" in text
    assert "# - country  # constant: country has one value" in text
    assert "# - ticket  # id_like: ticket has" in text
    assert "# - note  # " in text and "# - tags  # list<element: string> cannot be a feature" in text
    assert Spec.from_text(text).features.labels.columns == ("usage", "months", "level", "gender")


def test_an_id_of_texts_is_no_feature_of_a_small_table(capfd: Capture) -> None:
    table = customers().slice(0, 60).append_column("bottle", pa.array([f"{number}-B" for number in range(60)]))
    write_csv(table, Path("bottles.csv"))
    assert typed("init", "leaving", "--from", "bottles.csv", "--label", "churned", capfd=capfd)[0] == 0
    text = Path("leaving/leaving.yaml").read_text()
    assert "# - bottle  # id_like: bottle has " in text


def test_names_of_any_kind_stay_what_they_are(capfd: Capture) -> None:
    odd = ["net price", "a[1]", "5%", "x: y", "yes", "Ünï", "q'u\"o", "#tag", "Level", "a*"]
    table = customers(**{name: rng.normal(size=ROWS) for name in odd})
    names = ["has left?" if name == "churned" else name for name in table.column_names]
    write_csv(table.rename_columns(names), Path("customers.csv"))
    code, answer, err = typed("init", "leaving", "--from", "customers.csv", "--label", "has left?", capfd=capfd)
    assert code == 0, err
    assert answer["label"] == "`has left?` == 'yes'"
    assert list(answer["left_out"]) == ["Level"]
    assert answer["features"] == 4 + len(odd) - 1
    assert typed("check", "leaving/leaving.yaml", capfd=capfd)[0] == 0


def test_feature_tables_are_joined_and_their_columns_are_features(tmp_path: Path, capfd: Capture) -> None:
    write_tables(tmp_path / "data", rows=3_000)
    features = [word for name in ("rates", "branches") for word in ("--features", f"data/{name}.parquet")]
    code, answer, err = typed("init", "loans", "--from", "data/loans", "--label", "loss > 0", *features, capfd=capfd)
    assert code == 0, err
    spec = Spec.from_file("loans/loans.yaml")
    assert (answer["split"], spec.features.labels.time, spec.features.labels.key) == ("time", "asked", "loan_id")
    rates, branches = spec.features.tables["rates"], spec.features.tables["branches"]
    assert (rates.on, rates.time, rates.known_at, rates.columns) == (("branch",), "hour", "known", ("rate",))
    assert (branches.on, branches.time, branches.columns) == (("branch",), None, ("size", "region"))
    assert "loss" not in (spec.features.labels.columns or ())
    assert "# 95% of 3,000 sampled rows find" in Path("loans/loans.yaml").read_text()
    assert typed("check", "loans/loans.yaml", capfd=capfd)[0] == 0


def test_a_table_that_may_be_known_later_than_its_time_has_a_warning(tmp_path: Path, capfd: Capture) -> None:
    write_tables(tmp_path / "data", rows=3_000)
    rates = pq.read_table("data/rates.parquet").drop_columns(["known"])
    pq.write_table(rates, "data/rates.parquet")
    words = ["--from", "data/loans", "--label", "loss > 0", "--features", "data/rates.parquet"]
    assert typed("init", "loans", *words, capfd=capfd)[0] == 0
    text = " ".join(Path("loans/loans.yaml").read_text().replace("#", "").split())
    assert "early_join: rates.hour is always the start of an hour" in text


def few(rows: int) -> pa.Table:
    return customers().slice(0, rows)


BAD: dict[str, tuple[Callable[[], object], list[str], int, str]] = {
    "one row": (
        lambda: write_csv(few(1), Path("a.csv")),
        ["--label", "churned"],
        3,
        "1 row; train, validation and test need 50",
    ),
    "an id as label": (
        lambda: write_csv(few(900), Path("a.csv")),
        ["--label", "customer_id"],
        3,
        "it is an id or a free text",
    ),
    "an absent label": (lambda: write_csv(few(900), Path("a.csv")), ["--label", "churn"], 3, "did you mean 'churned'?"),
    "an absent table": (lambda: None, ["--label", "churned"], 3, "there is no such file or folder"),
    "an absent feature table": (
        lambda: write_csv(few(900), Path("a.csv")),
        ["--label", "churned", "--features", "b.csv"],
        3,
        "there is no such file or folder",
    ),
    "no feature": (
        lambda: write_csv(few(900).select(["customer_id", "churned"]), Path("a.csv")),
        ["--label", "churned"],
        3,
        "no feature is left besides the label churned == 'yes': customer_id is the key",
    ),
}


@pytest.mark.parametrize(("make", "words", "expected", "says"), BAD.values(), ids=BAD)
def test_what_cannot_be_started_is_refused_with_a_remedy(
    make: Callable[[], object], words: list[str], expected: int, says: str, capfd: Capture
) -> None:
    make()
    code, answer, _ = typed("init", "bad", "--from", "a.csv", *words, capfd=capfd)
    assert code == expected
    assert any(says in problem["found"] and problem["fix"] for problem in answer["problems"]), answer["problems"]
    assert not Path("bad").exists()


REMEDIES: dict[str, tuple[str, bytes | None, int, str]] = {
    "an absent file": ("nothing.csv", None, 3, "correct the path; a relative one starts at the working directory"),
    "JSON": ("rows.json", b'[{"a": 1}]', 3, "write it as CSV or Parquet"),
    "JSON lines": ("rows.json", b'{"a": 1}', 3, "write it as CSV or Parquet"),
    "another format": ("rows.bin", b"abc", 3, "write it as CSV or Parquet"),
    "a database file": ("sqlite:///t.db", None, 2, "where its table has `kind: sql` with `url` and `query`"),
    "a database": ("postgresql+psycopg://me:secret@host/base", None, 2, "where its table has `kind: sql`"),
}


@pytest.mark.parametrize(("path", "content", "expected", "fix"), REMEDIES.values(), ids=REMEDIES)
def test_the_remedy_is_one_that_init_has(
    path: str, content: bytes | None, expected: int, fix: str, capfd: Capture
) -> None:
    if content:
        Path(path).write_bytes(content)
    code, answer, err = typed("init", "bad", "--from", path, "--label", "y", capfd=capfd)
    assert code == expected and fix in answer["problems"][0]["fix"] and "secret" not in err + str(answer)


@pytest.mark.parametrize(
    ("words", "expected", "says"),
    [
        (["churn"], 2, "there is no example 'churn'"),
        (["flights", "--label", "delay"], 2, "it needs --from"),
        (["a b", "--from", "a.csv"], 2, "a name has 1 to 100 characters"),
    ],
)
def test_a_wrong_command_line_is_exit_2(words: list[Any], expected: int, says: str, capfd: Capture) -> None:
    code, answer, _ = typed("init", *words, capfd=capfd)
    assert code == expected and says in answer["problems"][0]["found"] and answer["problems"][0]["fix"]


def test_a_spec_that_exists_is_never_overwritten(capfd: Capture) -> None:
    write_csv(customers(), Path("a.csv"))
    Path("leaving").mkdir()
    Path("leaving/leaving.yaml").write_text("mine")
    code, answer, _ = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert (code, answer["problems"][0]["found"]) == (6, "exists already")
    assert Path("leaving/leaving.yaml").read_text() == "mine"


def test_a_date_that_can_be_read_in_two_ways_is_told_and_left_out(capfd: Capture) -> None:
    days = [f"0{1 + row % 9}/0{1 + row % 8}/2024" for row in range(ROWS)]
    write_csv(customers(joined=days), Path("a.csv"))
    _, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert "the forms %d/%m/%Y and %m/%d/%Y both fit" in answer["left_out"]["joined"]
    assert "look at  joined: the forms %d/%m/%Y and %m/%d/%Y both fit these dates" in err


def test_rows_without_a_time_are_left_out_where_they_are_few(capfd: Capture) -> None:
    days = pa.array([None, None, *range(ROWS - 2)], pa.timestamp("s"))
    days = pc.multiply(days.cast(pa.int64()), 86_400).cast(pa.timestamp("s"))
    write_csv(customers(asked_on=days), Path("a.csv"))
    _, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert answer["split"] == "time", err
    assert Spec.from_file("leaving/leaving.yaml").select.where == "asked_on is not null"


def test_a_time_that_cannot_split_is_told_with_the_reason(capfd: Capture) -> None:
    left = pa.array(["yes" if row > 1_150 else "no" for row in range(ROWS)])
    days = pc.multiply(pa.array(range(ROWS)), 86_400).cast(pa.timestamp("s"))
    write_csv(customers(asked_on=days, gone=left), Path("a.csv"))
    _, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "gone", capfd=capfd)
    assert answer["split"] == "random"
    assert "no time" not in err and "not split by time: train and validation would have one class" in err


def test_a_time_in_seconds_has_its_unit_in_the_spec(capfd: Capture) -> None:
    write_csv(customers(asked_at=pa.array(range(1_700_000_000, 1_700_000_000 + ROWS * 86_400, 86_400))), Path("a.csv"))
    _, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert answer["split"] == "time", err
    assert Spec.from_file("leaving/leaving.yaml").features.labels.time_unit == "s"
    assert typed("check", "leaving/leaving.yaml", capfd=capfd)[0] == 0


def test_a_column_without_a_value_in_the_first_rows_is_no_obstacle(capfd: Capture) -> None:
    days = pc.multiply(pa.array(range(ROWS)), 86_400).cast(pa.timestamp("s"))
    later = pa.array([None] * 800 + [1.5, 2.5] * 200, pa.float64())
    write_csv(customers(asked_on=days, later=later), Path("a.csv"))
    code, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert (code, answer["split"]) == (0, "time"), err


@pytest.mark.ray
def test_two_commands_lead_from_an_odd_csv_to_a_registered_model(ray_local: None, capfd: Capture) -> None:
    rows = customers().to_pylist()
    lines = ["Customers of May", ";".join(rows[0])]
    lines += [";".join(str(value).replace(".", ",") for value in row.values()) for row in rows]
    Path("customers.csv").write_text("\n".join(lines), encoding="utf-16")
    assert typed("init", "leaving", "--from", "customers.csv", "--label", "churned", capfd=capfd)[0] == 0
    code, answer, err = typed("run", "leaving/leaving.yaml", "--set", "search.trials=2", capfd=capfd)
    assert (code, answer["status"]) == (0, "registered"), err
    assert [gate["passed"] for gate in answer["gates"]] == [True, True]
    assert sum(answer["rows"][part] for part in ("train", "validation", "test")) == ROWS
    code, answer, err = typed("predict", "leaving/1", "--rows", "customers.csv", "--out", "scores.parquet", capfd=capfd)
    assert code == 0, err
    scores = pq.read_table("scores.parquet")
    assert scores["customer_id"].to_pylist() == [row["customer_id"] for row in rows]
    assert min(scores["score"].to_pylist()) >= 0 and max(scores["score"].to_pylist()) <= 1
