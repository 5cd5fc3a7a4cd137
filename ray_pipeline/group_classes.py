"""The class of a group of rows: that of most of its rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.hashing import distinct


def group_classes(
    group: NDArray[np.uint64], label: NDArray[Any]
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """The groups, ascending, with the class of most rows of each and its rows.

    Of classes with equally many rows of a group, it has the one with the fewest rows in all, then the smallest.

    Parameters
    ----------
    group
        The hash of the group of each row; shape (rows,).
    label
        The class of each row, as a number; shape (rows,).

    Returns
    -------
    tuple of arrays
        The groups, their classes from the rarest one (0) to the most frequent one, and their rows; each of shape
        (groups,).

    Examples
    --------
    >>> groups = np.array([7, 7, 7, 5, 5, 3], np.uint64)
    >>> [found.tolist() for found in group_classes(groups, np.array([0, 0, 1, 0, 1, 1]))]
    [[3, 5, 7], [1, 0, 0], [1, 2, 3]]
    """
    groups, classes = distinct(group), distinct(label)
    place, code = np.searchsorted(groups, group), np.searchsorted(classes, label)
    rank = np.empty(len(classes), np.intp)
    rank[np.argsort(np.bincount(code, minlength=len(classes)), kind="stable")] = np.arange(len(classes))
    pair = np.sort(place * len(classes) + rank[code])
    first = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else pair
    rows, (of_group, of_class) = np.diff(np.append(first, len(pair))), np.divmod(pair[first], max(len(classes), 1))
    order = np.lexsort((of_class, -rows, of_group))
    most = order[np.searchsorted(of_group[order], np.arange(len(groups)))]
    return groups, of_class[most], np.bincount(place, minlength=len(groups))
