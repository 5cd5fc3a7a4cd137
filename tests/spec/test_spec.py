"""The spec as a value: what it holds, its defaults, its rendering, its fingerprint, and the verbs that need nothing
else."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from typer.testing import CliRunner

import ray_pipeline
from ray_pipeline.cli import build
from ray_pipeline.components import choice
from ray_pipeline.components.choice import menu
from ray_pipeline.components.metrics import DEFAULTS, names
from ray_pipeline.components.models.xgboost import XGBoost
from ray_pipeline.components.space import Any as AnyOf
from ray_pipeline.components.space import Float, Int, Log, Number, Within
from ray_pipeline.components.splitters.time import Time
from ray_pipeline.errors import SpecError
from ray_pipeline.spec import Spec

SMALLEST = """\
name: adult_income
task: binary
features:
  labels: {path: data/adult.parquet, label: income == '>50K', key: row_id}
split: {by: column, column: official_split}
model: xgboost
"""
FLIGHTS = """\
name: flight_delay
task: binary
features:
  labels:
    path: data/flights
    label: arr_delay > 15
    key: flight_id
    time: sched_dep_ts
    weight: null
    columns: [carrier, origin, dest, distance, hour]
    slice_only: [tailnum]
  weather:
    path: data/weather
    on: [origin]
    time: time_hour
    known_at: available_ts
    max_age: 6h
    columns: [temp, wind_speed, precip, visib, pressure]
  planes: {path: data/planes, on: [tailnum], columns: [year, engines, seats, engine]}
select:
  from: 2013-01-01
  to: 2014-01-01
  where: carrier != 'OO' and distance is not null
split:
  by: time
  validation: 2013-09-01
  test: 2013-11-01
  gap: 1d
encode: {weather.pressure: {impute: median}}
model:
  xgboost: {max_depth: {int: [3, 10]}, learning_rate: {log: [0.01, 0.3]}, subsample: {float: [0.5, 1]},
            num_boost_round: 400, max_bin: {any: [128, 256]}}
search:
  trials: 32
  metric: auc
  seed: 7
evaluate:
  metrics: [auc, log_loss, brier, accuracy]
  slices: [carrier, origin, {column: distance, bins: 4}, [origin, carrier]]
  calibrate: auto
  threshold: {maximize: f1}
bias:
  groups: [origin]
gates:
  - auc >= 0.65
  - auc >= champion - 0.005
  - true_positive_rate gap by origin <= 0.15
  - auc worst by carrier >= 0.55
