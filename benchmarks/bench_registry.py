"""The registry with a thousand versions: seconds of `models list`, of a registration, a promotion and a verification.

usage: bench_registry.py [--versions 1000] [--models 1] [--repeat 3]   -> one JSON line
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = """\
name: m0
task: binary
features: {labels: {path: rows.parquet, label: late, key: id}}
split: {by: random}
model: {xgboost: {num_boost_round: 20}}
search: {trials: 4, metric: auc}
register: {alias: challenger}
"""


def timed(folder: Path, *words: str) -> tuple[float, dict]:
    """Seconds of a command, and its JSON answer."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout.splitlines()[-1])


def fill(uri: str, models: int, versions: int) -> None:
    """Registers versions with the tags of real ones but without files, which a list does not read."""
    from ray_pipeline.registry.mlflow_session import client, mlflow_session

    with mlflow_session(uri):
        mlflow = client(uri)
        for model in range(models):
            mlflow.create_registered_model(f"m{model}")
            for number in range(versions // models):
                tags = {
                    "run": f"m{model}-01234567-{number}",
                    "bundle": "b" * 64,
                    "family": "xgboost",
                    "status": "registered",
                    "scorecard": "passed",
                    "fingerprint": "f" * 64,
                    "sha256": "s" * 64,
                }
                mlflow.create_model_version(
                    f"m{model}",
                    source=f"file:///none/{number}",
                    tags={f"ray_pipeline.{key}": value for key, value in tags.items()},
                )
            mlflow.set_registered_model_alias(f"m{model}", "challenger", str(versions // models))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("versions", 1000), ("models", 1), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from bench_kill import write_rows

    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_rows(folder, 3000)
        (folder / "m0.yaml").write_text(SPEC)
        uri = f"sqlite:///{folder}/runs/mlflow.db"
        from ray_pipeline.registry import Registry

        Registry(uri).prepare()
        fill(uri, args.models, args.versions)
        listed = [timed(folder, "models", "list", "--registry", uri) for _ in range(args.repeat)]
        run_seconds, run = timed(folder, "run", "m0.yaml")
        promoted, _ = timed(folder, "models", "promote", f"m0/{run['version']}", "--registry", uri)
        verified, _ = timed(folder, "models", "verify", f"m0/{run['version']}", "--registry", uri)
    shown = sum(len(model["versions"]) for model in listed[0][1]["models"])
    listing = {
        "versions": shown,
        "list_s": [round(s, 2) for s, _ in listed],
        "list_median_s": round(statistics.median(s for s, _ in listed), 2),
    }
    print(
        json.dumps(
            {
                **listing,
                "register_s": run["seconds"]["register"],
                "run_s": round(run_seconds, 1),
                "promote_s": round(promoted, 2),
                "verify_s": round(verified, 2),
                "cores": os.cpu_count(),
            }
        )
    )


if __name__ == "__main__":
    main()
