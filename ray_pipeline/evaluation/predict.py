"""Predictions for one encoded part."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import encoded_block
from ray_pipeline.components.models._scores import refuse_other_scores
from ray_pipeline.evaluation.pieces import Pieces
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.progress import stage
from ray_pipeline.runtime.scratch import scratch_array
from ray_pipeline.values import Matrix, Part, Predictions, score_columns

if TYPE_CHECKING:
    from ray_pipeline.tuning.refit import TrainedModel

Score = Callable[[Matrix], NDArray[np.floating[Any]]]
"""Scores an encoded matrix (n, columns): (n,) or (n, classes)."""
MAX_TEXTS = 100_000
"""Of more texts, such as keys, most are different."""


@stage("evaluate")  # scoring the test part is the beginning of that stage
def predict(model: "TrainedModel", encoded: Encoded, part: Part) -> Predictions:
    """Score one part with the bundle of the trained model, in file order."""
    bundle = model.bundle
    scored = score_part(bundle.score_matrix, encoded.rows, model.encoder, part, threshold=bundle.schema["threshold"])
    if bundle.regions is None:
        return scored
    ends = part_ends(bundle.ends, encoded.rows, model.encoder, part) if bundle.regions.by_quantiles else None
    return replace(scored, regions=bundle.regions_of(scored.score, ends))


def score_part(
    score: Score, rows: EncodedRows, encoder: str, part: Part, *, threshold: float | None = None
) -> Predictions:
    """Score one part from the matrix that the encoder of that name made.

    Parameters
    ----------
    score
        Scores an encoded matrix.
    rows
        The encoded rows; only those of the part are fetched.
    encoder
        The name of the encoder whose matrix is scored.
    part
        The part to score.
    threshold
        A row is selected from this score on; None where no threshold was chosen.
    """
    filled = ColumnBuilder(rows.rows[part])
    for block in rows.stream(part, encoder):
        scores = np.asarray(score(block.matrix), np.float64)
        refuse_other_scores(scores, len(block.label), rows.task, len(rows.classes or ()))
        slices = [name for name in block.rows.column_names if name.startswith(encoded_block.SLICE)]
        others = (encoded_block.KEY, encoded_block.LABEL, encoded_block.WEIGHT, encoded_block.CLUSTER, *slices)
        filled.append({"score": scores, **{name: encoded_block.column([block], name) for name in others}})
    assert filled.begun == filled.rows
    columns = filled.columns
    return Predictions(
        task=rows.task,
        label_name=rows.label_name,
        classes=rows.classes,
        threshold=threshold,
        key=columns[encoded_block.KEY],
        label=columns[encoded_block.LABEL],
        score=columns["score"],
        weight=columns[encoded_block.WEIGHT],
        cluster=columns[encoded_block.CLUSTER],
        columns={name.removeprefix(encoded_block.SLICE): columns[name] for name in slices},
    )


class ColumnBuilder:
    """The columns of so many rows, made block by block; large ones do not stay in memory."""

    def __init__(self, rows: int) -> None:
        self.rows, self.begun, self.columns = rows, 0, dict[str, NDArray[Any]]()
        self.texts: dict[str, dict[Any, Any]] = {}

    def append(self, block: Mapping[str, NDArray[Any]]) -> None:
        """Add the columns of the next rows."""
        for name, values in block.items():
            texts = self.texts.setdefault(name, {})
            if values.dtype == object and len(texts) < MAX_TEXTS:  # one object for a text of several blocks
                values = np.array([texts.setdefault(text, text) for text in values], object)
            self._wide_enough(name, values)[self.begun : self.begun + len(values)] = values
        self.begun += len(values)

    def _wide_enough(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """The column, in a type that holds these values, too."""
        column = self.columns.get(name)
        dtype = values.dtype if column is None else np.result_type(column, values)
        if column is None or column.dtype != dtype:
            self.columns[name] = scratch_array((self.rows, *values.shape[1:]), dtype)
            if column is not None:
                self.columns[name][: self.begun] = column[: self.begun]
        return self.columns[name]


def part_ends(ends: Score, rows: EncodedRows, encoder: str, part: Part) -> NDArray[Any]:
    """Return the lower and the upper quantile that a model predicts for each row of a part; shape (n, 2)."""
    return np.concatenate([ends(block.matrix) for block in rows.part(part, encoder)])


def prediction_tables(rows: Predictions) -> Iterator[pa.Table]:
    """Make the table of `predictions/`, some rows at a time: key, label, scores, decision, weight and slice columns.

    A slice column that has the name of another one is called `slice.<name>`.
    """
    pieces = Pieces(rows)
    if pieces.parts == 1:
        yield _prediction_table(rows)
        return
    # The first keys may be null, or of fewer digits than later ones.
    schemas = [_prediction_table(some).schema for some in pieces]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    yield from (_prediction_table(some).cast(schema) for some in pieces)


def _prediction_table(rows: Predictions) -> pa.Table:
    label = np.asarray(rows.classes)[rows.label.astype(int)] if rows.task == "multiclass" else rows.label
    scores = score_columns(rows.score, rows.classes)
    regions = {} if rows.regions is None else rows.regions.columns(rows.classes if rows.task == "multiclass" else None)
    table = {"key": rows.key, "label": label, **scores, "decision": rows.decision, **regions, "weight": rows.weight}
    for name, values in rows.columns.items():
        table[f"slice.{name}" if name in table else name] = pa.array(values, pa.string())
    return pa.table(table)