register: {alias: challenger}
"""


def test_the_contract_s_flights_spec_is_read_as_written() -> None:
    spec = Spec.from_text(FLIGHTS, file="flights.yaml")
    assert spec.features.labels.columns == ("carrier", "origin", "dest", "distance", "hour")
    assert list(spec.features.tables) == ["weather", "planes"]
    assert spec.features.tables["weather"].max_age == timedelta(hours=6)
    assert spec.features.tables["planes"].on == ("tailnum",)
    assert (spec.select.from_, spec.select.to) == (datetime(2013, 1, 1), datetime(2014, 1, 1))
    assert isinstance(spec.split, Time)
    assert spec.split.gap == timedelta(days=1)
    model = spec.model["xgboost"]
    assert isinstance(model, XGBoost)
    assert (model.max_depth, model.learning_rate, model.subsample) == (
        Int(low=3, high=10),
        Log(low=0.01, high=0.3),
        Float(low=0.5, high=1),
    )
    assert model.max_bin == AnyOf(values=(128, 256))
    assert [one.name for one in spec.evaluate.slices] == ["carrier", "origin", "distance", "origin × carrier"]
    assert [gate.metric for gate in spec.gates] == ["auc", "auc", "true_positive_rate", "auc"]
    assert spec.registration
    assert (spec.registration.alias, spec.registration.when) == ("challenger", "passed")
    assert spec.label_expression.columns == ("arr_delay",)
    assert spec.where_expression is not None
    assert spec.where_expression.columns == ("carrier", "distance")
    assert spec.place("features.weather.max_age") == ("flights.yaml", 17)
    assert spec.place("gates[2]") == (
        "flights.yaml",
        1 + FLIGHTS.splitlines().index("  - true_positive_rate gap by origin <= 0.15"),
    )
    assert spec.place("split.seed") == ("flights.yaml", 1 + FLIGHTS.splitlines().index("split:"))


@pytest.mark.parametrize("text", [SMALLEST, FLIGHTS], ids=["smallest", "flights"])
def test_a_rendered_spec_parses_back_to_an_equal_one(text: str) -> None:
    spec = Spec.from_text(text)
    again = Spec.from_text(spec.render())
    assert again == spec
    assert again.fingerprint == spec.fingerprint
    assert again.render() == spec.render()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.text(min_size=1, max_size=12) | st.text("?:-#,[]{}&*!|>%@`'\"0.e ", min_size=1, max_size=5),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
@example(["?0", "1e3", "012", "0o7", "null", "~", "yes", "a: b", "- a", "#", "é", "22:30"])
def test_any_name_of_a_column_survives_rendering(names: list[str]) -> None:
    text = SMALLEST.replace("key: row_id", f"key: row_id, slice_only: {json.dumps(names)}")
    try:
        spec = Spec.from_text(text)
    except SpecError:
        return
    assert Spec.from_text(spec.render()) == spec


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_defaults_follow_the_task(task: str) -> None:
    spec = Spec.from_text(SMALLEST.replace("task: binary", f"task: {task}").replace("income == '>50K'", "income"))
    assert spec.search.metric == DEFAULTS[spec.task][0]
    assert spec.evaluate.metrics == DEFAULTS[spec.task]
    assert spec.evaluate.threshold == (0.5 if task == "binary" else None)


def test_other_defaults_follow_other_keys() -> None:
    spec = Spec.from_text(SMALLEST + "seed: 3\n")
    assert (spec.search.trials, spec.search.seed, spec.search.deterministic) == (32, 3, True)
    timed = Spec.from_text(SMALLEST + "search: {time: 10m}\n")
    assert (timed.search.time, timed.search.deterministic) == (600.0, False)
    assert "time: 10m" in timed.render()


@pytest.mark.parametrize(
    ("sets", "changes"),
    [
        (["name=other"], False),
        (["register=false"], False),
        (["register.when=always"], False),
        (["search.trials=32"], False),
        (["search.time=600s"], True),
        (["model.xgboost.max_depth=7"], True),
        (["model.xgboost.max_depth=8"], True),
        (["model.xgboost.learning_rate={log: [0.02, 0.3]}"], False),
        (["split.validation=0.1"], True),
        (["features.labels.path=elsewhere.parquet"], True),
        (["gates=[auc >= 0.5]"], True),
        (["evaluate.slices=[sex]"], True),
        (["evaluate.threshold={maximize: f1}"], True),
    ],
)
def test_the_fingerprint_changes_with_the_experiment_only(sets: list[str], changes: bool) -> None:
    assert (Spec.from_text(SMALLEST, sets).fingerprint != Spec.from_text(SMALLEST).fingerprint) == changes


def test_each_choice_s_own_fields_are_part_of_the_fingerprint() -> None:
    """Without SerializeAsAny a dump drops them, and all of these would be one experiment."""
    depths = [Spec.from_text(SMALLEST, [f"model.xgboost.max_depth={depth}"]).fingerprint for depth in (3, 4, 5)]
    seeds = [Spec.from_text(SMALLEST, [f"split.seed={seed}"]).fingerprint for seed in (1, 2)]
    bins = [
        Spec.from_text(SMALLEST, [f"evaluate.slices=[{{column: age, bins: {bins}}}]"]).fingerprint for bins in (3, 4)
    ]
    assert len({*depths, *seeds, *bins}) == 7


@pytest.mark.parametrize(
    ("example", "fingerprint"),
    [
        ("adult", "cf4201c0bcced3342261c2bcfdfafe31fad605f3c6b9c052821cc9bfcab69120"),
        ("flights", "5f47fbf4596ca98de6d5eb0eed9cdda7edb8a2ef99f4a882ed19c8e1f72806cf"),
    ],
)
def test_the_fingerprints_of_the_examples_are_those_of_0_1_0(example: str, fingerprint: str) -> None:
    folder = Path(ray_pipeline.__file__).parent / "examples" / example
    assert Spec.from_file(folder / f"{example}.yaml").fingerprint == fingerprint


def test_what_the_model_is_fitted_on_and_the_folds_are_part_of_the_fingerprint() -> None:
    sets = ["fit.on=auto", "fit.on=train", "fit.on=train+validation", "fit.on=folds", "split.folds=0", "split.folds=4"]
    assert len({Spec.from_text(SMALLEST, [one]).fingerprint for one in sets}) == len(sets)
    assert Spec.from_text(SMALLEST, ["split.folds=auto"]).fingerprint == Spec.from_text(SMALLEST).fingerprint


def test_equal_specs_in_other_words_have_one_fingerprint() -> None:
    other = SMALLEST.replace("model: xgboost", "model: {xgboost: }").replace(
        "split: {by: column, column: official_split}", "split: {column: 'official_split', by: column}"
    )
    assert Spec.from_text(other).fingerprint == Spec.from_text(SMALLEST).fingerprint
    assert Spec.from_text(FLIGHTS.replace("gap: 1d", "gap: 24h")).fingerprint == Spec.from_text(FLIGHTS).fingerprint


def test_variables_of_the_environment_are_part_of_the_fingerprint_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALLEST.replace("data/adult.parquet", "'${env:LAKE}/adult.parquet'")
    found = []
    for value in ("/a", "s3://b"):
        monkeypatch.setenv("LAKE", value)
        found.append(Spec.from_text(text).fingerprint)
    assert found[0] == found[1]


def test_a_spec_is_frozen_and_travels() -> None:
    import pickle

    spec = Spec.from_text(FLIGHTS, file="flights.yaml")
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert again.place("gates[2]") == spec.place("gates[2]")


def test_overrides_reach_lists_and_hyperparameters() -> None:
    spec = Spec.from_text(
        FLIGHTS,
        [
            "gates[1]=auc >= 0.5",
            "features.weather.max_age=2h",
            "select.where=distance > 5",
            "encode.`weather.temp`.impute=mean",
        ],
    )
    assert spec.gates[1].number == 0.5
    assert spec.features.tables["weather"].max_age == timedelta(hours=2)
    assert spec.select.where == "distance > 5"
    assert spec.encode["weather.temp"].given == {"impute": "mean"}


def test_spaces_contain_their_bounds_and_bounds_bind_spaces() -> None:
    assert [Int(low=1, high=3).contains(value) for value in (1, 3, 2.5, 4, True)] == [True, True, False, False, False]
    assert [Log(low=0.1, high=1).contains(value) for value in (0.1, 1, 0.05, "a")] == [True, True, False, False]
    assert AnyOf(values=("a", 2)).contains("a")
    assert not AnyOf(values=("a", 2)).contains(3)
    share = TypeAdapter(Annotated[Number, Within(0, 1, above=True)])
    assert share.validate_python({"float": [0.5, 1]}) == Float(low=0.5, high=1)
    for written in (0, 1.5, {"float": [0, 1]}, {"any": [0.5, 2]}):
        with pytest.raises(ValidationError, match="above 0 and at most 1"):
            share.validate_python(written)


def test_the_json_schema_knows_every_choice() -> None:
    schema = Spec.json_schema()
    assert schema["required"] == ["name", "task", "features", "split", "model"]
    assert set(schema["properties"]) == {
        "name",
        "task",
        "features",
        "select",
        "split",
        "encode",
        "model",
        "monotone",
        "interactions",
        "intervals",
        "search",
        "ensemble",
        "fit",
        "evaluate",
        "bias",
        "gates",
        "register",
        "checks",
        "explain",
        "seed",
    }
    *splitters, external = schema["properties"]["split"]["anyOf"]
    assert {one["properties"]["by"]["const"] for one in splitters} == set(menu("splitters"))
    assert external["properties"]["by"]["pattern"]
    families = schema["properties"]["model"]["anyOf"][2]["properties"]
    assert set(menu("models")) <= set(families)
    assert "max_depth" in families["xgboost"]["properties"]
    words, _, _, mapping = schema["$defs"]["Search"]["properties"]["metric"]["anyOf"]
    assert {*words["enum"], *mapping["properties"]} == set(names())
    assert mapping["properties"]["f_beta"]["properties"]["beta"]["exclusiveMinimum"] == 0
    sources, *_ = schema["$defs"]["FeatureTable"]["properties"]["kind"]["anyOf"]
    assert set(sources["enum"]) == set(menu("sources"))
    calibrators, *_ = schema["$defs"]["Evaluate"]["properties"]["calibrate"]["anyOf"]
    assert set(calibrators["enum"]) == {"auto", *menu("calibrators")}
    assert "x-choice" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SMALLEST, True),
        (FLIGHTS, True),
        (SMALLEST + "search: {metric: {f_beta: {beta: 2}}}\n", True),
        (SMALLEST + "search: {metric: f_beta(beta=2)}\n", True),
        (SMALLEST + "search: {metric: my_package.Cost}\n", True),
        (
            SMALLEST
            + "evaluate: {metrics: [f1, {lift_at: {share: 0.05}}], calibrate: {my_package.Spline: {knots: 3}}}",
            True,
        ),
        (
            SMALLEST + "evaluate: {slices: [{my_package.Steps: {column: age}}, {kind: my_package.Steps, column: a}]}",
            True,
        ),
        (SMALLEST.replace("key: row_id", "key: row_id, kind: my_package.Lake, version: 3"), True),
        (SMALLEST.replace("{by: column, column: official_split}", "{by: my_package.Weeks, n: 3}"), True),
        (SMALLEST + "encode: {age: {as: {my_package.Bins: {n: 3}}}, sex: {as: one_hot}}", True),
        (SMALLEST + "search: {metric: acu}\n", False),
        (SMALLEST + "search: {metric: {f_beta: {betta: 2}}}\n", False),
        (SMALLEST + "evaluate: {calibrate: platt}", False),
        (SMALLEST + "evaluate: {slices: [{column: age, binz: 3}]}", False),
        (SMALLEST + "encode: {age: {as: onehot}}", False),
        (SMALLEST.replace("key: row_id", "key: row_id, revision: 3"), False),
        (SMALLEST.replace("key: row_id", "key: row_id, kind: parquett"), False),
        (SMALLEST.replace("by: column", "by: colum"), False),
    ],
)
def test_the_json_schema_takes_what_the_spec_takes(text: str, valid: bool) -> None:
    from jsonschema import Draft202012Validator

    schema = Spec.json_schema()
    Draft202012Validator.check_schema(schema)
    written = YAML(typ="safe", pure=True).load(text)
    plain = json.loads(json.dumps(written, default=str))
    assert Draft202012Validator(schema).is_valid(plain) == valid
    if not valid:
        with pytest.raises(SpecError):
            Spec.from_text(text)
    else:
        Spec.from_text(text)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("{f_beta: {beta: 2}}", "f_beta(beta=2)"),
        ("f_beta( beta=2.0 )", "f_beta(beta=2)"),
        ("'f_beta(beta=0.50)'", "f_beta(beta=0.5)"),
        ("{lift_at: {share: 0.05}}", "lift_at(share=0.05)"),
        ("f2", "f2"),
        ("{f1: }", "f1"),
    ],
)
def test_a_metric_is_kept_in_its_canonical_form(written: str, canonical: str) -> None:
    spec = Spec.from_text(SMALLEST, [f"search.metric={written}", f"evaluate.metrics=[auc, {written}]"])
    assert (spec.search.metric, spec.evaluate.metrics) == (canonical, ("auc", canonical))
    same = Spec.from_text(SMALLEST, [f"search.metric={canonical}", f"evaluate.metrics=[auc, {canonical}]"])
    assert same == spec and Spec.from_text(spec.render()) == spec


@pytest.mark.parametrize("split", ["{by: random}", "{by: {random: {seed: 3}}}", "{by: random(seed=3)}"])
def test_a_splitter_is_named_as_every_choice_is(split: str) -> None:
    text = SMALLEST.replace("{by: column, column: official_split}", split)
    plain = SMALLEST.replace("{by: column, column: official_split}", f"{{by: random, seed: {3 * ('seed' in split)}}}")
    assert Spec.from_text(text) == Spec.from_text(plain)


def run(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON answer and standard error of one verb."""
    done = CliRunner().invoke(build(), [*words, "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    """A spec beside its two tables."""
    (tmp_path / "data/rates/year=2013").mkdir(parents=True)
    pq.write_table(
        pa.table(
            {
                "loan_id": [1],
                "asked_at": [datetime(2013, 1, 1)],
                "region": ["n"],
                "status": ["bad"],
                "amount": [1.0],
                "amount_2": [2],
            }
        ),
        tmp_path / "data/loans.parquet",
    )
    pq.write_table(
        pa.table({"region": ["n"], "day": [datetime(2013, 1, 1)], "rate": [0.1], "amount": [1]}),
        tmp_path / "data/rates/year=2013/a.parquet",
    )
    file = tmp_path / "loans.yaml"
    file.write_text("""\
name: loans
task: binary
features:
  labels: {path: data/loans.parquet, label: status == 'bad', key: loan_id, time: asked_at,
           columns: ['amount*'], slice_only: [region]}
  rates: {path: data/rates, on: [region], time: day, columns: [rate, year]}
select: {where: rate > 0}
split: {by: random}
model: xgboost
evaluate: {slices: [region]}
""")
    return file


def test_check_finds_nothing_wrong(loans: Path) -> None:
    code, answer, stderr = run("check", str(loans))
    assert (code, answer["status"], answer["problems"]) == (0, "ok", [])
    assert answer["fingerprint"] == Spec.from_file(loans).fingerprint
    assert "no problem found" in stderr


@pytest.mark.parametrize(
    ("old", "new", "key", "found"),
    [
        ("data/loans.parquet", "data/loan.parquet", "features.labels.path", "there is no such file or folder"),
        (
            "status == 'bad'",
            "Status == 'bad'",
            "features.labels.label",
            "there is no column 'Status' in labels (6 columns); did you mean 'status'?",
        ),
        ("key: loan_id", "key: loan", "features.labels.key", "did you mean 'loan_id'?"),
        ("time: asked_at", "time: asked", "features.labels.time", "did you mean 'asked_at'?"),
        ("['amount*']", "['amt*']", "features.labels.columns[0]", "there is no column 'amt*' in labels (6 columns)"),
        ("slice_only: [region]", "slice_only: [reigon]", "features.labels.slice_only[0]", "did you mean 'region'?"),
        (
            "columns: [rate, year]",
            "columns: [rat]",
            "features.rates.columns[0]",
            "there is no column 'rat' in rates (5 columns); did you mean 'rate'?",
        ),
        ("time: day", "time: date", "features.rates.time", "there is no column 'date' in rates"),
        ("on: [region]", "on: [amount_2]", "features.rates.on[0]", "there is no column 'amount_2' in rates"),
        ("where: rate > 0", "where: rates.rte > 0", "select.where", "did you mean 'rates.rate'?"),
        ("{slices: [region]}", "{slices: [zone]}", "evaluate.slices[0]", "no table has a column 'zone'"),
        ("{by: random}", "{by: random, group: house}", "split", "there is no column 'house' in labels"),
    ],
)
def test_check_looks_at_paths_and_footers(loans: Path, old: str, new: str, key: str, found: str) -> None:
    loans.write_text(loans.read_text().replace(old, new, 1))
    code, answer, _ = run("check", str(loans))
    (problem,) = answer["problems"]
    assert (code, problem["key"]) == (3, key)
    assert found in problem["found"]
    assert problem["line"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty (0 bytes)"),
        (b"loan_id,status\n1,bad\n", "not Parquet: it starts with b'loan_id,stat'"),
        (b"PAR1" + b"\0" * 100, "the footer is missing: the file is cut at 104 bytes"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read"),
    ],
)
def test_check_knows_parquet_by_its_magic(loans: Path, content: bytes, found: str) -> None:
    (loans.parent / "data/loans.parquet").write_bytes(content)
    code, answer, _ = run("check", str(loans))
    assert code == 3
    assert found in answer["problems"][0]["found"]


def test_check_resolves_data_from_the_cluster_file(loans: Path) -> None:
    (loans.parent / "cluster").mkdir()
    (loans.parent / "cluster/lake.yaml").write_text(f"data: {loans.parent}/lake\n")
    assert run("check", str(loans), "--on", "lake")[0] == 3
    (loans.parent / "data").rename(loans.parent / "data_")
    (loans.parent / "lake").mkdir()
    (loans.parent / "data_").rename(loans.parent / "lake/data")
    assert run("check", str(loans))[0] == 3
    assert run("check", str(loans), "--on", "lake")[0] == 0


def test_check_tells_of_a_missing_cluster_file_beside_other_problems(loans: Path) -> None:
    loans.write_text(loans.read_text().replace("task: binary", "task: bnary"))
    code, answer, _ = run("check", str(loans), "--on", "nowhere")
    assert (code, [problem["key"] for problem in answer["problems"]]) == (2, ["task", "--on"])


def test_check_reads_no_package_s_metadata_unless_a_name_asks_for_it(loans: Path) -> None:
    choice._installed.cache_clear()
    assert run("check", str(loans))[0] == 0
    assert choice._installed.cache_info().misses == 0
    loans.write_text(loans.read_text() + "search: {metric: acu}\n")
    assert run("check", str(loans))[0] == 2
    assert choice._installed.cache_info().misses > 0


def test_check_loads_neither_ray_nor_pandas_nor_torch_nor_mlflow(loans: Path) -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom ray_pipeline.cli import build\n"
        f"done = CliRunner().invoke(build(), ['check', {str(loans)!r}])\nassert"
        " done.exit_code == 0, done.output\nheavy = {'ray', 'pandas', 'torch', 'mlflow', 'xgboost', 'sklearn',"
        " 'scipy', 'polars', 'matplotlib', 'optuna', 'sqlalchemy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_render_and_schema_print_themselves(loans: Path) -> None:
    app = build()
    printed = CliRunner().invoke(app, ["render", str(loans), "--set", "search.trials=5"])
    assert Spec.from_text(printed.stdout).search.trials == 5
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout)["required"]
    code, answer, _ = run("render", str(loans))
    assert (code, answer["exit"], answer["spec"]["name"]) == (0, 0, "loans")
    assert run("schema")[1]["schema"]["properties"]


INTERVALS = """\
name: loans
task: {task}
features: {{labels: {{path: loans.parquet, label: bad, key: id}}}}
split: {{by: random}}
model: {model}
{more}
"""


def with_intervals(more: str, task: str = "regression", model: str = "xgboost") -> Spec:
    return Spec.from_text(INTERVALS.format(task=task, model=model, more=more), file="loans.yaml")


def test_intervals_are_measured_and_written_out_with_their_defaults() -> None:
    spec = with_intervals("intervals: {}")
    assert spec.as_data()["intervals"] == {"coverage": 0.9, "method": "auto"}
    assert spec.evaluate.metrics == ("rmse", "mae", "r2", "coverage", "interval_width")
    assert with_intervals("intervals: {coverage: 0.8}\nevaluate: {metrics: [auc]}", "binary").evaluate.metrics == (
        *("auc", "coverage", "set_size"),
    )
    assert Spec.from_text(spec.render()) == spec
    assert with_intervals("intervals: null").fingerprint == with_intervals("").fingerprint != spec.fingerprint


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"more": "gates: [coverage >= 0.85]"}, "gates[0]: 'coverage' is of intervals or sets, but there are none"),
        (
            {"more": "evaluate: {metrics: [set_size]}", "task": "binary"},
            "'set_size' is of intervals or sets",
        ),
        ({"more": "intervals: {}\nsearch: {metric: coverage}"}, "'coverage' is measured after the search"),
        ({"more": "intervals: {coverage: 1}"}, "intervals.coverage: expected a number between 0 and 1"),
        (
            {"more": "intervals: {method: quantile}", "task": "binary"},
            "quantiles are of numbers",
        ),
        (
            {"more": "intervals: {method: quantile}", "model": "lightgbm"},
            "'lightgbm' does not predict several",
        ),
        (
            {"more": "intervals: {method: quantile}", "model": "{xgboost: {objective: reg:gamma}}"},
            "model.xgboost.objective: `intervals.method: quantile` decides what 'xgboost' minimizes",
        ),
        (
            {"more": "", "model": "{xgboost: {quantile_alpha: 0.9}}"},
            "quantile_alpha is a parameter of reg:quantile",
        ),
        ({"more": "", "model": "{lightgbm: {alpha: 0.9}}"}, "alpha is a parameter of quantile and huber, which is not"),
        (
            {"more": "", "model": "{catboost: {loss_function: 'Quantil:alpha=0.9'}}"},
            "did you mean 'Quantile:alpha",
        ),
    ],
)
def test_intervals_and_objectives_that_do_not_fit_are_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(SpecError) as refused:
        with_intervals(**given)
    assert told in str(refused.value)


def test_a_spec_without_its_range_differs_in_nothing_else() -> None:
    spec = Spec.from_text(FLIGHTS)
    assert spec.select.from_ is not None
    wider = spec.without_range()
    assert (wider.select.from_, wider.select.to, wider.select.where) == (None, None, spec.select.where)
    assert wider.where_expression == spec.where_expression
    assert {**wider.as_data(), "select": None} == {**spec.as_data(), "select": None}
