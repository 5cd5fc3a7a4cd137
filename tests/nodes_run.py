"""Run by `test_many_nodes.py` in a process of its own: a run on a cluster of three nodes on loopback, one of which may
be lost at a stage.

usage: nodes_run.py SPEC STORAGE [STAGE SECONDS]   -> one JSON line: the run's answer, or its problem, and how many
nodes were left
"""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"

from ray_pipeline.errors import PipelineError
from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)
MAKES = {
    "read": "layout",
    "encode": "profile",
    "search": "trial-0001",
    "fit": "digest-trials",
    "evaluate": "digest-model",
}
"""The journal entry after which each stage is in the middle of its work."""


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    from ray_pipeline import pipeline
    from ray_pipeline.runs.run_folder import RunFolder
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    spec, storage, stage = Spec.from_file(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    node = {"num_cpus": 1, "object_store_memory": 150_000_000}
    with tempfile.TemporaryDirectory(prefix="rpn", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False, "temp_dir": folder})
        others = [cluster.add_node(**node, temp_dir=folder) for _ in range(2)]
        cluster.wait_for_nodes()
        where = Where(address=cluster.address, storage=storage)
        run = RunFolder.create(where.storage_folder(Path.cwd()), spec.name, spec.fingerprint)

        def lose() -> None:
            while not (run.path / "journal" / f"{MAKES[str(stage)]}.json").exists():
                time.sleep(0.02)
            time.sleep(float(sys.argv[4]))
            cluster.remove_node(others[0], allow_graceful=False)

        loser = threading.Thread(target=lose, daemon=True)
        if stage:
            loser.start()
        try:
            answer = pipeline.run(spec, where, resume_from=run).as_json()
        except PipelineError as error:
            answer = {"exit": error.exit_code, "problems": [problem.as_json() for problem in error.problems]}
        answer["lost"] = bool(stage) and not loser.is_alive()
        ray.init(address=cluster.address, log_to_driver=False)
        deadline = time.monotonic() + 60  # a lost node counts as alive until it has missed its heartbeats
        while (alive := sum(node["Alive"] for node in ray.nodes())) > 3 - answer[
            "lost"
        ] and time.monotonic() < deadline:
            time.sleep(0.5)
        answer["nodes"] = alive
        ray.shutdown()
        cluster.shutdown()
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
