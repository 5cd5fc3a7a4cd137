"""Registries with many users: an MLflow server over PostgreSQL, and twenty runs that end at once on a sqlite file."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bundle_fixture import Trained
from job_fixture import free_port, wait_until
from postgres_fixture import postgres_server
from registry_fixture import AT_ONCE, NAME, add
from registry_server_fixture import WITH_US, end, mlflow_server
from scoring_fixture import FORMATS, JSON

from ray_pipeline.bundle import Bundle
from ray_pipeline.registry import Registry, package

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


def live_through(registry: Registry, trained: Trained) -> None:
    """Register, verify, promote, roll back, list, load."""
    registry.prepare()
    assert [add(registry, trained, run) for run in ("run-1", "run-2", "run-1")] == [1, 2, 1]
    assert registry.verify(f"{NAME}@challenger")["rows"] == package.ROWS
    assert [
        registry.promote(f"{NAME}/1")["to"],
        registry.promote(f"{NAME}/2")["from"],
        registry.rollback(NAME)["to"],
    ] == [1, 1, 1]
    (model,) = registry.list()
    assert [version["version"] for version in model["versions"]] == [2, 1]
    _, folder = registry.champion(NAME) or (0, Path())
    np.testing.assert_array_equal(Bundle.load(folder).score(trained.rows), trained.bundle.score(trained.rows))


def test_a_server_over_postgresql_serves_the_whole_life_of_a_model(
    postgres: str, trained: Trained, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path, postgres) as uri:
        live_through(Registry(uri), trained)
        registry = Registry(uri)
        with ThreadPoolExecutor(4) as pool:  # processes of their own, as runs are
            children = list(pool.map(lambda i: _register(uri, trained, tmp_path, f"many-{i}"), range(4)))
        assert sorted(children) == [3, 4, 5, 6]
        assert len(registry.list()[0]["versions"]) == 6


def _register(uri: str, trained: Trained, folder: Path, run: str) -> int:
    place = folder / run
    place.mkdir()
    shutil.copytree(trained.bundle.folder, place / "model")
    pq.write_table(trained.rows.slice(0, 20), place / "rows.parquet")
    code = AT_ONCE.replace('f"sqlite:///{folder}/new/mlflow.db"', repr(uri))
    return int(
        subprocess.run(
            [sys.executable, "-c", code, str(place), run, *sys.path], capture_output=True, text=True, check=True
        ).stdout
    )


def test_twenty_runs_that_end_together_on_one_sqlite_file_get_twenty_versions(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.bundle.folder, tmp_path / "model")
    pq.write_table(trained.rows.slice(0, 20), tmp_path / "rows.parquet")
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path)]
    children = [
        subprocess.Popen([*command, f"run-{i}", *sys.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(20)
    ]
    ended = [(*child.communicate(timeout=500), child.returncode) for child in children]
    assert [code for *_, code in ended] == [0] * 20, [err[-500:] for _, err, code in ended if code]
    assert not [err for _, err, _ in ended if "locked" in err]
    assert sorted(int(out) for out, *_ in ended) == list(range(1, 21))
    (model,) = Registry(f"sqlite:///{tmp_path}/new/mlflow.db").list()
    assert sorted(version["run"] for version in model["versions"]) == sorted(f"run-{i}" for i in range(20))
    assert {version["status"] for version in model["versions"]} == {"registered"}


def test_a_server_that_goes_away_before_the_end_leaves_a_run_that_registers_later(
    trained: Trained, tmp_path: Path
) -> None:
    from ray_pipeline.errors import RegistryError

    store = f"sqlite:///{tmp_path}/server.db"
    with mlflow_server(tmp_path, store) as uri:
        Registry(uri).prepare()
    begun = time.monotonic()
    with pytest.raises(RegistryError, match="does not answer: Connection refused"):
        add(Registry(uri), trained, "run-1")
    assert time.monotonic() - begun < 60
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(uri.rpartition(":")[2]))) != 0
    with mlflow_server(tmp_path, store) as later:
        assert add(Registry(later), trained, "run-1") == 1


def test_mlflow_serves_a_version_over_http(trained: Trained, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    registry = Registry(uri)
    add(registry, trained, "run-1", alias="champion")
    port = free_port()
    command = [
        *WITH_US,
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        f"models:/{NAME}@champion",
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        wait_until(lambda: _answered(port, "/ping", None)[0] == 200, 120, tmp_path / "log")
        rows = trained.rows.slice(0, 30)
        expected = trained.bundle.score(rows)
        pandas_json = rows.to_pandas().to_json(orient="split", date_format="iso", date_unit="us", index=False)
        assert pandas_json is not None
        requests = {name: (write(rows), content_type) for name, (write, content_type) in FORMATS.items()}
        requests["as pandas writes JSON"] = (f'{{"dataframe_split": {pandas_json}}}', JSON)
        for name, (content, content_type) in requests.items():
            status, answer = _answered(port, "/invocations", content, content_type)
            assert status == 200, (name, answer)
            np.testing.assert_array_equal(answer["predictions"], expected, err_msg=name)
        row = {
            "distance": None,
            "carrier": "never seen",
            "late": None,
            "sched_dep_ts": None,
            "weather.temp": 51,
            "weather.precip": 0.1,
            "extra": "ignored",
        }
        status, answer = _answered(port, "/invocations", json.dumps({"dataframe_records": [row]}))
        assert status == 200 and 0 < answer["predictions"][0] < 1, answer
        del row["carrier"]
        status, answer = _answered(port, "/invocations", json.dumps({"dataframe_records": [row]}))
        assert status == 400 and "1 of 6 columns are missing: carrier" in answer["message"], answer
    finally:
        end(child)


def _answered(port: int, path: str, content: bytes | str | None, content_type: str = JSON) -> tuple[int, dict]:
    body = content.encode() if isinstance(content, str) else content
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read().strip() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, {}
