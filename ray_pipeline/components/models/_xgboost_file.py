"""Check XGBoost's file before XGBoost reads it: XGBoost follows the numbers of nodes, features and categories blindly.

A file that passes describes trees: each node but the root has one parent, and each number leads to what there is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.models._file_checks import require, whole_number
from ray_pipeline.components.models._ubjson import NUMBERS, parse_ubjson
from ray_pipeline.components.models._xgboost import import_xgboost

if TYPE_CHECKING:
    import xgboost

Numbers = NDArray[np.int64]
MAX_CATEGORIES = 1 << 24
"""XGBoost refuses codes above it, because a float32 does not hold each of them."""
OF_NODES = (
    "base_weights",
    "default_left",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
)
"""What a tree says of each node."""
_TYPES = {marker: np.dtype(number.format) for marker, number in NUMBERS.items()}


def check_file(content: bytes) -> None:
    """Return if XGBoost can score with the model in a file of that content.

    Raises
    ------
    ValueError
        It is no document of XGBoost, or holds something else than a forest of gradient-boosted trees.
    """
    document = parse_ubjson(content)
    try:
        learner = document["learner"]
        booster = learner["gradient_booster"]
        require(booster["name"] == "gbtree", f"the booster is {booster['name']!r}")
        num_features, num_outputs = _check_learner(learner)
        _check_forest(booster["model"], num_outputs)
        _check_trees(booster["model"]["trees"], num_features)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the document is no model of XGBoost: {error}") from None


def _check_learner(learner: Mapping[str, Any]) -> tuple[int, int]:
    """The number of features and of outputs, after the lists that depend on them were checked."""
    about = learner["learner_model_param"]
    features, classes, targets = (whole_number(about[f"num_{name}"]) for name in ("feature", "class", "target"))
    outputs = max(classes, targets, 1)
    require(features > 0 and min(classes, targets) <= 1, "the numbers of features and outputs do not fit")
    for name in ("feature_names", "feature_types"):
        require(len(learner[name]) in (0, features), f"{name} has {len(learner[name]):,} entries")
    require(1 + about["base_score"].count(",") in (1, outputs), "base_score does not have a number for each output")
    objective = learner["objective"]
    softmax = objective.get("softmax_multiclass_param", {"num_class": about["num_class"]})
    require(whole_number(softmax["num_class"]) == classes, "the objective has another number of classes")
    return features, outputs


def _check_forest(model: Mapping[str, Any], num_outputs: int) -> None:
    """Raise where the lists of trees do not agree."""
    trees, output_of, ends = model["trees"], _numbers(model["tree_info"]), _numbers(model["iteration_indptr"])
    require(
        whole_number(model["gbtree_model_param"]["num_trees"]) == len(trees), "num_trees is not the number of trees"
    )
    require(len(output_of) == len(trees), "tree_info does not have a number for each tree")
    require(bool(((output_of >= 0) & (output_of < num_outputs)).all()), "a tree is of an output that there is not")
    require(len(ends) > 0 and ends[0] == 0 and ends[-1] == len(trees), "iteration_indptr does not end with the trees")
    require(bool((np.diff(ends) >= 0).all()), "iteration_indptr falls")
    named = model.get("cats", {}).values()
    require(not any(map(_length, named)), "the model has names of categories")


def _check_trees(trees: Sequence[Mapping[str, Any]], num_features: int) -> None:
    """Raise where a number of a tree leads nowhere; all trees are checked at once, their nodes numbered through."""
    if not trees:
        return
    sizes = np.array([whole_number(tree["tree_param"]["num_nodes"]) for tree in trees])
    for tree, size in zip(trees, sizes, strict=True):
        about = tree["tree_param"]
        require(whole_number(about["num_feature"]) == num_features, "a tree has another number of features")
        require(about["size_leaf_vector"] in ("0", "1"), "a leaf has several values")
        require(size > 0 and all(_length(tree[name]) == size for name in OF_NODES), "a list of nodes has another size")
    left, right, parents, features, kinds = (
        _joined(trees, name) for name in ("left_children", "right_children", "parents", "split_indices", "split_type")
    )
    size = np.repeat(sizes, sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)  # of the node's tree
    number = np.arange(len(left)) - first  # within its tree
    (inner,) = np.nonzero(left != -1)
    require(bool((right[left == -1] == -1).all()), "a leaf has a child")
    # XGBoost takes the node after the left child for the right one. The root is no child.
    require(bool((right[inner] == left[inner] + 1).all()), "the two children of a node are not neighbours")
    is_node = (left[inner] > 0) & (right[inner] < size[inner])
    require(bool(is_node.all()), "a node has a child that there is not")
    for child in (left, right):  # so no node has two parents, and no way leads back to where it has been
        require(bool((parents[first[inner] + child[inner]] == number[inner]).all()), "a node has two parents")
    require(bool(((features[inner] >= 0) & (features[inner] < num_features)).all()), "a split names no feature")
    require(bool(((kinds == 0) | (kinds == 1)).all()), "a split is of no known kind")
    _check_categories(trees, sizes, (kinds == 1) & (left != -1))


def _check_categories(trees: Sequence[Mapping[str, Any]], sizes: Numbers, is_set: NDArray[np.bool_]) -> None:
    """Raise where a split by a set of categories has none; `is_set` says which of all nodes are such splits."""
    first = np.cumsum(sizes) - sizes
    counts = np.array([_length(tree["categories_nodes"]) for tree in trees])
    for tree, count in zip(trees, counts, strict=True):
        agree = all(_length(tree[f"categories_{name}"]) == count for name in ("segments", "sizes"))
        require(agree, "the lists of sets have different sizes")
    nodes, starts, lengths, codes = (
        _joined(trees, name) for name in ("categories_nodes", "categories_segments", "categories_sizes", "categories")
    )
    in_tree = (nodes >= 0) & (nodes < np.repeat(sizes, counts))
    places = np.repeat(first, counts) + nodes
    require(bool(in_tree.all()) and np.array_equal(places, np.flatnonzero(is_set)), "a split has no set of its own")
    held = np.repeat([_length(tree["categories"]) for tree in trees], counts)
    within = (starts >= 0) & (lengths > 0) & (lengths <= held) & (starts <= held - lengths)
    require(bool(within.all()), "a set of categories lies outside its list")
    require(bool(((codes >= 0) & (codes < MAX_CATEGORIES)).all()), "a category has an impossible code")


def _joined(trees: Sequence[Mapping[str, Any]], name: str) -> Numbers:
    """The numbers of that name of all trees, one after the other; all trees have them in one type."""
    types = {tree[name][0] for tree in trees}
    require(len(types) == 1, f"{name} has several types")
    return _numbers((types.pop(), b"".join(tree[name][1] for tree in trees)))


def _numbers(values: Any) -> Numbers:
    """The numbers of an array, of one type or not."""
    found = np.array(values) if isinstance(values, list) else np.frombuffer(values[1], _TYPES[values[0]])
    return found.astype(np.int64)


def _length(values: Any) -> int:
    """How many values an array has, of one type or not."""
    return len(values) if isinstance(values, list) else len(values[1]) // NUMBERS[values[0]].size


def read_booster(file: Path) -> "xgboost.Booster":
    """Return the booster in a file that may come from somebody else.

    Raises
    ------
    ValueError
        As `check_file`.
    """
    content = file.read_bytes()
    check_file(content)
    return import_xgboost().Booster(model_file=bytearray(content))
