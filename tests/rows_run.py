"""Run by `test_encoded_rows.py` in a process of its own: blocks on another node of a cluster on loopback, fetched by
part.

usage: rows_run.py   -> one JSON line: how many blocks are elsewhere, which parts are right, how many blocks came here
"""

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"
sys.path.insert(0, str(Path(__file__).parent))

from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)


def main() -> None:
    import pyarrow as pa
    import ray
    from encoded_fixture import blocks, encoded
    from ray.cluster_utils import Cluster

    from ray_pipeline.runs.digests import table_digest
    from ray_pipeline.values import PARTS

    node = {"object_store_memory": 150_000_000}
    with tempfile.TemporaryDirectory(prefix="rpr", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(
            initialize_head=True,
            head_node_args={**node, "num_cpus": 1, "include_dashboard": False, "temp_dir": folder},
        )
        cluster.add_node(**node, num_cpus=1, resources={"other": 1}, temp_dir=folder)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        tables = blocks(8_000, 4)
        make = ray.remote(num_cpus=1, resources={"other": 0.1})(lambda table: table.slice(0))
        rows = replace(encoded(8_000, 4), blocks=tuple(make.remote(table) for table in tables))
        ray.wait(list(rows.blocks), num_returns=4, fetch_local=False)
        here = ray.get_runtime_context().get_node_id()

        def away() -> int:
            places = ray.experimental.get_object_locations(list(rows.blocks))
            return sum(here not in place["node_ids"] for place in places.values())

        elsewhere, equal = away(), []
        whole = pa.concat_tables(tables)
        for code, part in enumerate(PARTS):
            found = pa.concat_tables([block.rows for block in rows.part(part, "trees")])
            if table_digest(found) == table_digest(whole.filter(pa.compute.equal(whole["part"], code))):
                equal.append(part)
        print(json.dumps({"elsewhere": elsewhere, "equal": equal, "fetched": elsewhere - away()}), flush=True)
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
