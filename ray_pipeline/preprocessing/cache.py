"""Encoded rows of an earlier run of the same storage, where all that they depend on is the same: data, selection,
split, encoders, slices, code.

They lie as Arrow files under `.encoded/<key>` beside the runs, at most three sets of at most 4 GiB; `whole.json` is
written last. A rerun never reuses.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.errors import StorageError
from ray_pipeline.hashing import hash_code
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runs.digests import of_json
from ray_pipeline.runs.reproducibility import versions
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore

if TYPE_CHECKING:
    import ray

FOLDER, WHOLE = ".encoded", "whole.json"
KEPT, MAX_BYTES = 3, 4 << 30


def reuse(
    folder: RunFolder, spec: Spec, encoders: Mapping[str, Encoder], encode: Callable[[], Encoded], show: Progress
) -> Encoded:
    """What an earlier run has encoded, if it would come out the same now; else what `encode` makes, kept for runs to
    come."""
    store, key = BlobStore(f"{folder.storage}/{FOLDER}"), _key(folder, spec, encoders)
    if folder.recorded("expected") is None and store.exists(f"{key}/{WHOLE}"):
        told = json.loads(store.read(f"{key}/{WHOLE}"))
        show.note(
            f"the rows that {told['run']} encoded are used again: data, selection, split and encoders are the same"
        )
        rows = tuple(tuple(block) for block in told["block_rows"])
        return Encoded(
            _fetch(store, key, told["blocks"]),
            rows,
            told["rows"],
            told["num_bytes"],
            encoders,
            tuple(told["slice_columns"]),
            told["least_label"],
        )
    encoded = encode()
    if encoded.num_bytes <= MAX_BYTES:
        try:
            _keep(store, key, encoded, folder.run)
        except (OSError, StorageError) as error:  # the run itself needs none of it
            show.note(f"the encoded rows are not kept for other runs: {str(error).splitlines()[0]}")
    return encoded


def _key(folder: RunFolder, spec: Spec, encoders: Mapping[str, Encoder]) -> str:
    """Names all that encoded rows depend on."""
    said = spec.as_data()
    asked = {name: said[name] for name in ("task", "features", "select", "split")}
    judged = {
        "slices": said["evaluate"]["slices"],
        "cluster": said["evaluate"].get("cluster"),
        "groups": said["bias"]["groups"],
        "explained": said["explain"]["slices"],
    }
    return of_json(
        [
            asked,
            judged,
            folder.recorded("data"),
            {needs: encoder.to_json() for needs, encoder in encoders.items()},
            versions(),
            {package: hash_code(package) for package in spec.external_packages},
        ]
    )[:16]


def _fetch(store: BlobStore, key: str, names: list[str]) -> "tuple[ray.ObjectRef[pa.Table], ...]":
    """The blocks in their order, each read by whatever node has time."""
    import ray

    task = ray.remote(_load)
    return tuple(task.remote(store, f"{key}/{name}") for name in names)


def _keep(store: BlobStore, key: str, encoded: Encoded, run: str) -> None:
    """Writes each block from the node where it is; the oldest sets give way."""
    import ray

    task, names = ray.remote(_save), [f"{number:05d}.arrow" for number in range(len(encoded.blocks))]
    ray.get([task.remote(store, f"{key}/{name}", block) for name, block in zip(names, encoded.blocks, strict=True)])
    told = {
        "blocks": names,
        "block_rows": encoded.block_rows,
        "rows": dict(encoded.rows),
        "num_bytes": encoded.num_bytes,
        "slice_columns": encoded.slice_columns,
        "least_label": encoded.min_label,
        "run": run,
    }
    store.write(f"{key}/{WHOLE}", json.dumps(told).encode())
    store.forget(KEPT)


def _save(store: BlobStore, name: str, block: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, block.schema) as file:
        file.write_table(block)
    store.write(name, sink.getvalue())


def _load(store: BlobStore, name: str) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(store.read(name))).read_all()
