"""Predictions for one encoded part."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import encoded_block
from ray_pipeline.components.models._scores import refuse_other_scores
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.progress import stage
from ray_pipeline.values import Matrix, Part, Predictions, score_columns

if TYPE_CHECKING:
    from ray_pipeline.tuning.refit import TrainedModel

Score = Callable[[Matrix], NDArray[np.floating[Any]]]
"""Scores an encoded matrix (n, columns): (n,) or (n, classes)."""


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
    blocks = rows.part(part, encoder)
    scores = []
    for block in blocks:
        scores.append(np.asarray(score(block.matrix), np.float64))
        refuse_other_scores(scores[-1], len(block.label), rows.task, len(rows.classes or ()))
    names = [name for name in blocks[0].rows.column_names if name.startswith(encoded_block.SLICE)]
    return Predictions(
        task=rows.task,
        label_name=rows.label_name,
        classes=rows.classes,
        threshold=threshold,
        key=encoded_block.column(blocks, encoded_block.KEY),
        label=encoded_block.column(blocks, encoded_block.LABEL),
        score=np.concatenate(scores),
        weight=encoded_block.column(blocks, encoded_block.WEIGHT),
        cluster=encoded_block.column(blocks, encoded_block.CLUSTER),
        columns={name.removeprefix(encoded_block.SLICE): encoded_block.column(blocks, name) for name in names},
    )


def part_ends(ends: Score, rows: EncodedRows, encoder: str, part: Part) -> NDArray[Any]:
    """Return the lower and the upper quantile that a model predicts for each row of a part; shape (n, 2)."""
    return np.concatenate([ends(block.matrix) for block in rows.part(part, encoder)])


def prediction_table(rows: Predictions) -> pa.Table:
    """Make the table of `predictions/`: key, label, scores, decision, weight and slice columns.

    A slice column that has the name of another one is called `slice.<name>`.
    """
    label = np.asarray(rows.classes)[rows.label.astype(int)] if rows.task == "multiclass" else rows.label
    scores = score_columns(rows.score, rows.classes)
    regions = {} if rows.regions is None else rows.regions.columns(rows.classes if rows.task == "multiclass" else None)
    table = {"key": rows.key, "label": label, **scores, "decision": rows.decision, **regions, "weight": rows.weight}
    for name, values in rows.columns.items():
        table[f"slice.{name}" if name in table else name] = pa.array(values, pa.string())
    return pa.table(table)
