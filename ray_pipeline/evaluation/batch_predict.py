"""New rows of any number are scored as a stream into files; the bundle is sent to the workers."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.models._base import score_on_one_thread
from ray_pipeline.data.rows import KEY
from ray_pipeline.data.table import Table
from ray_pipeline.evaluation.score_drift import ScoreDrift
from ray_pipeline.evaluation.score_files import write_scores
from ray_pipeline.runtime.threads import map_in_threads

if TYPE_CHECKING:
    import ray

BLOCK_BYTES, MAX_ROWS = 32 << 20, 131_072
"""The most that a thread scores at once. XGBoost prepares its trees in each call: 300 trees of depth 6 take 1.2 times
as long for blocks of 8,192 rows as for these."""


def batch_predict(
    bundle: Bundle,
    table: Table,
    out: Path,
    threads: int | None = None,
    drift: ScoreDrift | None = None,
) -> tuple[int, int]:
    """Score every row of the table into one file, or into one for each file of the table; see `write_scores`.

    With `threads`, this process scores; without, the workers of Ray.

    A file has the key (where there is one), `score` (`score_<class>` for multiclass), `decision`, and `low` and `high`
    or `set` where the model has them, in file order. A
    key with the name of one of these columns is called `key`. `drift`, where it is given, counts the rows.

    Returns
    -------
    tuple of two int
        The number of rows, none of which is dropped, and of files.
    """
    row_builder, key = table.row_builder, table.row_builder.key
    load = put_bundle(bundle).load if threads is None else lambda: bundle

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = row_builder(block)
        loaded = load()
        score_on_one_thread()  # blocks are scored side by side
        scored = loaded.scored(rows)
        keys = {} if key is None else {"key" if key in scored else key: rows[KEY]}
        written = pa.table({**keys, **scored})
        return written if drift is None else drift.packed(loaded.as_trained(rows), written)

    def found(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        return blocks if drift is None else drift.counted(blocks)

    if threads is None:
        return write_scores(found(table.map_blocks(score_block)), table, out)
    with table.locating_errors():
        rows = max(1, min(MAX_ROWS, BLOCK_BYTES * table.num_rows // max(table.num_bytes, 1)))
        blocks = map_in_threads(table.pieces(rows), rows, score_block, threads)
        return write_scores(found(blocks), table, out)


_LOADED: dict[str, Bundle] = {}


@dataclass(frozen=True)
class BundleRef:
    """A bundle in the object store: workers need not see the folder that holds it."""

    fingerprint: str
    files: "ray.ObjectRef[dict[str, bytes]]"

    def load(self) -> Bundle:
        """Load and check the bundle, once in each worker process."""
        import ray

        if self.fingerprint not in _LOADED:
            with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
                for name, content in ray.get(self.files).items():
                    Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
                    Path(folder, name).write_bytes(content)
                _LOADED[self.fingerprint] = Bundle.load(Path(folder), self.fingerprint)
        return _LOADED[self.fingerprint]


def put_bundle(bundle: Bundle) -> BundleRef:
    """Put the bundle's files into the object store."""
    import ray

    files = {file.relative_to(bundle.folder).as_posix(): file.read_bytes() for file in bundle.files}
    return BundleRef(bundle.fingerprint, ray.put(files))
