"""Run by `test_gpus.py` in a process of its own: a search is laid out on a node that says it has a GPU.

usage: gpus_run.py SPEC   -> one JSON line: notes, layouts and problems by what the cluster file asks for
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"

from ray_pipeline.errors import PipelineError
from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    from ray_pipeline.runs.reproducibility import plan_layout
    from ray_pipeline.runs.run_folder import RunFolder
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    spec, said = Spec.from_file(sys.argv[1]), dict[str, object]()
    with tempfile.TemporaryDirectory(prefix="rpg", ignore_cleanup_errors=True) as folder:
        node = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 150_000_000}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False, "temp_dir": folder})
        ray.init(address=cluster.address, log_to_driver=False)
        for asked in ("auto", 0, 1):
            journal, notes = RunFolder.create(Path(folder), f"run-{asked}", "0" * 64).journal, list[str]()
            try:
                layout = plan_layout(journal, Where(gpus_per_worker=asked), spec, notes.append)
                said[str(asked)] = {**asdict(layout), "memory": None, "notes": notes}
            except PipelineError as error:
                said[str(asked)] = error.problems[0].as_json()
        ray.shutdown()
        cluster.shutdown()
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
