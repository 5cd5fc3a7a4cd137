"""Drift of new rows without labels: of the columns from the training rows, and of the scores from those of test.

The scores of training rows are no measure: a model is surer of rows that it has learned.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.evaluation.pieces import MAX_RANKED
from ray_pipeline.hashing import drawn_places
from ray_pipeline.preprocessing.encoded_rows import as_ipc
from ray_pipeline.profiling import drift
from ray_pipeline.profiling.drift import Counts, Histogram
from ray_pipeline.values import Predictions, score_columns

FILE = "scores.json"
ROWS, COUNTS = "rows", "counts"


def score_histograms(predictions: Predictions) -> dict[str, Histogram]:
    """Return the histogram of each column of scores on the test part, or on two million rows of it."""
    drawn = predictions.score[drawn_places(len(predictions), MAX_RANKED)]
    scores = pa.table(score_columns(drawn, predictions.classes))
    return drift.histograms(scores, scores.column_names)


@dataclass(kw_only=True)
class ScoreDrift:
    """What is known of the training, and what was counted in new rows."""

    columns: Mapping[str, Histogram]
    """Of the training rows."""
    scores: Mapping[str, Histogram]
    """Of the scores of the test part; empty for versions that were registered without them."""
    counts: dict[str, Counts] = field(default_factory=dict)

    @classmethod
    def from_json(cls, training: Mapping[str, Any] | None, scores: Mapping[str, Any] | None) -> Self:
        """Return it from the objects of training.json and scores.json; None where a version has no such file."""
        nothing: Mapping[str, Any] = {"columns": {}}
        return cls(columns=drift.from_json(training or nothing), scores=drift.from_json(scores or nothing))

    def packed(self, rows: pa.Table, scored: pa.Table) -> pa.Table:
        """Return the scored rows of a block with their counts, as one row of a table.

        Parameters
        ----------
        rows
            The block's rows, in the types of training.
        scored
            Its keys, scores and decisions.
        """
        counts = {f"column:{name}": one.count(rows[name]).tolist() for name, one in self.columns.items()}
        counts |= {f"score:{name}": one.count(scored[name]).tolist() for name, one in self.scores.items()}
        content = pa.array([as_ipc(scored).to_pybytes()], pa.large_binary())
        return pa.table({ROWS: content, COUNTS: [json.dumps(counts)]})

    def counted(self, blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Add up the counts of packed blocks, and yield the scored rows in them."""
        for block in blocks:
            for packed in block.to_pylist():
                for name, counts in json.loads(packed[COUNTS]).items():
                    self.counts[name] = self.counts.get(name, 0) + np.asarray(counts)
                yield pa.ipc.open_stream(packed[ROWS]).read_all()

    def as_json(self) -> dict[str, Any]:
        """Return `drift` and `score_drift`: rows as in drift.json, the largest first; empty where nothing is known."""
        return {"drift": self._rows("column", self.columns), "score_drift": self._rows("score", self.scores)}

    def _rows(self, kind: str, known: Mapping[str, Histogram]) -> list[dict[str, Any]]:
        counts = {
            name: self.counts.get(f"{kind}:{name}", np.zeros(len(one.counts), int)) for name, one in known.items()
        }
        return drift.column_drift(known, counts)


def drifted(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the columns of rows as in drift.json whose drift is more than low."""
    return [row["column"] for row in rows if row["severity"] == "medium"]
