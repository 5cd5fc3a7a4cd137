"""New rows of any number are scored as a stream into files; the bundle is sent to the workers."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.rows import KEY
from ray_pipeline.data.table import Table
from ray_pipeline.evaluation.predict import score_columns
from ray_pipeline.evaluation.score_files import write_scores
from ray_pipeline.runtime.session import arrow_blocks

if TYPE_CHECKING:
    import ray


def batch_predict(bundle: Bundle, table: Table, key: str | None, out: Path) -> tuple[int, int]:
    """Score every row of the table into one file, or into one for each file of the table; see `write_scores`.

    A file has the key (where there is one), `score` (`score_<class>` for multiclass) and `decision`, in file order. A
    key with the name of one of these columns is called `key`.

    Returns
    -------
    tuple of two int
        The number of rows, none of which is dropped, and of files.
    """
    classes, bundle_ref, row_builder = tuple(bundle.schema["classes"]), put_bundle(bundle), table.row_builder

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = row_builder(block)
        loaded = bundle_ref.load()
        score = loaded.score(rows)
        scored = {**score_columns(score, classes), "decision": loaded.decide(score)}
        keys = {} if key is None else {"key" if key in scored else key: rows[KEY]}
        return pa.table({**keys, **scored})

    return write_scores(arrow_blocks(table.blocks(), score_block), table, out)


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
                    Path(folder, name).write_bytes(content)
                _LOADED[self.fingerprint] = Bundle.load(Path(folder), self.fingerprint)
        return _LOADED[self.fingerprint]


def put_bundle(bundle: Bundle) -> BundleRef:
    """Put the bundle's files into the object store."""
    import ray

    return BundleRef(bundle.fingerprint, ray.put({file.name: file.read_bytes() for file in bundle.folder.iterdir()}))
