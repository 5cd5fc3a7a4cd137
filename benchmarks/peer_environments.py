"""The environments of the peers: each is made once, in a cache folder, with its own versions of all libraries."""

import json
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    # xgboost-cpu and pandas 2: the wheel of xgboost brings CUDA, and FLAML 2.7 reads strings of pandas 2.
    "flaml": ["flaml", "catboost", "lightgbm", "xgboost-cpu<3", "scikit-learn", "scipy", "pandas<3", "pyarrow"],
    # With torch and fastai, so that AutoGluon has its two neural networks.
    "autogluon": ["autogluon.tabular[lightgbm,catboost,xgboost,fastai]", "torch==2.13.*", "pyarrow"],
}
VERSIONS = "versions.json"
REPORTED = (
    "flaml",
    "autogluon.tabular",
    "catboost",
    "lightgbm",
    "xgboost",
    "xgboost-cpu",
    "scikit-learn",
    "torch",
    "fastai",
)


def python_of(cache: Path, peer: str) -> str:
    """Return the Python of a peer's environment, which is made where it is missing."""
    folder = cache / peer
    python = folder / "bin" / "python"
    if not (folder / VERSIONS).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES[peer]], check=True, stdout=sys.stderr)
        listed = subprocess.run(
            [str(python), "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
        )
        found = {one["name"].lower(): one["version"] for one in json.loads(listed.stdout)}
        versions = {name: found[name] for name in REPORTED if name in found}
        (folder / VERSIONS).write_text(json.dumps(versions))
    return str(python)


def versions_of(cache: Path, peer: str) -> dict[str, str]:
    """Return the versions of the libraries of a peer that decide how good it is."""
    versions: dict[str, str] = json.loads((cache / peer / VERSIONS).read_text())
    return versions
