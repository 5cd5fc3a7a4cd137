"""Check LightGBM's file before LightGBM reads it: LightGBM follows its numbers blindly, and ends the process where it
fails in a thread of its own.

A file that passes describes trees: each node and each leaf has one parent, and each number leads to what there is.
Shapes: T trees, N nodes of all trees, which LightGBM calls internal nodes; leaves are counted apart.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.models._file_checks import require, whole_number
from ray_pipeline.components.models._lightgbm import import_lightgbm

if TYPE_CHECKING:
    import lightgbm

Numbers = NDArray[np.int64]
Tree = Mapping[str, str]
"""The lines of a tree: the text after each name."""
MAX_LINES = 22
"""LightGBM reads no more lines of a tree."""
MAX_NODES = 1 << 31
CATEGORICAL, MAX_DECISION = 1, 0b1011
"""The bit of a split by a set of categories; the largest type of a split: its bits above are the kind of missing."""
OF_NODES = ("split_feature", "decision_type", "left_child", "right_child")
MORE_OF_NODES = ("split_gain", "internal_value", "internal_weight", "internal_count")
MORE_OF_LEAVES = ("leaf_weight", "leaf_count")
WHOLE, REAL = re.compile(r"[-0-9 ]*"), re.compile(r"[-+0-9.einfa ]*")


def read_booster(file: Path) -> "lightgbm.Booster":
    """Return the booster in a file that may come from somebody else.

    Raises
    ------
    ValueError
        As `check_file`.
    """
    content = file.read_bytes().decode()
    check_file(content)
    return import_lightgbm().Booster(model_str=content)


def check_file(content: str) -> None:
    """Return if LightGBM can score with the model in a file of that content.

    Raises
    ------
    ValueError
        It is no text of LightGBM, or a number in it leads nowhere.
    """
    require("\0" not in content and "\r" not in content, "it has characters that LightGBM does not write")
    try:
        head, num_features, per_round = _head(content)
        trees = _trees(content, head)
        require(len(trees) % per_round == 0, "a round lacks trees")
        _check_trees(trees, num_features)
    except KeyError as error:
        raise ValueError(f"it does not say {error.args[0]}") from None


def _head(content: str) -> tuple[Tree, int, int]:
    """The lines before the trees; the number of features, and of the trees of a round."""
    text, blank, _ = content.partition("\n\n")
    require(text.startswith("tree\n") and bool(blank), "it does not begin as a file of LightGBM")
    head = _lines(text.removeprefix("tree\n"))
    classes, per_round, last, _ = (
        whole_number(head[name]) for name in ("num_class", "num_tree_per_iteration", "max_feature_idx", "label_index")
    )
    require(0 < classes == per_round, "the numbers of classes and of trees per round do not fit")
    require(0 <= last < MAX_NODES, "max_feature_idx is impossible")
    for name in ("feature_names", "feature_infos"):
        require(head[name].count(" ") == last, f"{name} does not have an entry for each feature")
    said = re.findall(r"num_class:(\S*)", head["objective"])
    require(said == [str(classes)] * (classes > 1), "the objective has another number of classes")
    return head, last + 1, per_round


def _trees(content: str, head: Tree) -> list[Tree]:
    """The lines of each tree. Each lies where LightGBM looks for it, and after the last their end is said."""
    at = len(content.partition("\n\n")[0]) + 2
    trees = []
    sizes = _numbers(head["tree_sizes"], WHOLE) if head["tree_sizes"] else np.array([], np.int64)
    for number, size in enumerate(sizes):
        require(0 < size <= len(content) - at, "tree_sizes leads beyond the file")
        first, _, lines = content[at : at + size].partition("\n")
        require(first == f"Tree={number}" and lines.endswith("\n\n\n"), "tree_sizes leads into a tree")
        trees.append(_lines(lines[:-3]))
        at += size
    require(content.startswith("end of trees\n", at), "there is more than tree_sizes says")
    return trees


def _lines(text: str) -> Tree:
    """The lines of a part, by their names."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, sign, value = line.partition("=")
        require(bool(sign) and name not in found, f"the line {line[:40]!r} is of no use")
        found[name] = value
    return found


