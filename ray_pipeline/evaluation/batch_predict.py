"""New rows of any number are scored as a stream into one file; the bundle is sent to the workers."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.bundle import Bundle
from ray_pipeline.data.rows import KEY
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, Problem, StorageError
from ray_pipeline.evaluation.predict import score_columns
from ray_pipeline.runtime.session import arrow_blocks

if TYPE_CHECKING:
    import ray


def batch_predict(bundle: Bundle, table: Table, key: str | None, out: Path) -> int:
    """Score every row of the table into one Parquet file, which appears once it is complete.

    The file has the key (where there is one), `score` (`score_<class>` for multiclass) and `decision`, in file order. A
    key with the name of one of these columns is called `key`.

    Returns
    -------
    int
        The number of rows; none is dropped.

    Raises
    ------
    DataError
        The files changed while they were read.
    StorageError
        The file cannot be written.
    """
    classes, bundle_ref = tuple(bundle.schema["classes"]), put_bundle(bundle)

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = table.row_builder(block)
        loaded = bundle_ref.load()
        score = loaded.score(rows)
        scored = {**score_columns(score, classes), "decision": loaded.decide(score)}
        keys = {} if key is None else {"key" if key in scored else key: rows[KEY]}
        return pa.table({**keys, **scored})

    temporary, written, writer = out.with_name(f".{out.name}.tmp"), 0, None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for block in arrow_blocks(table.blocks(), score_block):
            writer = writer or pq.ParquetWriter(temporary, block.schema)
            writer.write_table(block)
            written += block.num_rows
        if writer is not None:
            writer.close()
        if written != table.num_rows:
            found = f"{written:,} rows were scored, but the footers count {table.num_rows:,}"
            fix = "the files changed meanwhile; predict again"
            raise DataError(Problem(stage="predict", rows=written, found=found, fix=fix))
        temporary.replace(out)
    except OSError as error:
        found = f"cannot write: {error.strerror or error}"
        raise StorageError(Problem(file=str(out), found=found, fix="name another --out")) from None
    finally:
        temporary.unlink(missing_ok=True)
    return written


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
