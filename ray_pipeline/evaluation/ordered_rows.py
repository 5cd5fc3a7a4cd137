"""Rows of some groups in the order of (group, cluster), whose terms are read in chunks."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import ROWS_PER_CHUNK, Numbers, SumMetric, without_mean
from ray_pipeline.values import Predictions, Vector


class OrderedRows:
    """Rows in the order of (group, cluster). A cell is the rows of one cluster in one group: `cell` is where each cell
    begins, `first` the first cell of each group; both with their end."""

    def __init__(
        self, rows: Predictions, group: NDArray[np.intp], other_influence: Vector, centre: float | None
    ) -> None:
        """`centre` is the mean label of the only group, where these are not all of its rows."""
        order = np.lexsort((rows.cluster, group))
        self.rows, self.order, self.centre = rows, order, centre
        self.label, self.score, self.weight = rows.label[order], rows.score[order], rows.weight[order]
        self.other_influence = other_influence[order]
        self.group, cluster = group[order], rows.cluster[order]
        new = (self.group[1:] != self.group[:-1]) | (cluster[1:] != cluster[:-1])
        self.cell = np.concatenate([[0], np.flatnonzero(new) + 1, [len(order)]]) if len(order) else np.zeros(1, np.intp)
        self.first = np.append(np.flatnonzero(np.diff(self.group[self.cell[:-1]], prepend=-1)), len(self.cell) - 1)

    def given(self, metric: SumMetric) -> tuple[Vector, Numbers]:
        """Return labels and scores as the metric takes them."""
        if metric.of_regions:
            return self.label, self.measures
        return self.near_zero if metric.centred else (self.label, self.score)

    def chunks(
        self, metric: SumMetric, cut: float
    ) -> Iterator[tuple[Numbers, Vector, NDArray[np.intp], NDArray[np.intp]]]:
        """Yield, for some cells at a time, their weighted sums (cells, k), their other influence (cells,), where each
        group begins among them, and the numbers of these groups."""
        begin, last = 0, len(self.cell) - 1
        while begin < last:
            end = max(int(np.searchsorted(self.cell, self.cell[begin] + ROWS_PER_CHUNK, side="right")) - 1, begin + 1)
            chunk = slice(self.cell[begin], self.cell[end])
            label, score = self.given(metric)
            terms = metric.terms(label[chunk], score[chunk], cut) * self.weight[chunk, None]
            if end - begin < len(terms):
                terms = np.add.reduceat(terms, self.cell[begin:end] - self.cell[begin], axis=0)
            low = int(np.searchsorted(self.first, begin, side="right")) - 1
            high = int(np.searchsorted(self.first, end, side="left"))
            begins = np.maximum(self.first[low:high] - begin, 0)
            yield terms, self.other_influence[self.cell[begin:end]], begins, np.arange(low, high)
            begin = end

    def of_group(self, group: int) -> tuple[NDArray[np.intp], slice]:
        """Return where the cells of a group begin, with their end, and its rows."""
        cells = self.cell[self.first[group] : self.first[group + 1] + 1]
        return cells, slice(cells[0], cells[-1])

    @cached_property
    def measures(self) -> Numbers:
        """The measures of intervals or sets, shape (n, 2)."""
        return self.rows.measures[self.order]

    @cached_property
    def near_zero(self) -> tuple[Vector, Numbers]:
        """Labels and predictions, less the mean label of their group."""
        if self.centre is not None:
            return self.label - self.centre, self.score - self.centre
        return without_mean(self.label, self.score, self.weight, self.group)

    @cached_property
    def clusters(self) -> Vector:
        """How many clusters of each group have weight."""
        has_weight = np.add.reduceat(self.weight, self.cell[:-1]) > 0
        return np.add.reduceat(has_weight.astype(np.float64), self.first[:-1])
