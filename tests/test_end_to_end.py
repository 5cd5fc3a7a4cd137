"""Feature tables to a registered model, on the shared local Ray with a real sqlite MLflow; then everything a user does
with it."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import xgboost
from run_fixture import Told
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.errors import DataError, Interrupted, RegistryError
from ray_pipeline.registered_model import evaluate_registered, predict_rows
from ray_pipeline.registry.registry import Registry
from ray_pipeline.resuming import resume
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.serving import load
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.trial_store import TrialStore

pytestmark = pytest.mark.ray
FILES = (
    "spec.yaml",
    "manifest.json",
    "checks.json",
    "joins.json",
    "trials.jsonl",
    "evaluation.json",
    "bias.json",
    "scorecard.json",
    "report.html",
    "model_card.md",
    "predictions/test.parquet",
)


@pytest.fixture(scope="module")
def at(tmp_path_factory, ray_local) -> Where:
    folder = tmp_path_factory.mktemp("where")
    return Where(storage=str(folder / "runs"))


@pytest.fixture(scope="module")
def spec(loans) -> Spec:
    return Spec.from_file(
        write_spec(
            loans,
            explain=(
                "register: {alias: challenger} => register: {alias: challenger}\nexplain: {rows: 250, slices: [sex,"
                " purpose]}"
            ),
        )
    )


@pytest.fixture(scope="module")
def release(spec, at):
    return pipeline.run(spec, at)


def folder_of(release) -> Path:
    return Path(release.report).parent


def test_the_run_is_registered_and_answers_as_the_contract_says(release, spec):
    answer = release.as_json()
    assert (answer["status"], answer["exit"], answer["version"], answer["model"]) == (
        "registered",
        0,
        1,
        "models:/loans/1",
    )
    assert answer["run"] == f"loans-{spec.fingerprint[:8]}-1"
    assert set(answer["metrics"]) == {"auc", "log_loss", "accuracy"}
    assert (
        0.7
        < answer["metrics"]["auc"]["low"]
        < answer["metrics"]["auc"]["value"]
        < answer["metrics"]["auc"]["high"]
        < 0.95
    )
    assert [gate["passed"] for gate in answer["gates"]] == [True, True, True]
    assert answer["trials"] == 6
    assert {"read", "profile", "encode", "search", "fit", "evaluate", "register"} <= set(answer["seconds"])


def test_every_row_is_in_one_part_or_counted_as_dropped(release):
    rows = release.rows
    assert rows["dropped"]["null_label"] == 62  # every 97th of 6,000
    assert rows["train"] + rows["validation"] + rows["test"] + sum(rows["dropped"].values()) == 6_000
    assert rows["dropped"]["gap"] > 0


def test_the_run_folder_holds_every_file_of_the_contract(release):
    folder = folder_of(release)
    assert all((folder / name).is_file() for name in FILES)
    assert {path.name for path in (folder / "model").iterdir()} == {
        "encoder.json",
        "model.ubj",
        "model.json",
        "calibration.json",
        "schema.json",
        "SHA256SUMS",
    }
    assert not [
        path for path in folder.rglob("*") if path.suffix == ".tmp" or "pickle" in path.name or path.suffix == ".pkl"
    ]
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert [trial["trial"] for trial in trials] == list(range(6))
    assert {"family", "params", "rungs", "metric", "seconds", "status"} <= set(trials[0])


def test_joins_are_counted_and_no_rate_is_used_before_it_was_known(release):
    joins = json.loads((folder_of(release) / "joins.json").read_text())
    rates, branches = joins["rates"], joins["branches"]
    assert (
        rates["matched"] + rates["too_old"] + rates["not_yet_known"] + rates["never_seen"] + rates["null_key"]
        == rates["rows"]
    )
    assert rates["never_seen"] == branches["never_seen"] > 100  # branch z
    assert rates["age_p50_s"] >= 3600  # a rate is known an hour after its hour


def test_the_planted_gap_between_the_sexes_is_found(release):
    rows = json.loads((folder_of(release) / "bias.json").read_text())
    rate = {row["group"]["sex"]: row for row in rows if row["measure"] == "selection_rate" and not row.get("reduction")}
    assert set(rate) == {"f", "m"}


def test_the_model_is_explained_over_all_and_within_each_slice(release):
    told = json.loads((folder_of(release) / "explain.json").read_text())
    groups = [(group["slice"], group["rows"]) for group in told["slices"]]
    rows = pq.read_table(folder_of(release) / "predictions" / "test.parquet")
    counts = {
        (column, name): min(count, 250)
        for column in ("sex", "purpose")
        for name, count in Counter(rows[column].to_pylist()).items()
    }
    assert groups == [
        ({column: name}, counts[column, name])
        for column, names in (("sex", "fm"), ("purpose", ("car", "home", "trip")))
        for name in names
    ]
    assert {"amount", "income"} <= {row["column"] for row in told["importance"][:4]}
    for one in [told, *told["slices"]]:
        by_name = {row["column"]: row for row in one["importance"]}
        fourth = one["importance"][3]  # 250 rows: neighbours differ by less than their intervals
        assert all(by_name[column]["high"] >= fourth["low"] for column in ("amount", "income"))
        assert all(row["low"] <= row["value"] <= row["high"] and row["shap"] >= 0 for row in by_name.values())
    of_trips = next(group for group in told["slices"] if group["slice"] == {"purpose": "trip"})
    (purpose,) = (row for row in of_trips["importance"] if row["column"] == "purpose")
    assert (purpose["value"], purpose["low"], purpose["high"]) == (
        0,
        0,
        0,
    )  # all alike there: shuffling changes nothing
    assert "by purpose" in Path(release.report).read_text()


def test_a_second_run_on_one_slot_gives_the_same_bytes_as_the_first_on_two_and_the_next_version(release, spec, at):
    told = Told()
    again = pipeline.run(spec, at.model_copy(update={"concurrent_trials": 1}), progress=told)
    used, fitted = told.notes
    assert (
        used == f"the rows that {release.run} encoded are used again: data, selection, split and encoders are the same"
    )
    assert fitted.startswith("the model is fitted on train+validation: in 1 backtest the refit changed the metric by +")
    first, second = folder_of(release), folder_of(again)
    slots = [json.loads((folder / "manifest.json").read_text())["plan"]["slots"] for folder in (first, second)]
    assert slots == [2, 1]
    assert again.run == f"loans-{spec.fingerprint[:8]}-2"
    assert again.version == 2
    for name in (
        "model/encoder.json",
        "model/model.ubj",
        "model/SHA256SUMS",
        "evaluation.json",
        "bias.json",
        "joins.json",
    ):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert pq.read_table(first / "predictions/test.parquet").equals(pq.read_table(second / "predictions/test.parquet"))
    without_seconds = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (f / "trials.jsonl").read_text().splitlines()
        ]
        for f in (first, second)
    ]
    assert without_seconds[0] == without_seconds[1]
    assert json.loads((second / "scorecard.json").read_text())["times_judged"] == 2


def test_a_refused_model_is_not_registered(loans, at, tmp_path):
    strict = Spec.from_file(
        write_spec(
            loans,
            "strict.yaml",
            gate="auc >= 0.6, => auc >= 0.99,",
            name="name: loans => name: strict",
            trials="trials: 6 => trials: 1",
        )
    )
    refused = pipeline.run(strict, at)
    assert (refused.status, refused.exit, refused.version) == ("refused", 7, None)
    assert not any(model["name"] == "strict" for model in Registry(at.registry_uri(tmp_path)).list())
    always = Spec.from_file(
        write_spec(
            loans,
            "always.yaml",
            gate="auc >= 0.6, => auc >= 0.99,",
            name="name: loans => name: strict",
            when="{alias: challenger} => {alias: challenger, when: always}",
            trials="trials: 6 => trials: 1",
        )
    )
    kept = pipeline.run(always, at)
    assert (kept.status, kept.exit, kept.version) == ("refused", 7, 1)
    (model,) = [model for model in Registry(at.registry_uri(tmp_path)).list() if model["name"] == "strict"]
    assert not model["aliases"]


@pytest.mark.slow
def test_an_interrupted_search_resumes_to_the_same_model_without_running_a_trial_again_or_trusting_a_damaged_cache(
    release, spec, at, tmp_path, monkeypatch
):
    elsewhere = at.model_copy(update={"storage": str(tmp_path / "runs")})
    finish = TrialStore._finish

    def stop_after_three(self, *args, **kwargs):
        finish(self, *args, **kwargs)
        if len(self.allocation.results) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialStore, "_finish", stop_after_three)
        with pytest.raises(Interrupted) as stopped:
            pipeline.run(spec, elsewhere)
    run = RunFolder.open(tmp_path / "runs", stopped.value.answer["run"])
    before = {path.name: path.read_bytes() for path in (run.path / "journal").glob("trial-*.json")}
    assert len(before) == 3
    assert not (run.path / "manifest.json").exists()
    for block in (tmp_path / "runs" / ".encoded").rglob("*.arrow"):
        content = bytearray(block.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
        block.write_bytes(content)
    told = Told()
    resumed = resume(run, progress=told)
    taken, note, fitted = told.notes
    assert taken.startswith("from the run folder: ") and fitted.startswith("the model is fitted on ")
    assert re.fullmatch(r"the cached rows \w+ are encoded anew: has changed since it was written: its SHA-256 .*", note)
    assert resumed.status == "registered"
    assert {name: (run.path / "journal" / name).read_bytes() for name in before} == before
    for name in ("model/SHA256SUMS", "evaluation.json", "bias.json"):
        assert (run.path / name).read_bytes() == (folder_of(release) / name).read_bytes(), name
    assert resume(run) == resumed  # a complete run answers again and does nothing


def test_predict_scores_every_row_in_order_and_as_the_run_did(release, spec, at, loans, tmp_path):
    out = tmp_path / "scores.parquet"
    told = predict_rows("models:/loans/1", str(loans / "data/loans"), out, at, None)
    scored = pq.read_table(out)
    assert told["rows"] == scored.num_rows == 6_000
    assert scored.column_names == ["loan_id", "score", "decision"]
    assert scored["loan_id"].to_pylist() == [i * 7 + 1 for i in range(6_000)]
    test = pq.read_table(folder_of(release) / "predictions/test.parquet")
    by_key = dict(zip(scored["loan_id"].to_pylist(), scored["score"].to_pylist(), strict=True))
    assert [by_key[key] for key in test["key"].to_pylist()] == test["score"].to_pylist()


def test_predict_takes_and_writes_files_and_folders(release, at, loans, tmp_path):
    told = predict_rows("models:/loans/1", str(loans / "data/loans"), tmp_path / "parts", at, None)
    assert (told["rows"], told["files"]) == (6_000, 3)
    parts = [pq.read_table(tmp_path / f"parts/part-{part}.parquet") for part in range(3)]
    assert [len(part) for part in parts] == [2_000] * 3
    scored = pa.concat_tables(parts)
    (tmp_path / "csv").mkdir()
    rows = pq.read_table(loans / "data/loans")
    for part in range(2):
        pacsv.write_csv(rows.slice(part * 3_000, 3_000), tmp_path / f"csv/{part}.csv")
    told = predict_rows("models:/loans/1", str(tmp_path / "csv"), tmp_path / "csv_scores", at, None)
    assert (told["rows"], told["files"]) == (6_000, 2)
    read = pa.concat_tables([pacsv.read_csv(tmp_path / f"csv_scores/{part}.csv") for part in range(2)])
    assert read["loan_id"].to_pylist() == scored["loan_id"].to_pylist()
    np.testing.assert_array_equal(read["score"].to_numpy(), scored["score"].to_numpy())


def test_feature_tables_given_to_a_loaded_model_are_joined_as_batch_predict_joins_them(release, at, loans, tmp_path):
    out = tmp_path / "scores.parquet"
    predict_rows("models:/loans/1", str(loans / "data/loans"), out, at, None)
    model, rows = load("models:/loans/1", at.registry_uri(tmp_path)), pq.read_table(loans / "data/loans")
    features = {"rates": loans / "data/rates.parquet", "branches": pq.read_table(loans / "data/branches.parquet")}
    batch = pq.read_table(out)["score"].to_numpy()
    np.testing.assert_array_equal(model.predict(rows, features=features), batch)
    prepared = model.prepare(features)
    one_by_one = [model.predict(rows.slice(place, 1), features=prepared)[0] for place in range(0, 6_000, 300)]
    assert one_by_one == batch[::300].tolist()
    assert model.estimator().classes_.tolist() == [0, 1]


def test_rows_that_lack_a_column_are_refused_by_its_name_and_nothing_is_written(release, at, loans, tmp_path):
    rows = pq.read_table(loans / "data/loans/part-0.parquet")
    pq.write_table(rows.drop_columns(["amount", "sex"]), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="amount") as told:
        predict_rows("models:/loans/1", str(tmp_path / "rows.parquet"), tmp_path / "scores.parquet", at, None)
    assert (told.value.exit_code, told.value.problems[0].column) == (3, "amount")
    assert not list(tmp_path.glob("*scores*"))
    pq.write_table(
        rows.drop_columns(["loss", "sex"]), tmp_path / "rows.parquet"
    )  # neither the label nor what was only sliced is needed
    assert (
        predict_rows("models:/loans/1", str(tmp_path / "rows.parquet"), tmp_path / "scores.parquet", at, None)["rows"]
        == 2_000
    )


def test_evaluate_judges_a_registered_model_on_new_rows(release, at, loans, tmp_path):
    told = evaluate_registered("loans@challenger", str(loans / "data/loans"), at, None)
    assert told["exit"] in (0, 7)
    assert told["rows"] == {"scored": 6_000 - 62, "dropped": {"null_label": 62, "where": 0, "range": 0}}
    assert told["metrics"]["auc"]["value"] > 0.7
    assert {row["column"] for row in told["drift"]} >= {"amount", "income", "purpose", "rates.rate"}
    assert told["revoked"] is None
    seen = told["findings"][0]  # all rows but those of the test part and the gaps
    assert (seen["check"], seen["severity"]) == ("seen_in_training", "high")
    assert seen["rows"] == pytest.approx(release.rows["train"] + release.rows["validation"], rel=0.01)


def test_evaluate_finds_the_column_that_moved_and_takes_the_alias_away(loans, at, tmp_path):
    poor = Spec.from_file(
        write_spec(
            loans,
            "poor.yaml",
            gate="auc >= 0.6, => auc >= 0.65,",
            name="name: loans => name: poor",
            alias="{alias: challenger} => {alias: champion}",
            trials="trials: 6 => trials: 1",
        )
    )
    assert pipeline.run(poor, at).version == 1
    shutil.copytree(loans / "data/loans", tmp_path / "loans")
    for file in (tmp_path / "loans").iterdir():
        rows = pq.read_table(file)
        moved = rows.set_column(
            rows.column_names.index("amount"), "amount", pa.array(rows["amount"].to_numpy()[::-1] * 50)
        )
        pq.write_table(
            moved.set_column(rows.column_names.index("income"), "income", pa.array(rows["income"].to_pylist()[::-1])),
            file,
        )
    told = evaluate_registered("poor@champion", str(tmp_path / "loans"), at, None, revoke=True)
    assert (told["exit"], told["status"]) == (7, "refused")
    assert (told["drift"][0]["column"], told["drift"][0]["severity"]) == ("amount", "medium")
    assert (told["revoked"]["from"], told["revoked"]["to"], told["revoked"]["action"]) == (1, None, "revoke")
    registry = Registry(at.registry_uri(tmp_path))
    assert registry.champion("poor") is None
    shown = registry.show("poor/1")
    assert (shown["scorecard"], shown["aliases"]) == ("refused", [])  # the latest judgement decides about promotion
    assert "auc >= 0.65" in shown["journal"][-1]["why"]
    with pytest.raises(RegistryError, match="the scorecard of poor/1 says 'refused'"):
        registry.promote("poor/1")


def test_a_loaded_model_scores_a_pandas_frame_with_bare_names(release, at, tmp_path):
    import pandas as pd

    from ray_pipeline.bundle import Bundle

    bundle = Bundle.load(folder_of(release) / "model")
    frame = pd.DataFrame(
        {
            "amount": [3000.0, None],
            "income": [20000.0, 9000.0],
            "purpose": ["trip", "moon"],
            "married": [True, False],
            "rate": [3.0, 4.0],
            "size": [1, 2],
            "region": ["n", None],
        }
    )
    scores = bundle.predict(frame)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_the_bundle_says_how_many_rounds_its_own_model_has(release):
    folder = folder_of(release)
    model = json.loads((folder / "model/model.json").read_text())
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert model["rounds"] == xgboost.Booster(model_file=str(folder / "model/model.ubj")).num_boosted_rounds()
    assert model["fit_on"] == "train+validation"
    assert model["rounds"] > next(trial["rounds"] for trial in trials if trial["trial"] == model["trial"])
    assert f"{model['rounds']} rounds" in (folder / "report.html").read_text()
    assert f"{model['rounds']} rounds" in (folder / "model_card.md").read_text()


def test_the_bundle_scores_without_ray(release):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('ray', 'mlflow', 'pandas', 'torch', 'polars', 'sklearn'):
            raise ImportError('forbidden: ' + name)
sys.meta_path.insert(0, Refuse())
from pathlib import Path
import pyarrow as pa
from ray_pipeline.bundle import Bundle
bundle = Bundle.load(Path({str(folder_of(release) / "model")!r}))
print(bundle.score(pa.table({{name: pa.nulls(2) for name in bundle.columns}})))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
