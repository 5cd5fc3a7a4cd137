"""A table of mistakes, each made through the command line on real tables: exit code, where and what the message tells,
and nothing half-written.

`test_messages.py` has what the spec's text alone decides; here it is the data, the machine, the storage and the
registry that say no.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tables import write_spec

from ray_pipeline.cli import main

pytestmark = pytest.mark.ray
ROWS = 1_500
Change = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a good spec, its tables or the command; and all that must be told."""

    exit: int
    told: tuple[str, ...]
    """Parts of the first problem as a person reads it."""
    where: dict[str, Any] = field(default_factory=dict)
    """Fields of the first problem's JSON; `file` by the end of its path."""
    spec: tuple[str, ...] = ()
    """Edits of the spec's text, `old => new`."""
    data: dict[str, Change] = field(default_factory=dict)
    """What becomes of a table, by its name."""
    files: dict[str, str] = field(default_factory=dict)
    """Further files, by path."""
    argv: tuple[str, ...] = ("run", "loans.yaml")


def put(column: str, values: Callable[[pa.Table], Any], type_: pa.DataType | None = None) -> Change:
    """Replaces a column, or adds it."""

    def change(table: pa.Table) -> pa.Table:
        made = pa.array(
            values(table), type_ or (table.schema.field(column).type if column in table.column_names else None)
        )
        at = table.column_names.index(column) if column in table.column_names else table.num_columns
        return (table.remove_column(at) if at < table.num_columns else table).add_column(at, column, made)

    return change


def every(step: int, column: str, value: Any) -> Change:
    """Puts the value into each `step`th row of a column."""
    return put(
        column, lambda table: [value if i % step == 0 else old for i, old in enumerate(table[column].to_pylist())]
    )


def rename(column: str, name: str) -> Change:
    return lambda table: table.rename_columns([name if old == column else old for old in table.column_names])


def twice(count: int) -> Change:
    """Appends the first rows once more."""
    return lambda table: pa.concat_tables([table, table.slice(0, count)])


def naive(column: str) -> Change:
    return put(column, lambda table: table[column].cast(pa.timestamp("us")).combine_chunks(), pa.timestamp("us"))


LABEL = {"file": "loans.yaml", "line": 6, "key": "features.labels.label"}
SINGLE = "path: data/loans => path: data/loans.parquet"
REGRESSION = (
    "task: binary => task: regression",
    "label: loss > 0 => label: loss",
    "metric: auc => metric: rmse",
    "metrics: [auc, log_loss, accuracy] => metrics: [rmse, mae]",
    "bias: {groups: [sex], min_rows: 50}\n => ",
    "gates: [auc >= 0.6, auc >= champion - 0.2, selection_rate gap by sex <= 0.6] => gates: [rmse <= 1e6]",
)
MULTICLASS = (
    "task: binary => task: multiclass",
    "label: loss > 0 => label: purpose",
    "income, purpose, married => income, married",
    "metric: auc => metric: log_loss",
    "metrics: [auc, log_loss, accuracy] => metrics: [log_loss, accuracy]",
    "bias: {groups: [sex], min_rows: 50}\n => ",
    "gates: [auc >= 0.6, auc >= champion - 0.2, selection_rate gap by sex <= 0.6] => gates: [log_loss <= 3]",
)

