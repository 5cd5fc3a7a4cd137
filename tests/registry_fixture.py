"""Versions to register, and a script that registers one in a process of its own."""

from pathlib import Path
from typing import Any

from bundle_fixture import Trained

from ray_pipeline.registry import NewVersion, Registry, versions

NAME = "flight_delay"
PASSED = {"passed": True, "gates": [{"gate": "auc >= 0.6", "passed": True, "value": 0.71, "low": 0.7, "high": 0.72}]}
REFUSED = {"passed": False, "gates": [{"gate": "auc >= 0.9", "passed": False, "value": 0.71, "low": 0.7, "high": 0.72}]}


def new_version(trained: Trained, run: str, **changes: Any) -> NewVersion:
    """What a run registers, with the given fields changed."""
    fields: dict[str, Any] = {
        "name": NAME,
        "run": run,
        "alias": "challenger",
        "bundle_folder": trained.bundle.folder,
        "sample": trained.rows,
        "scores": trained.bundle.score(trained.rows),
        "scorecard": PASSED,
        "spec_text": "name: flight_delay\n",
        "tags": {"fingerprint": "a" * 64, "data": "d" * 64},
        "metrics": {"auc": 0.71, "brier": 0.2, "undefined": float("nan")},
        "params": {"max_depth": 3},
        "lineage": {"fingerprint": "d" * 64, "files": {"data/flights/0.parquet": "e" * 64}},
        "sources": {"labels": "/srv/data/flights", "weather": "s3://bucket/weather"},
        "spec_file": "flights.yaml",
    }
    return NewVersion(**{**fields, **changes})


def add(registry: Registry, trained: Trained, run: str, **changes: Any) -> int:
    """Registers a bundle as a run would."""
    return registry.register(new_version(trained, run, **changes))


def model_folder(registry: Registry, model: str) -> Path:
    """The folder of a version's files in the registry."""
    with registry._version(model) as (mlflow, version):
        root = mlflow.get_run(versions._original(mlflow, version).run_id).info.artifact_uri
        folder = versions.local_path(root)
    assert folder is not None, "a registry that keeps its files on this machine"
    return folder / versions.FOLDER


AT_ONCE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import pyarrow.parquet as pq
from bundle_fixture import Trained
from ray_pipeline.bundle import Bundle
from ray_pipeline.registry import Registry
from registry_fixture import add
folder, run = Path(sys.argv[1]), sys.argv[2]
registry = Registry(f"sqlite:///{folder}/new/mlflow.db")
registry.prepare()
trained = Trained(Bundle.load(folder / "model"), pq.read_table(folder / "rows.parquet"), None)
for again in range(2):
    version = add(registry, trained, run)
print(version)
"""