def _check_trees(trees: Sequence[Tree], num_features: int) -> None:
    """Raise where a number of a tree leads nowhere; all trees are checked at once."""
    for tree in trees:
        require(len(tree) <= MAX_LINES and whole_number(tree["is_linear"]) == 0, "a tree is of another kind")
    every = np.array([whole_number(tree["num_leaves"]) for tree in trees], np.int64)
    require(bool(((every > 0) & (every < MAX_NODES)).all()), "a tree has no leaves")
    _joined(trees, "shrinkage", np.ones_like(every), REAL)
    _joined(trees, "leaf_value", every, REAL)
    split = [tree for tree, count in zip(trees, every, strict=True) if count > 1]
    leaves = every[every > 1]
    nodes = leaves - 1
    for name in MORE_OF_LEAVES:
        _joined(split, name, leaves, REAL)
    for name in MORE_OF_NODES:
        _joined(split, name, nodes, REAL)
    features, kinds, left, right = (_joined(split, name, nodes, WHOLE) for name in OF_NODES)
    require(bool(((features >= 0) & (features < num_features)).all()), "a split names no feature")
    require(bool(((kinds >= 0) & (kinds <= MAX_DECISION)).all()), "a split is of no known kind")
    _check_children(left, right, nodes, leaves)
    thresholds = _joined(split, "threshold", nodes, REAL)
    _check_categories(split, nodes, thresholds, kinds & CATEGORICAL == CATEGORICAL)


def _check_children(left: Numbers, right: Numbers, nodes: Numbers, leaves: Numbers) -> None:
    """Raise unless each node but a root, and each leaf, is the child of one node, which comes before it."""
    tree = np.tile(np.repeat(np.arange(len(nodes)), nodes), 2)
    parent, child = np.tile(_within(nodes), 2), np.concatenate([left, right])
    is_leaf = child < 0
    number = np.where(is_leaf, ~child, child)
    there = number < np.where(is_leaf, leaves[tree], nodes[tree])
    require(bool(there.all()), "a node has a child that there is not")
    require(bool((is_leaf | (child > parent)).all()), "a node has a child that comes before it")
    first_leaf, first_node = np.cumsum(leaves) - leaves, np.cumsum(nodes) - nodes
    of_leaves = np.bincount((first_leaf[tree] + number)[is_leaf], minlength=leaves.sum())
    of_nodes = np.bincount((first_node[tree] + number)[~is_leaf], minlength=nodes.sum())
    require(bool((of_leaves == 1).all()), "a leaf has no parent, or two")
    require(bool((of_nodes == (_within(nodes) > 0)).all()), "a node has no parent, or two")


def _check_categories(trees: Sequence[Tree], nodes: Numbers, thresholds: Any, is_set: NDArray[np.bool_]) -> None:
    """Raise where a split by a set of categories has none.

    `thresholds`, shape (N,), has the number of its set for each such split, which `is_set`, shape (N,), marks.
    """
    sets = np.array([whole_number(tree["num_cat"]) for tree in trees], np.int64)
    require(bool((sets <= nodes).all()), "a tree has an impossible number of sets")
    held = np.repeat(sets, nodes)
    has_set = (thresholds >= 0) & (thresholds < held)
    require(bool(has_set[is_set].all()), "a split has no set of its own")
    with_sets = [one for one, count in zip(trees, sets, strict=True) if count]
    counts = sets[sets > 0]
    ends = _joined(with_sets, "cat_boundaries", counts + 1, WHOLE)
    place = _within(counts + 1)
    sizes = np.diff(ends)[place[1:] > 0]
    require(bool((ends[place == 0] == 0).all() and (sizes > 0).all()), "a set of categories lies outside its list")
    words = _joined(with_sets, "cat_threshold", ends[place == np.repeat(counts, counts + 1)], WHOLE)
    require(bool(((words >= 0) & (words < 1 << 32)).all()), "a set of categories has an impossible word")


def _within(sizes: Numbers) -> Numbers:
    """The place of each value within its own list, for lists of these sizes one after the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _joined(trees: Sequence[Tree], name: str, sizes: Numbers, form: re.Pattern[str]) -> Any:
    """The numbers of that name of all trees, one after the other; each tree has as many as its size says."""
    lines = [tree[name] for tree in trees]
    counts = [line.count(" ") + 1 if line else 0 for line in lines]
    require(np.array_equal(counts, sizes), f"{name} has another number of values")
    text = " ".join(filter(None, lines))
    return _numbers(text, form) if text else np.array([], np.int64)


def _numbers(text: str, form: re.Pattern[str]) -> Any:
    """The numbers that one space separates, int64 or float64."""
    require(form.fullmatch(text) is not None, f"{text[:20]!r} holds no numbers")
    texts = pc.split_pattern(pa.array([text], pa.large_string()), " ").flatten()
    return texts.cast(pa.int64() if form is WHOLE else pa.float64()).to_numpy()
