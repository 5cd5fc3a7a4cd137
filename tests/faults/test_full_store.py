"""Ray's object store is smaller than the rows: it spills, and the run ends; where the disk is full, it says so."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from job_fixture import Cluster, head

pytestmark = [pytest.mark.ray, pytest.mark.long]
ROWS, COLUMNS = 2_500_000, 12
STORE_BYTES = 80_000_000
"""About the smallest store that Ray starts with; the encoded rows alone take 120 MB, and the rows read 240 MB."""
SPEC = """\
name: store
task: binary
features: {labels: {path: rows, label: late, key: id}}
split: {by: random, validation: 0.1, test: 0.1}
model: {xgboost: {num_boost_round: 4, max_depth: 4}}
search: {trials: 2, metric: auc}
evaluate: {metrics: [auc], draws: 100}
register: false
"""
WHOLE_S = 500
DRIVER_BYTES = 1.5 * 2**30


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of many rows in a few files."""
    folder = tmp_path_factory.mktemp("store") / "rows"
    folder.mkdir()
    draw, part = np.random.default_rng(0), ROWS // 5
    for number in range(5):
        columns = {f"x{i}": draw.normal(size=part) for i in range(COLUMNS)}
        late = draw.random(part) < 1 / (1 + np.exp(-columns["x0"]))
        table = pa.table({"id": np.arange(part) + number * part, **columns, "late": late})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=100_000)
    return folder


def run_on(folder: Path, rows: Path, cluster: Cluster) -> tuple[dict[str, object], int]:
    """The answer of a run on that cluster, and the largest resident memory of its driver in bytes."""
    (folder / "rows").symlink_to(rows)
    (folder / "store.yaml").write_text(SPEC)
    (folder / "on.yaml").write_text(f"address: {cluster.address}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "ray_pipeline", "run", "store.yaml", "--on", "on.yaml", "--json", "--quiet"],
        cwd=folder,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    largest = 0
    while True:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            largest = max(largest, next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")))
        try:
            out, _ = process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
        return json.loads(out.splitlines()[-1]), largest


def spilled(cluster: Cluster) -> bool:
    """Whether the raylet has written that it spilled objects."""
    logs = cluster.folder.glob("session_*/logs/raylet.out")
    return any("Spilled" in log.read_text(errors="replace") for log in logs)


def test_a_store_smaller_than_the_rows_spills_and_the_driver_stays_small(rows: Path, tmp_path: Path) -> None:
    with head(store_bytes=STORE_BYTES, RAY_AUTH_MODE="disabled") as cluster:
        answer, driver_bytes = run_on(tmp_path, rows, cluster)
        assert spilled(cluster)
    assert (answer["exit"], answer["trials"]) == (0, 2), answer
    assert driver_bytes < DRIVER_BYTES


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A folder on a file system of that size."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="a file system of its own needs root")
def test_a_full_disk_of_spilled_objects_ends_the_run_with_its_folder(rows: Path, tmp_path: Path) -> None:
    with (
        small_disk(Path("/tmp") / f"rpd{os.getpid()}", 64) as disk,
        head(store_bytes=STORE_BYTES, within=disk, RAY_AUTH_MODE="disabled") as cluster,
    ):
        answer, _ = run_on(tmp_path, rows, cluster)
    (problem,) = answer["problems"]  # type: ignore[misc]
    assert answer["exit"] == 6, answer
    assert problem["file"].startswith(str(disk))
    assert "ray-pipeline resume" in problem["fix"]
