"""What each stage made, byte for byte, as one SHA-256: the same on one node and on forty, whatever the blocks were."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block as blocks
from ray_pipeline.bundle import Bundle
from ray_pipeline.hashing import hash_values
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runs.run_folder import plain
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_REPEATED = ("seconds", "why")
"""What a trial's record says of the clock, and in a library's words."""


def of_split(encoded: Encoded) -> str:
    """Of which key is in which part, whatever the order of rows."""
    import ray

    task = ray.remote(_part_hashes)
    found = ray.get([task.remote(block) for block in encoded.blocks])
    digest = hashlib.sha256()
    for code, part in enumerate(PARTS):
        hashes = np.sort(np.concatenate([hashes[code] for hashes in found])) if found else np.zeros(0, np.uint64)
        digest.update(f"{part} {len(hashes)} ".encode() + hashes.tobytes())
    return digest.hexdigest()


def _part_hashes(block: pa.Table) -> "list[NDArray[np.uint64]]":
    hashes, part = hash_values(block[blocks.KEY]), block[blocks.PART].to_numpy()
    return [hashes[part == code] for code in range(len(PARTS))]


def of_trials(outcomes: Iterable[TrialResult]) -> str:
    """Of every trial's hyperparameters, rungs and score."""
    return of_json(
        [{key: value for key, value in asdict(outcome).items() if key not in NOT_REPEATED} for outcome in outcomes]
    )


def of_model(bundle: Bundle) -> str:
    """Of the bundle's files but `schema.json`, which says where the data lay."""
    names = sorted(file.name for file in bundle.folder.iterdir() if file.name not in ("schema.json", "SHA256SUMS"))
    return of_json({name: hashlib.sha256((bundle.folder / name).read_bytes()).hexdigest() for name in names})


def of_table(table: pa.Table) -> str:
    """Of a table's columns, whatever its chunks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def of_json(value: Any) -> str:
    """Of a value's canonical JSON."""
    return hashlib.sha256(
        json.dumps(plain(value), sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()
