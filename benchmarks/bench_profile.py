"""Profile, fit and encode (two passes over the source) against Ray's own `Chain` of preprocessors, on the flights.

usage: bench_profile.py [FLIGHTS_DIR] [--copies 10] [--growth]   -> one JSON line; the ratio is the result
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from peak import Peak

HERE = Path(__file__).parent
SPEC = """\
name: profile
task: binary
features: {labels: {path: PATH, label: late, key: flight_id}}
split: {by: random}
model: xgboost
"""


def ours(text: str, folder: Path) -> dict:
    """Seconds of both passes over the table of a spec, by stage."""
    from ray_pipeline.data.read import read
    from ray_pipeline.data.split import split
    from ray_pipeline.preprocessing.encode import encode_rows
    from ray_pipeline.preprocessing.fit_encoders import fit_encoders
    from ray_pipeline.profiling.table_profile import profile_table
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    with Peak() as peak:
        begun = time.time()
        spec = Spec.from_text(text, folder=folder)
        table = split(read(spec, Where()), spec)
        profile = profile_table(table, spec)
        profiled = time.time()
        encoders = fit_encoders(profile, ["trees"])
        fitted = time.time()
        rows = encode_rows(table, profile, spec, encoders, {})
        done = time.time()
    assert sum(rows.rows.values()) == table.num_rows
    seconds = {"read_and_profile": profiled - begun, "fit": fitted - profiled, "encode": done - fitted}
    return {
        "seconds": round(done - begun, 1),
        "stages": {name: round(spent, 1) for name, spent in seconds.items()},
        "findings": len(profile.findings),
        "peak_gib": peak.gib,
    }


def chain(path: Path) -> dict:
    """Seconds of the chain, in a process and on a Ray of its own, without our settings or the start of Ray."""
    from ray_pipeline.runtime.process_state import SETTINGS

    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, __file__, "--peer", str(path)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def chain_here(path: Path) -> dict:
    import ray
    import ray.data
    from ray.data.preprocessors import Chain, OrdinalEncoder, SimpleImputer, StandardScaler

    schema = pq.read_schema(path)
    features = [one.name for one in schema if one.name not in ("late", "flight_id") and not one.name.startswith("__")]
    texts = [name for name in features if "string" in str(schema.field(name).type)]
    numbers = [name for name in features if name not in texts]
    ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    with Peak() as peak:
        begun = time.time()
        dataset = ray.data.read_parquet(str(path)).select_columns([*features, "late"])
        # `most_frequent` would be one more pass, but in ray 2.60 it fails on texts with nulls (imputer.py:288).
        steps = Chain(
            SimpleImputer(texts, strategy="constant", fill_value="missing"),
            OrdinalEncoder(texts),
            SimpleImputer(numbers, strategy="mean"),
            StandardScaler(numbers),
        )
        steps.fit(dataset)
        fitted = time.time()
        steps.transform(dataset).materialize()
        done = time.time()
    return {
        "seconds": round(done - begun, 1),
        "stages": {"fit": round(fitted - begun, 1), "transform": round(done - fitted, 1)},
        "peak_gib": peak.gib,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "flights", nargs="?", type=Path, default=HERE.parent / "ray_pipeline" / "examples" / "flights" / "data"
    )
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--growth", action="store_true", help="measure ours alone, with 1, 2, 4 and 8 copies")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        print(json.dumps(chain_here(asked.peer)))
        return
    from ray_pipeline.runtime.session import session
    from ray_pipeline.spec.where import Where

    os.environ["RAY_AUTH_MODE"] = "disabled"
    with tempfile.TemporaryDirectory() as made, session(Where()):
        sizes = [1, 2, 4, 8] if asked.growth else [asked.copies]
        paths = {copies: Path(made) / f"joined{copies}.parquet" for copies in sizes}
        for copies, path in paths.items():
            subprocess.run(
                [sys.executable, str(HERE / "peers" / "flights_joined.py"), str(asked.flights), str(path), str(copies)],
                check=True,
            )
        specs = {copies: SPEC.replace("PATH", path.name) for copies, path in paths.items()}
        ours(specs[sizes[0]], Path(made)) if asked.growth else None  # the first run imports for the workers
        measured = {copies: ours(spec, Path(made)) for copies, spec in specs.items()}
        rows = pq.read_metadata(paths[sizes[-1]]).num_rows
        if asked.growth:
            print(json.dumps({"bench": "profile_growth", "rows": rows, "runs": measured}))
            return
        import ray

        ray.shutdown()  # the peer has the machine to itself
        peer, mine = chain(paths[asked.copies]), measured[asked.copies]
        print(
            json.dumps(
                {
                    "bench": "profile",
                    "rows": rows,
                    "ours": mine,
                    "chain": peer,
                    "times_as_fast": round(peer["seconds"] / mine["seconds"], 2),
                }
            )
        )


if __name__ == "__main__":
    main()