MISTAKES: dict[str, Mistake] = {
    "absent_spec": Mistake(
        2, ("there is no such file", "here are loans.yaml"), {"file": "lones.yaml"}, argv=("run", "lones.yaml")
    ),
    "absent_file": Mistake(
        3,
        ("labels: there is no such file or folder", "correct the path"),
        {"file": "data/lones", "stage": "read"},
        spec=("path: data/loans => path: data/lones",),
    ),
    "two_absent_files": Mistake(
        3,
        ("labels: there is no such file or folder",),
        {"file": "data/lones", "stage": "read"},
        spec=("path: data/loans => path: data/lones", "data/rates.parquet => data/rats.parquet"),
    ),
    "csv_named_parquet": Mistake(
        3,
        ("branches: not Parquet", "starts with", "convert it"),
        {"file": "data/branches.parquet", "stage": "read"},
        files={"data/branches.parquet": "branch,size,region\na,3,n\nb,1,s\n"},
    ),
    "cut_off_parquet": Mistake(
        3,
        ("branches: the footer is missing", "cut at 12 bytes"),
        {"file": "data/branches.parquet"},
        files={"data/branches.parquet": "PAR1 and so on"[:12]},
    ),
    "absent_label": Mistake(
        3,
        ("there is no column 'los'", "did you mean 'loss'?"),
        {**LABEL, "stage": "read", "column": "los"},
        spec=("label: loss > 0 => label: los > 0",),
    ),
    "absent_column": Mistake(
        3,
        ("there is no column 'regoin' in branches (3 columns)", "did you mean 'region'?"),
        {"file": "loans.yaml", "line": 12, "key": "features.branches.columns[1]", "column": "regoin"},
        spec=("[size, region] => [size, regoin]",),
    ),
    "one_class": Mistake(
        3,
        ("one class in train", "true (1) in all", "correct the label's condition"),
        {**LABEL, "stage": "split"},
        spec=("label: loss > 0 => label: loss >= 0",),
    ),
    "all_labels_null": Mistake(
        3,
        (f"0 rows left of {ROWS:,}", f"{ROWS:,} without a label"),
        {"rows": 0},
        data={"loans": every(1, "loss", None)},
    ),
    "infinite_label": Mistake(
        3,
        (f"the label is infinite in {ROWS // 50} rows", "correct the label, or leave the rows out"),
        {**LABEL, "stage": "read", "column": "loss", "rows": ROWS // 50},
        spec=REGRESSION,
        data={"loans": every(50, "loss", np.inf)},
    ),
    "text_label": Mistake(
        3,
        ("'bad', 'good'", "label: status == 'good'"),
        {**LABEL, "stage": "read", "column": "status"},
        spec=("label: loss > 0 => label: status",),
        data={"loans": put("status", lambda t: np.where(pc.greater(t["loss"], 0).fill_null(False), "bad", "good"))},
    ),
    "numbers_for_labels": Mistake(
        3,
        ("true/false or 0/1", "make it a condition"),
        {**LABEL, "stage": "read", "column": "loss"},
        spec=("label: loss > 0 => label: loss",),
    ),
    "absent_key_in_feature_table": Mistake(
        3,
        ("there is no column 'branch' in rates", "Known: office"),
        {"file": "loans.yaml", "line": 11, "key": "features.rates.on[0]", "stage": "read", "column": "branch"},
        data={"rates": rename("branch", "office")},
    ),
    "absent_time_in_feature_table": Mistake(
        3,
        ("there is no column 'hour' in rates",),
        {"file": "loans.yaml", "line": 11, "key": "features.rates.time", "column": "hour"},
        data={"rates": rename("hour", "minute")},
    ),
    "key_of_another_type": Mistake(
        3,
        ("'branch' is string in labels and int64 in branches", "one type"),
        {"file": "loans.yaml", "line": 12, "key": "features.branches.on[0]", "column": "branch"},
        data={"branches": put("branch", lambda t: [1, 2, 3], pa.int64())},
    ),
    "repeated_lookup_keys": Mistake(
        3,
        ("branches: 2 rows repeat a key", "'a'", "keep one row for each key"),
        {
            "file": "loans.yaml",
            "line": 12,
            "stage": "join",
            "key": "features.branches.on",
            "column": "branch",
            "rows": 2,
        },
        data={"branches": twice(2)},
    ),
    "repeated_label_keys": Mistake(
        # one of the four has no label
        3,
        ("'loan_id' is not unique: 3 rows repeat a key",),
        {
            "file": "loans.yaml",
            "line": 7,
            "key": "features.labels.key",
            "stage": "profile",
            "column": "loan_id",
            "rows": 3,
        },
        data={"loans": twice(4)},
    ),
    "null_keys": Mistake(
        3,
        ("'loan_id' is null in 14 rows", "leave `key` out"),
        {"file": "loans.yaml", "line": 7, "key": "features.labels.key", "column": "loan_id", "rows": 14},
        data={"loans": every(100, "loan_id", None)},
    ),
    "null_time": Mistake(
        3,
        ("'asked' is null in 14 rows", "correct the rows"),
        {"file": "loans.yaml", "line": 8, "key": "features.labels.time", "column": "asked", "rows": 14},
        data={"loans": every(100, "asked", None)},
    ),
    "empty_test_part": Mistake(
        3,
        ("test is empty", "test 0 rows", "labels.time goes from 2024-01-01", "to 2024-01-30", "move the cut dates"),
        {"file": "loans.yaml", "line": 13, "key": "split", "stage": "split", "rows": 0},
        spec=("test: 2024-01-24 => test: 2025-01-24",),
    ),
    "nothing_selected": Mistake(
        3,
        (f"0 rows left of {ROWS:,}: 0 out of range, {ROWS:,} by `where`", "widen `select`"),
        {"rows": 0},
        spec=("split: { => select: {where: amount < 0}\nsplit: {",),
    ),
    "naive_and_aware_times": Mistake(
        3,
        ("rates.hour is timestamp[us], but asked is timestamp[us, tz=UTC]", "write both in UTC"),
        {"file": "loans.yaml", "line": 11, "key": "features.rates.time", "column": "hour"},
        data={"rates": naive("hour")},
    ),
    "leak": Mistake(
        3,
        ("dominating: a quick model explains 97", "known only after the fact", "dominating:paid", "checks.ignore"),
        {"stage": "check", "column": "paid"},
        spec=("income, purpose, married => income, purpose, paid",),
        data={"loans": put("paid", lambda t: pc.multiply(t["loss"].fill_null(0), 0.9).combine_chunks())},
    ),
    "repeated_yaml_key": Mistake(
        2,
        ("the key is given twice, at lines 13 and 14", "remove one"),
        {"file": "loans.yaml", "line": 14, "key": "split"},
        spec=("model: {xgboost => split: {by: random}\nmodel: {xgboost",),
    ),
    "unknown_key": Mistake(
        2,
        ("unknown key 'serach'; did you mean 'search'?",),
        {"file": "loans.yaml", "line": 15, "key": "serach"},
        spec=("search: {trials => serach: {trials",),
    ),
    "model_typo": Mistake(
        2,
        ("there is no model 'xgbost'; did you mean 'xgboost'?",),
        {"file": "loans.yaml", "line": 14, "key": "model.xgbost"},
        spec=("{xgboost: => {xgbost:",),
    ),
    "too_many_cpus": Mistake(
        4,
        ("1 worker x 64 CPUs = 64, but there are", "ask for at most"),
        {"stage": "plan", "key": "cpus_per_worker"},
        files={"big.yaml": "cpus_per_worker: 64\n"},
        argv=("run", "loans.yaml", "--on", "big.yaml"),
    ),
    "too_many_gpus": Mistake(
        4,
        ("asks for 3 GPUs, but there are 0",),
        {"stage": "plan", "key": "gpus_per_worker"},
        files={"big.yaml": "gpus_per_worker: 3\n"},
        argv=("run", "loans.yaml", "--on", "big.yaml"),
    ),
    "absent_cluster_file": Mistake(
        2,
        ("there is no cluster file 'locl'", "did you mean 'local'?"),
        {"key": "--on"},
        argv=("run", "loans.yaml", "--on", "locl"),
    ),
    "storage_below_a_file": Mistake(
        6,
        ("cannot write", "Not a directory", "name another `storage`"),
        {"file": "loans.yaml/runs", "key": "storage"},
        files={"full.yaml": "storage: ./loans.yaml/runs\n"},
        argv=("run", "loans.yaml", "--on", "full.yaml"),
    ),
    "resume_of_no_run": Mistake(6, ("there is no run 'loans-0-1'",), {"file": "runs"}, argv=("resume", "loans-0-1")),
    "report_of_no_run": Mistake(6, ("there is no run 'loans-0-1'",), {"file": "runs"}, argv=("report", "loans-0-1")),
    "predict_with_no_model": Mistake(
        5,
        ("there is no registry sqlite:///", "runs/mlflow.db", "the first run creates it"),
        {"key": "registry"},
        argv=("predict", "loans@champion", "--rows", "data/loans", "--out", "scores.parquet"),
    ),
    "evaluate_with_no_model": Mistake(
        5,
        ("there is no registry sqlite:///", "runs/mlflow.db", "the first run creates it"),
        {"key": "registry"},
        argv=("evaluate", "loans/3", "--rows", "data/loans"),
    ),
    "predict_with_half_a_name": Mistake(
        5,
        ("'loans' names no version", "write 'loans@ALIAS' or 'loans/VERSION'"),
        {"key": "MODEL"},
        argv=("predict", "loans", "--rows", "data/loans", "--out", "scores.parquet"),
    ),
    "no_argument": Mistake(2, ("Missing argument",), {"key": "command line"}, argv=("run",)),
}


@pytest.fixture
def at(tmp_path, loans, monkeypatch) -> Path:
    """A folder of its own with the tables, thinned out, as the working directory."""
    (tmp_path / "data" / "loans").mkdir(parents=True)
    whole = pq.read_table(loans / "data" / "loans")
    pq.write_table(
        whole.take(np.arange(0, whole.num_rows, whole.num_rows // ROWS)[:ROWS]),
        tmp_path / "data" / "loans" / "all.parquet",
    )
    for name in ("rates.parquet", "branches.parquet"):
        (tmp_path / "data" / name).write_bytes((loans / "data" / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(
    at: Path, spec: tuple[str, ...] = (), data: dict[str, Change] | None = None, files: dict[str, str] | None = None
) -> None:
    write_spec(
        at,
        trials="trials: 6 => trials: 2",
        rounds="num_boost_round: 40 => num_boost_round: 10",
        **{str(i): change for i, change in enumerate(spec)},
    )
    for name, change in (data or {}).items():
        path = at / "data" / ("loans/all.parquet" if name == "loans" else f"{name}.parquet")
        pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    for name, text in (files or {}).items():
        (at / name).write_text(text)


def call(monkeypatch, capfd, *argv: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON of the last line of standard output, and standard error."""
    monkeypatch.setattr(sys, "argv", ["ray-pipeline", *argv, "--json"])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return int(ended.value.code or 0), json.loads(out.splitlines()[-1]), err


def half_written(at: Path) -> list[Path]:
    """Temporary files, and the manifests that only a whole run may have."""
    files = [path for path in at.rglob("*") if path.is_file()]
    return [path for path in files if re.search(r"\.(tmp|part)(/|$)|~$", str(path)) or path.name == "manifest.json"]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_once_with_its_place_its_finding_and_its_remedy(name, at, ray_local, monkeypatch, capfd):
    mistake = MISTAKES[name]
    prepare(at, mistake.spec, mistake.data, mistake.files)
    code, answer, err = call(monkeypatch, capfd, *mistake.argv)
    assert (code, answer["exit"], answer["status"]) == (mistake.exit, mistake.exit, "error"), answer
    first = answer["problems"][0]
    assert set(first) == {"file", "line", "key", "stage", "column", "rows", "found", "fix"}
    assert first["found"], first
    assert first["fix"], first
    assert "bug of ray-pipeline" not in first["found"]
    assert {key: first[key] for key in mistake.where if key != "file"} == {
        key: value for key, value in mistake.where.items() if key != "file"
    }
    assert (first["file"] or "").endswith(mistake.where.get("file", "")), first["file"]
    for part in mistake.told:
        assert part in f"{first['found']} · {first['fix']}", first
    assert all(problem["found"] in err for problem in answer["problems"])
    assert (
        len({json.dumps(problem) for problem in answer["problems"]})
        == len(answer["problems"])
        == (2 if name == "two_absent_files" else 1)
    ), answer["problems"]
    assert not half_written(at)
    assert not (at / "scores.parquet").exists()
    if "run" in answer:
        journal = json.loads((at / "runs" / answer["run"] / "journal" / "problem.json").read_text())
        assert journal["found"]["problems"] == answer["problems"]
    else:
        assert not [path for path in at.rglob("runs/*") if path.is_dir()], "a run folder that nobody is told of"


def test_rows_without_a_label_are_dropped_and_counted(at, ray_local, monkeypatch, capfd):
    def some_missing(table: pa.Table) -> pa.Table:
        loss = table["loss"].to_pylist()
        return put(
            "loss",
            lambda _: [
                None if i % 10 == 0 else float("nan") if i % 10 == 1 else 0.0 if old is None else old
                for i, old in enumerate(loss)
            ],
        )(table)

    prepare(
        at,
        (
            "register: {alias: challenger} => register: false",
            "gates: [auc >= 0.6, auc >= champion - 0.2, => gates: [point auc >= 0.01,",
        ),
        {"loans": some_missing},
    )
    code, answer, _ = call(monkeypatch, capfd, "run", "loans.yaml")
    assert (code, answer["status"], answer["problems"]) == (0, "unregistered", [])
    assert answer["rows"]["dropped"]["null_label"] == ROWS // 10 * 2  # NaN is null on read
    assert (
        sum(answer["rows"][part] for part in ("train", "validation", "test")) + sum(answer["rows"]["dropped"].values())
        == ROWS
    )
    findings = json.loads((at / "runs" / answer["run"] / "checks.json").read_text())
    assert [finding["rows"] for finding in findings if finding["check"] == "null_label"] == [ROWS // 10 * 2]


@pytest.mark.parametrize(
    ("task", "edits", "metric"), [("multiclass", MULTICLASS, "log_loss"), ("regression", REGRESSION, "rmse")]
)
@pytest.mark.slow
def test_the_other_tasks_run_to_their_end(task, edits, metric, at, ray_local, monkeypatch, capfd):
    prepare(at, edits)
    code, answer, _ = call(monkeypatch, capfd, "run", "loans.yaml")
    assert (code, answer["status"], answer["version"], answer["trials"]) == (0, "registered", 1, 2)
    assert answer["metrics"][metric]["low"] <= answer["metrics"][metric]["value"] <= answer["metrics"][metric]["high"]
    folder = at / "runs" / answer["run"]
    assert (folder / "manifest.json").is_file()
    assert (folder / "report.html").is_file()
    test = pq.read_table(folder / "predictions" / "test.parquet")
    assert test.num_rows == answer["rows"]["test"]
    code, told, _ = call(
        monkeypatch, capfd, "predict", "loans@challenger", "--rows", "data/loans", "--out", "scores.parquet"
    )
    assert (code, told["rows"]) == (0, ROWS)
    scores = pq.read_table("scores.parquet")
    assert [name for name in scores.column_names if name.startswith("score")] == (
        ["score_car", "score_home", "score_trip"] if task == "multiclass" else ["score"]
    )
    code, told, _ = call(
        monkeypatch, capfd, "predict", "lones@challenger", "--rows", "data/loans", "--out", "none.parquet"
    )
    assert (code, told["status"], told["problems"][0]["key"]) == (5, "error", "MODEL")
    assert "lones" in told["problems"][0]["found"]
    assert "'loans'" in told["problems"][0]["fix"]
    code, told, _ = call(
        monkeypatch, capfd, "predict", "loans@challenger", "--rows", "data/lones", "--out", "none.parquet"
    )
    assert (code, told["problems"][0]["file"]) == (3, str(at / "data" / "lones"))
    assert not Path("none.parquet").exists()
    assert not [path for path in half_written(at) if path.name != "manifest.json"]
