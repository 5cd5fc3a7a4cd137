"""What each stage made, byte for byte, as one SHA-256: the same on one node and on forty, whatever the blocks were."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import encoded_block
from ray_pipeline.bundle import Bundle
from ray_pipeline.hashing import hash_values
from ray_pipeline.plain_json import json_digest
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.tasks import task
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import PARTS

NOT_REPEATED = ("seconds", "why")
"""What a trial's record says of the clock, and in a library's words."""


def split_digest(rows: EncodedRows) -> str:
    """The digest of which key is in which part, whatever the order of rows."""
    import ray

    hashing = task(_part_hashes)
    hashed = ray.get([hashing.remote(block) for block in rows.blocks])
    digest = hashlib.sha256()
    for code, part in enumerate(PARTS):
        hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *(hashes[code] for hashes in hashed)]))
        digest.update(f"{part} {len(hashes)} ".encode() + hashes.tobytes())
    return digest.hexdigest()


def _part_hashes(block: pa.Table) -> list[NDArray[np.uint64]]:
    hashes, part = hash_values(block[encoded_block.KEY]), block[encoded_block.PART].to_numpy()
    return [hashes[part == code] for code in range(len(PARTS))]


def trials_digest(results: Iterable[TrialResult]) -> str:
    """The digest of every trial's hyperparameters, rungs and score."""
    return json_digest(
        [{key: value for key, value in asdict(result).items() if key not in NOT_REPEATED} for result in results]
    )


def model_digest(bundle: Bundle) -> str:
    """The digest of the bundle's files but `schema.json`, which says where the data lay."""
    files = {file.relative_to(bundle.folder).as_posix(): file for file in bundle.files}
    names = [name for name in files if name not in ("schema.json", "SHA256SUMS")]
    return json_digest({name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in names})


def table_digest(table: pa.Table) -> str:
    """The digest of a table's columns, whatever its chunks."""
    return pieces_digest([table])


def pieces_digest(pieces: Iterable[pa.Table]) -> str:
    """The digest of the columns of a table that is made piece by piece."""
    digest, stream = hashlib.sha256(), None
    for piece in pieces:
        stream = stream or pa.ipc.new_stream(pa.PythonFile(_Sink(digest), "w"), piece.schema)
        stream.write_table(piece.combine_chunks())
    if stream is not None:
        stream.close()
    return digest.hexdigest()


class _Sink(io.RawIOBase):
    """A file whose content is only hashed."""

    def __init__(self, digest: "hashlib._Hash") -> None:
        self.digest = digest

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return len(content)
