"""Rows that an earlier run of the same storage encoded are used again where nothing that they depend on has changed.

They are kept as Arrow blocks under `.encoded/<key>` beside the runs, at most `cache` bytes of the cluster file: the
least recently used go first, and none that a run reads or writes now. The index is written last. `rerun --verify` uses
none.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.errors import StorageError
from ray_pipeline.hashing import hash_code
from ray_pipeline.plain_json import json_digest, plain
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runtime.ray_errors import own_errors
from ray_pipeline.runtime.tasks import task
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FOLDER, INDEX = ".encoded", "index.json"


def cached_rows(
    run: "Run",
    spec: Spec,
    profile: Profile,
    encoders: Mapping[str, Encoder],
    encode: Callable[[], EncodedRows],
) -> EncodedRows:
    """Load the rows that an earlier run encoded alike, else encode them and keep them for later runs.

    A damaged entry is removed and made anew.
    """
    store, key = BlobStore(f"{run.folder.storage}/{FOLDER}"), _key(run, spec, profile, encoders)
    if not run.pinned:
        try:
            if store.exists(f"{key}/{INDEX}"):
                with store.use(key):
                    return _load(store, key, run, spec, profile, encoders)
        except StorageError as error:
            run.progress.note(f"the cached rows {key} are encoded anew: {error.problems[0].found}")
            with suppress(StorageError):
                store.remove(key)
    rows = encode()
    if rows.num_bytes <= run.where.cache:
        try:
            with store.use(key), own_errors():
                _keep(store, key, rows, run.id)
            store.evict(run.where.cache)
        except (OSError, StorageError) as error:  # the run itself does not need the cache
            run.progress.note(f"the encoded rows are not kept for other runs: {str(error).splitlines()[0]}")
    return rows


def _key(run: "Run", spec: Spec, profile: Profile, encoders: Mapping[str, Encoder]) -> str:
    """The name of everything that encoded rows depend on."""
    written = spec.as_data()
    depends_on = [
        [written[name] for name in ("task", "features", "select", "split")],
        [written["evaluate"]["slices"], written["evaluate"].get("cluster"), written["bias"]["groups"]],
        written["explain"]["slices"],
        profile.data,
        {name: encoder.to_json() for name, encoder in encoders.items()},
        run.versions,
        {package: hash_code(package) for package in spec.external_packages},
    ]
    return json_digest(depends_on)[:16]


def _load(
    store: BlobStore, key: str, run: "Run", spec: Spec, profile: Profile, encoders: Mapping[str, Encoder]
) -> EncodedRows:
    """Read the blocks in their order, each on whatever node has time. Raises `DamagedBlob`."""
    import ray

    index = json.loads(store.read_sealed(f"{key}/{INDEX}").to_pybytes())
    load = task(_load_block, num_returns=2)
    loaded = [load.remote(store, f"{key}/{name}") for name in index["blocks"]]
    for error in ray.get([error for _, error in loaded]):
        if error is not None:
            raise error
    run.progress.note(
        f"the rows that {index['run']} encoded are used again: data, selection, split and encoders are the same"
    )
    return EncodedRows(
        task=spec.task,
        label_name=spec.features.labels.label,
        classes=profile.classes,
        blocks=tuple(block for block, _ in loaded),
        block_rows=tuple(map(tuple, index["block_rows"])),
        rows=index["rows"],
        num_bytes=index["num_bytes"],
        encoders=encoders,
        slice_columns=tuple(index["slice_columns"]),
        min_label=index["min_label"],
    )


def _keep(store: BlobStore, key: str, rows: EncodedRows, run_id: str) -> None:
    """Write each block from the node where it is, and the index last."""
    import ray

    save, names = task(_save_block), [f"{number:05d}.arrow" for number in range(len(rows.blocks))]
    ray.get([save.remote(store, f"{key}/{name}", block) for name, block in zip(names, rows.blocks, strict=True)])
    index = {
        "run": run_id,
        "blocks": names,
        "block_rows": rows.block_rows,
        "rows": rows.rows,
        "num_bytes": rows.num_bytes,
        "slice_columns": rows.slice_columns,
        "min_label": rows.min_label,
    }
    store.write_sealed(f"{key}/{INDEX}", json.dumps(plain(index)).encode())


def _save_block(store: BlobStore, name: str, block: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, block.schema) as file:
        file.write_table(block)
    store.write_sealed(name, sink.getvalue())


def _load_block(store: BlobStore, name: str) -> "tuple[pa.Table | None, StorageError | None]":
    try:
        return pa.ipc.open_file(pa.BufferReader(store.read_sealed(name))).read_all(), None
    except StorageError as error:
        return None, error
