"""A choice is one file, in all nine folders, from inside and from outside: the classes of `docs/extending.md`."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from own_choices import (
    CLASSES,
    DOTTED,
    FILES,
    INSTALLED,
    PACKAGE,
    copy_of_the_package,
    texts,
    write_files,
    write_installed_package,
    write_package,
)
from part_fixture import binary
from tables import write_spec
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.components import choice
from ray_pipeline.components.choice import UnknownChoice, find, menu, name_of, trust
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.errors import SpecError
from ray_pipeline.evaluation.threshold import choose_threshold
from ray_pipeline.spec import Spec

XGBOOST = "{xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
SPLIT = "{by: time, validation: 2024-01-18, test: 2024-01-24, gap: 12h}"
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "custom-model-and-metric.md"
WAYS = ("file", "package", "entry point")
# folder: (text of the spec, what it becomes with the choice named WORD, the key of the choice)
PLACES = {
    "sources": (
        "path: data/loans\n",
        "path: data/loans\n    kind: {WORD: {memory_map: false}}\n",
        "features.labels.kind",
    ),
    "splitters": (SPLIT, "{by: WORD, n: 4}", "split.by"),
    "checks": ("bias:", "checks: {extra: [{WORD: {least: 9}}]}\nbias:", "checks.extra[0].WORD"),
    "column_encodings": (
        "bias:",
        "encode: {purpose: {as: {WORD: {factor: 2}}}}\nbias:",
        "encode.purpose.as.WORD",
    ),
    "models": (XGBOOST, "{WORD: {alpha: 0.5}}", "model.WORD"),
    "metrics": ("metric: auc", "metric: {WORD: {false_negative: 5}}", "search.metric.WORD"),
    "slices": ("[purpose,", "[{WORD: {column: income, width: 1000}},", "evaluate.slices[0]"),
    "calibrators": ("  draws: 200", "  calibrate: {WORD: {share: 0.2}}\n  draws: 200", "evaluate.calibrate.WORD"),
}


def word_of(folder: str, way: str) -> str:
    return {"file": FILES[folder], "package": DOTTED[folder], "entry point": f"own_{FILES[folder]}"}[way]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test knows the classes of another, and nothing is trusted at first."""
    monkeypatch.setenv(choice.TRUST, "")
    known = set(sys.modules)
    yield
    for name in {*sys.modules} - known:
        if name.startswith((PACKAGE, INSTALLED)) or name.rpartition(".")[2] in FILES.values():
            del sys.modules[name]
    monkeypatch.undo()
    forget()


