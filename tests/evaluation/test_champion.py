"""A champion that cannot score the rows of a run: told before the search, and a failed gate where it is found later."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundle_fixture import rows, train
from part_fixture import binary

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import DataError
from ray_pipeline.evaluation.champion import champion, require_champion
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.gates import judge
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.row_reader import RowReader
from ray_pipeline.rows_to_score import SentRows
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = """\
name: m
task: binary
features:
  labels: {path: t.parquet, label: label}
split: {by: random}
model: xgboost
gates: [auc >= 0.6, auc >= champion - 0.01, size_mb <= champion + 1]
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("champion")
    trained = train(folder).bundle
    return replace(trained, schema={**trained.schema, "spec": SPEC, "base": str(folder)})


def run_of(folder: Path, bundle: Bundle | None, table: pa.Table, pinned: bool = False) -> Any:
    pq.write_table(table.append_column("label", pa.array(np.arange(len(table)) % 2)), folder / "t.parquet")
    registry = SimpleNamespace(champion=lambda name: bundle and (3, bundle))
    spec = Spec.from_text(SPEC, file="s.yaml", folder=folder)
    run = {"registry": registry, "where": Where(), "registry_ready": lambda: None, "pinned": pinned and {"run": "m-1"}}
    return SimpleNamespace(spec=spec, **run)


@pytest.fixture(autouse=True)
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "load", lambda bundle: bundle)


def without(table: pa.Table) -> pa.Table:
    return table.drop_columns(["carrier"])


def as_text(table: pa.Table) -> pa.Table:
    return table.set_column(0, "distance", table["distance"].cast(pa.string()))


def test_columns_that_the_champion_lacks_are_told_before_the_search_with_version_gate_and_remedy(
    tmp_path: Path, bundle: Bundle
) -> None:
    run = run_of(tmp_path, bundle, without(rows()))
    with pytest.raises(DataError) as raised:
        require_champion(run.spec, run)
    (problem,) = raised.value.problems
    assert (problem.file, problem.line, problem.key) == ("s.yaml", 7, "gates[1]")
    assert problem.found.startswith("the champion, m/3, cannot score these rows: the rows have no column 'carrier'")
    assert "remove the gate" in problem.fix and "ray-pipeline models promote m/VERSION" in problem.fix


def test_a_column_of_another_kind_is_told_too(tmp_path: Path, bundle: Bundle) -> None:
    run = run_of(tmp_path, bundle, as_text(rows()))
    with pytest.raises(DataError, match=r"cannot score these rows: distance is string, but the model was trained on a"):
        require_champion(run.spec, run)


@pytest.mark.parametrize("unknown", [None, "task", "gate", "pinned"])
def test_nothing_is_told_where_there_is_nothing_to_compare(tmp_path: Path, bundle: Bundle, unknown: str | None) -> None:
    table = rows() if unknown is None else without(rows())
    other = replace(bundle, schema={**bundle.schema, "task": "regression"})
    run = run_of(tmp_path, other if unknown == "task" else bundle, table, pinned=unknown == "pinned")
    spec = run.spec.model_copy(update={"gates": run.spec.gates[:1]}) if unknown == "gate" else run.spec
    require_champion(spec, run)
    none = run_of(tmp_path, None, without(rows()))
    require_champion(none.spec, none)


def test_a_champion_that_cannot_score_the_rows_fails_its_gates_with_the_reason(tmp_path: Path, bundle: Bundle) -> None:
    run, ours = run_of(tmp_path, bundle, without(rows())), binary(0, 1000)
    found = champion(run.registry, ours, run.spec, run.where)
    assert found is not None and found.unfit is not None
    verdict = judge(evaluate(ours, run.spec), ServingCosts(latency_ms=1.0, size_mb=0.01), found, run.spec)
    assert [gate.passed for gate in verdict.gates] == [True, False, True]
    assert verdict.gates[1].why.startswith("cannot be decided, so it fails: the champion, m/3, cannot score these rows")
    assert "'carrier'" in verdict.gates[1].why
    assert verdict.champion == {"version": 3, "rows": 0, "rows_excluded": 1000}


def test_no_message_shows_a_name_of_ours(bundle: Bundle) -> None:
    reader = RowReader({column["name"]: column["type"] for column in bundle.schema["columns"]}, bundle.encoder)
    with pytest.raises(DataError, match=r"1 of 6 columns are missing: carrier \(found: distance, ") as raised:
        reader.table(SentRows(without(rows()).append_column("\0key", pa.array(range(400)))))
    assert "\0" not in str(raised.value)
