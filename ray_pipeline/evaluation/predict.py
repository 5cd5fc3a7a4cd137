"""Scores: of an encoded part in one go, or of any number of new rows as a stream. Both by the one scoring path of the
bundle."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_pipeline import encoded_block as blocks
from ray_pipeline.bundle import Bundle
from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.choice import find
from ray_pipeline.data.rows import KEY
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, Problem, StorageError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.session import arrow_blocks
from ray_pipeline.spec import Spec
from ray_pipeline.values import Matrix, Part, Predictions

if TYPE_CHECKING:
    import ray


def predict(
    score: Callable[[Matrix], NDArray[np.floating[Any]]],
    encoded: Encoded,
    needs: str,
    part: Part,
    spec: Spec,
    classes: tuple[str, ...],
) -> Predictions:
    """The rows of one part, scored from the matrix that the model's family needs, in file order."""
    views = list(blocks.views(encoded.fetch(), needs, part))
    slices = [name for name in views[0].rows.column_names if name.startswith(blocks.SLICE)]
    return Predictions(
        task=spec.task,
        classes=classes,
        key=blocks.column(views, blocks.KEY),
        label=blocks.column(views, blocks.LABEL),
        score=np.concatenate([np.asarray(score(view.matrix), np.float64) for view in views]),
        weight=blocks.column(views, blocks.WEIGHT),
        cluster=blocks.column(views, blocks.CLUSTER),
        columns={name.removeprefix(blocks.SLICE): blocks.column(views, name) for name in slices},
    )


def rescaled(rows: Predictions, calibrator: Calibrator) -> Predictions:
    """The same rows with calibrated scores."""
    return replace(rows, score=calibrator.apply(rows.score))


def prediction_table(rows: Predictions, decision: NDArray[np.generic]) -> pa.Table:
    """`predictions/`: key, label, score (or one column for each class), decision, slice columns."""
    scores = (
        {"score": rows.score}
        if rows.score.ndim == 1
        else {f"score_{name}": rows.score[:, i] for i, name in enumerate(rows.classes)}
    )
    label = np.asarray(rows.classes)[rows.label.astype(int)] if rows.task == "multiclass" else rows.label
    return pa.table(
        {
            "key": rows.key,
            "label": label,
            **scores,
            "decision": decision,
            "weight": rows.weight,
            **{name: pa.array(values, pa.string()) for name, values in rows.columns.items()},
        }
    )


def predict_stream(bundle: Bundle, table: Table, key: str | None, out: Path) -> int:
    """Scores every row of the table into one Parquet file that appears whole; the number of rows, none dropped, in file
    order.

    Out: the key (where there is one), `score` (`score_<class>` for multiclass), `decision`.
    """
    maker, classes, carried = table.row_builder, bundle.schema["classes"], put_bundle(bundle)

    def score_block(block: pa.Table) -> pa.Table:
        rows, _ = maker(block)
        own = carried.load()
        score = own.score(rows)
        scores = (
            {"score": score} if score.ndim == 1 else {f"score_{name}": score[:, i] for i, name in enumerate(classes)}
        )
        keys = {key: rows[KEY]} if key else {}
        return pa.table({**keys, **scores, "decision": own.decide(score)})

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
            raise DataError(
                Problem(stage="predict", rows=written, found=found, fix="the files changed meanwhile; predict again")
            )
        temporary.replace(out)
    except OSError as error:
        raise StorageError(
            Problem(file=str(out), found=f"cannot write: {error.strerror or error}", fix="name another --out")
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return written


_LOADED: dict[str, Bundle] = {}


@dataclass(frozen=True)
class BundleRef:
    """A bundle on its way to workers, which need not see the folder that it lies in."""

    fingerprint: str
    files: "ray.ObjectRef[dict[str, bytes]]"

    def load(self) -> Bundle:
        """The bundle, checked and loaded once in each worker process."""
        import ray

        if self.fingerprint not in _LOADED:
            with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
                for name, content in ray.get(self.files).items():
                    Path(folder, name).write_bytes(content)
                loaded = _LOADED[self.fingerprint] = Bundle.load(Path(folder), self.fingerprint)
            find("models", str(loaded.model["family"])).warm_up()
        return _LOADED[self.fingerprint]


def put_bundle(bundle: Bundle) -> BundleRef:
    """The bundle's files, in the object store."""
    import ray

    return BundleRef(bundle.fingerprint, ray.put({file.name: file.read_bytes() for file in bundle.folder.iterdir()}))