def forget() -> None:
    importlib.invalidate_caches()
    for cached in (choice.files, choice._installed, choice._in_file, choice._by_entry_point):
        cached.cache_clear()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The nine classes, made known in one of the three ways; for a package, without trust."""
    if request.param == "file":
        write_files(tmp_path / "components")
        for folder in FILES:
            package = importlib.import_module(f"ray_pipeline.components.{folder}")
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "components" / folder)])
    else:
        write = write_package if request.param == "package" else write_installed_package
        write(tmp_path / "library")
        monkeypatch.syspath_prepend(str(tmp_path / "library"))
    forget()
    return str(request.param)


def own_spec(loans: Path, folder: str, word: str, name: str) -> Path:
    old, new, _ = PLACES[folder]
    return write_spec(loans, name, change=f"{old} => {new.replace('WORD', word)}")


def check(spec: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(build(), ["check", str(spec), *words, "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def trusting(tmp_path: Path) -> Path:
    """A cluster file that trusts the package."""
    file = tmp_path / "trusting.yaml"
    file.write_text(f"trust: [{PACKAGE}]\n")
    return file


def test_the_docs_show_one_class_of_each_kind() -> None:
    assert set(texts()) == set(FILES) == set(choice_folders())
    assert all(f"class {CLASSES[folder]}(" in text for folder, text in texts().items())


def choice_folders() -> list[str]:
    components = Path(choice.__file__).parent
    return [folder.name for folder in components.iterdir() if (folder / "_base.py").is_file()]


@pytest.mark.parametrize("folder", FILES)
def test_it_is_found_by_its_name(way: str, folder: str) -> None:
    word = word_of(folder, way)
    if way == "package":
        with pytest.raises(UnknownChoice, match=rf"'{word}' is not trusted; .* `trust: \[{PACKAGE}\]`"):
            find(folder, word)
        trust([PACKAGE])
    found = find(folder, word)
    assert found.__name__ == CLASSES[folder] and name_of(found) == word
    assert (word in menu(folder)) == (way != "package")


@pytest.mark.parametrize("folder", PLACES)
def test_check_takes_it_with_its_parameters(way: str, folder: str, loans: Path, trusting: Path) -> None:
    word, key = word_of(folder, way), PLACES[folder][2]
    spec = own_spec(loans, folder, word, f"own-{folder}.yaml")
    on = ["--on", str(trusting)] if way == "package" else []
    assert check(spec, *on)[0] == 0, check(spec, *on)
    read = Spec.from_file(spec, trust=[PACKAGE] if on else [])
    again = Spec.from_text(read.render(), folder=read.folder, trust=[PACKAGE] if on else [])
    assert again == read and again.fingerprint == read.fingerprint
    other = Spec.from_file(write_spec(loans, "plain.yaml"))
    assert read.external_packages == {"file": (), "package": (PACKAGE,), "entry point": (INSTALLED,)}[way]
    assert other.external_packages == ()
    assert read.fingerprint != other.fingerprint
    if way == "package":
        code, answer = check(spec)
        assert code == 2
        (problem,) = answer["problems"]
        assert f"'{word}' is not trusted" in problem["found"] and "trust" in problem["fix"]
        assert problem["key"].startswith(key.replace(".WORD", "")) and problem["line"]


@pytest.mark.parametrize("folder", PLACES)
def test_a_wrong_parameter_is_told_with_its_place(way: str, folder: str, loans: Path, trusting: Path) -> None:
    if way == "package":
        trust([PACKAGE])
    old, new, _ = PLACES[folder]
    spoiled = re.sub(r"(memory_map|least|factor|alpha|false_negative|share): [\w.]+", r"\1: wrong", new)
    spoiled = spoiled.replace("n: 4", "m: 4").replace("width: 1000", "width: 0")
    assert spoiled != new
    spec = write_spec(loans, "wrong.yaml", change=f"{old} => {spoiled.replace('WORD', word_of(folder, way))}")
    with pytest.raises(SpecError) as refused:
        Spec.from_file(spec)
    (problem,) = refused.value.problems
    assert problem.line and problem.fix and problem.key
    told = {"splitters": "unknown key 'm'", "slices": "width: Input should be greater than 0"}
    assert told.get(folder, "got 'wrong'") in problem.found


def test_an_unknown_word_offers_those_that_are_known(way: str) -> None:
    for folder in FILES:
        with pytest.raises(UnknownChoice, match="Known: ") as told:
            find(folder, "nothing_like_it")
        assert (word_of(folder, way) in str(told.value)) == (way != "package")


def test_withdrawn_trust_is_withdrawn_in_the_same_process(
    tmp_path: Path, loans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for folder in PLACES:
        waiting = Spec.from_file(own_spec(loans, folder, DOTTED[folder], "withdrawn.yaml"))
        trusted = waiting.trusting([PACKAGE])
        for spec in (waiting, trusted):
            with pytest.raises(SpecError, match="is not trusted") as refused:
                spec.trusting([])
            assert refused.value.exit_code == 2
        with pytest.raises(SpecError, match="is not trusted"):
            waiting.trusting(["own_pack", f"{PACKAGE}.other"])
        assert waiting.trusting([PACKAGE, "another"]) == trusted


def test_one_reading_tells_of_an_untrusted_name_and_of_all_other_mistakes(loans: Path) -> None:
    spec = own_spec(loans, "metrics", DOTTED["metrics"], "both.yaml")
    text = spec.read_text().replace("path: data/branches", "path: nowhere")
    spec.write_text(text.replace("trials: 6", "trials: none"))
    code, answer = check(spec)
    assert code == 2
    assert [problem["key"] for problem in answer["problems"]] == ["search.trials", f"search.metric.{DOTTED['metrics']}"]
    spec.write_text(text)
    assert [problem["key"] for problem in check(spec)[1]["problems"]] == [
        f"search.metric.{DOTTED['metrics']}",
        "features.branches.path",
    ]


def test_a_package_that_cannot_be_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path)
    write_installed_package(tmp_path)
    for package in (PACKAGE, INSTALLED):
        (tmp_path / package / "mean_cost.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(choice.TRUST, PACKAGE)
    forget()
    for word, told in (
        ("own_mean_cost", f"of the installed package {INSTALLED} cannot be imported: No module named"),
        (DOTTED["metrics"], "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
    ):
        with pytest.raises(UnknownChoice, match=told):
            find("metrics", word)
    with pytest.raises(UnknownChoice, match="is no metric: it does not derive from"):
        find("metrics", DOTTED["slices"])


def test_a_trusted_package_that_is_not_found_is_told_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choice.TRUST, "lies_elsewhere")
    monkeypatch.chdir(tmp_path)
    for folder in ("the folder that holds it", "$PWD"):
        with pytest.raises(UnknownChoice, match="No module named 'lies_elsewhere'") as told:
            find("metrics", "lies_elsewhere.cost.MeanCost")
        assert f"set PYTHONPATH={folder};" in told.value.fix and "before `ray start`" in told.value.fix
        (tmp_path / "lies_elsewhere").mkdir(exist_ok=True)  # in the working directory, which is not searched
    text = "name: a\ntask: binary\nfeatures: {labels: {path: a.parquet, label: y}}\n"
    text += "split: {by: random}\nmodel: xgboost\n"
    with pytest.raises(SpecError) as refused:
        Spec.from_text(f"{text}gates: [lies_elsewhere.cost.MeanCost <= 1]\n", trust=["lies_elsewhere"])
    (problem,) = refused.value.problems
    assert (problem.key, problem.fix) == ("gates[0]", told.value.fix)


@pytest.mark.slow
def test_a_run_uses_files_of_every_folder_and_a_package_beside_them(loans: Path, tmp_path: Path) -> None:
    copy_of_the_package(tmp_path / "inside")
    write_package(tmp_path / "outside")
    write_installed_package(tmp_path / "outside")
    data = loans / "data"
    for table in ("loans", "branches.parquet"):
        pyarrow.feather.write_feather(pq.read_table(data / table), (data / table).with_suffix(".feather"))
    spec = write_spec(
        loans,
        "every-kind.yaml",
        labels="path: data/loans\n => path: data/loans.feather\n    kind: feather\n",
        branches="path: data/branches.parquet => path: data/branches.feather, "
        f"kind: {DOTTED['sources']}, memory_map: false",
        split=f"{SPLIT} => {{by: every_nth, n: 4}}",
        model=f"{XGBOOST} => {{least_squares: {{alpha: 0.5}}, {DOTTED['models']}: {{}}}}",
        search="trials: 6, metric: auc => trials: 3, metric: {mean_cost: {false_negative: 2}}",
        metrics=f"metrics: [auc, log_loss, accuracy] => metrics: [auc, f1, {{f_beta: {{beta: 2}}}}, mean_alarm_cost, "
        f"{{{DOTTED['metrics']}: {{false_negative: 2}}}}, own_mean_cost]",
        slices=f"slices: [purpose, => slices: [{{column: income, width: 20000}}, {{{DOTTED['slices']}: "
        "{column: size, width: 2}},",
        calibrate=f"  draws: 200 => {'  calibrate: ' + DOTTED['calibrators']}(share=0.2)\n  draws: 200",
        more=f"bias: => encode: {{purpose: {{as: text_length}}, region: {{as: {{{DOTTED['column_encodings']}: "
        f"{{factor: 2}}}}}}}}\nchecks: {{extra: [{{few_rows: {{least: 9000}}}}, {DOTTED['checks']}]}}\nbias:",
        gates="auc >= 0.6, => auc >= 0.6, f_beta(beta=2) >= 0.1, own_mean_cost <= 1,",
    )
    (tmp_path / "trusting.yaml").write_text(f"trust: [{PACKAGE}]\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "inside"), str(tmp_path / "outside")]),
        choice.TRUST: "",
    }

    def ray_pipeline(*words: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "ray_pipeline", *words, "--on", "trusting.yaml", "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    code, answer = ray_pipeline("check", str(spec))
    assert code == 0, answer
    code, answer = ray_pipeline("run", str(spec), "--quiet")
    assert (code, answer["status"]) == (0, "registered"), answer
    own = f"{DOTTED['metrics']}(false_negative=2)"
    assert list(answer["metrics"]) == ["auc", "f1", "f_beta(beta=2)", "mean_alarm_cost", own, "own_mean_cost"]
    assert [gate["gate"] for gate in answer["gates"]][1:3] == ["f_beta(beta=2) >= 0.1", "own_mean_cost <= 1"]
    folder = tmp_path / "runs" / answer["run"]
    measured = json.loads((folder / "evaluation.json").read_text())
    assert {"f_beta(beta=2)", "f1", own} <= {row["metric"] for row in measured}
    assert {"from 0", "from 20000"} <= {row["slice"]["income"] for row in measured if "income" in row["slice"]}
    assert {row["slice"]["size"] for row in measured if "size" in row["slice"]} >= {"from 0", "from 2"}
    encoder = json.loads((folder / "model" / "encoder.json").read_text())
    encodings = {one["name"]: one for one in encoder["encoded"]}
    assert encodings["purpose"]["encoding"] == "text_length"
    assert encodings["branches.region"]["encoding"] == DOTTED["column_encodings"]
    assert encodings["branches.region"]["factor"] == 2
    family = json.loads((folder / "model" / "model.json").read_text())["family"]
    assert encoder["kind"] == {"least_squares": "standard", DOTTED["models"]: DOTTED["encoders"]}[family]
    calibration = json.loads((folder / "model" / "calibration.json").read_text())
    assert (calibration["kind"], calibration["share"]) == (DOTTED["calibrators"], 0.2)
    checks = {row["check"]: row["found"] for row in json.loads((folder / "checks.json").read_text())}
    assert {"few_rows", DOTTED["checks"], "own_few_rows"} <= set(checks)
    assert "f_beta(beta=2)" in (folder / "report.html").read_text()
    code, answer = ray_pipeline("evaluate", answer["model"], "--rows", str(data / "loans.feather"))
    assert code in (0, 7) and "f_beta(beta=2)" in answer["metrics"], answer


def test_a_metric_keeps_its_own_name_where_a_file_and_an_alias_lend_theirs(way: str) -> None:
    if way == "package":
        trust([PACKAGE])
    word = word_of("metrics", way)
    assert metric_of({word: {"false_positive": 1, "false_negative": 5}}).name == f"{word}(false_negative=5)"
    if way != "package":
        assert metric_of("mean_alarm_cost").name == "mean_alarm_cost"


def test_the_metric_of_the_how_to_is_computed_at_the_threshold_that_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r'```python title="my_package/cost.py"\n(.*?)```', HOW_TO.read_text(), re.DOTALL)
    (tmp_path / "costs_of_ours").mkdir()
    (tmp_path / "costs_of_ours" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    trust(["costs_of_ours"])
    rows, metric = binary(1, 400), metric_of("costs_of_ours.MeanCost")
    chosen = choose_threshold(rows, {"minimize": "costs_of_ours.MeanCost"})
    assert chosen == choose_threshold(rows, {"cost": {"false_positive": 1, "false_negative": 5}})
    selected, positive = rows.score >= chosen, rows.label == 1
    cost = np.average(1.0 * (selected & ~positive) + 5.0 * (~selected & positive), weights=rows.weight)
    assert metric(rows.label, rows.score, rows.weight, chosen) == pytest.approx(cost, rel=1e-12)
    at_half = metric(rows.label, rows.score, rows.weight)
    assert at_half > cost + 0.05
    for cut in rows.score:
        assert metric(rows.label, rows.score, rows.weight, cut) >= cost - 1e-12
