"""The trees of an XGBoost model as one node of ONNX, `TreeEnsemble` (ai.onnx.ml 5)."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

LESS, MEMBER = 1, 6
"""Modes of a node: true if the value is less than the split; true if it is one of a set."""
SUM = 1
LINKS = {
    "binary:logistic": "Sigmoid",
    "multi:softprob": "Softmax",
    "reg:tweedie": "Exp",
    "reg:gamma": "Exp",
    "count:poisson": "Exp",
    "reg:squarederror": "Identity",
    "reg:squaredlogerror": "Identity",
    "reg:absoluteerror": "Identity",
    "reg:pseudohubererror": "Identity",
    "reg:quantileerror": "Identity",
}
"""What turns the sum of the leaves into a prediction, by XGBoost's objective."""


@dataclass
class _Nodes:
    """The attributes of `TreeEnsemble`, filled tree by tree."""

    roots: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    missing_is_true: list[int] = field(default_factory=list)
    true: list[tuple[int, bool]] = field(default_factory=list)
    false: list[tuple[int, bool]] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The attributes of the node, what is added to its sums, and the link to a prediction."""

    attributes: Mapping[str, Any]
    margin: tuple[float, ...]
    link: str


def trees_of(model: bytes) -> Trees:
    """Return the trees of a booster.

    Parameters
    ----------
    model
        The booster as JSON (`save_raw("json")`).

    Raises
    ------
    KeyError
        The objective or the kind of booster is none that can be exported.
    """
    learner = json.loads(model)["learner"]
    objective, booster = learner["objective"]["name"], learner["gradient_booster"]
    link, content = LINKS[objective], {"gbtree": booster}[booster["name"]]["model"]
    shape = learner["learner_model_param"]
    num_targets = max(int(shape["num_class"]), int(shape.get("num_target", "1")), 1)
    nodes = _Nodes()
    for tree, target in zip(content["trees"], content["tree_info"], strict=True):
        _add_tree(nodes, tree, target)
    return Trees(
        attributes=_attributes(nodes, num_targets), margin=_margins(shape["base_score"], link, num_targets), link=link
    )


def _margins(base_score: str, link: str, num_targets: int) -> tuple[float, ...]:
    """The base score before the link, for each target."""
    read = json.loads(base_score)
    scores = read if isinstance(read, list) else [read]
    before: dict[str, Callable[[float], float]] = {"Sigmoid": lambda p: math.log(p / (1 - p)), "Exp": math.log}
    margins = [before.get(link, float)(score) for score in scores]
    return tuple(margins * num_targets if len(margins) == 1 else margins)


def _add_tree(nodes: _Nodes, tree: Mapping[str, Any], target: int) -> None:
    """Adds the nodes of one tree in their order; leaves are apart."""
    left, right = tree["left_children"], tree["right_children"]
    sets = dict(_category_sets(tree))
    inner = [node for node in range(len(left)) if left[node] != -1]
    start = len(nodes.features)
    place = {node: start + position for position, node in enumerate(inner)}

    def child(node: int) -> tuple[int, bool]:
        """The place of a child, and whether it is a leaf."""
        if node in place:
            return place[node], False
        nodes.leaf_targets.append(target)
        nodes.leaf_weights.append(tree["split_conditions"][node])
        return len(nodes.leaf_weights) - 1, True

    nodes.roots.append(start)
    for node in inner:
        to_left = bool(tree["default_left"][node])
        nodes.features.append(tree["split_indices"][node])
        if node in sets:  # the categories of the set go to the right
            _add(nodes, mode=MEMBER, split=0.0, missing=not to_left, true=child(right[node]), false=child(left[node]))
            nodes.members += [*sets[node], math.nan]
        else:
            split = tree["split_conditions"][node]
            _add(nodes, mode=LESS, split=split, missing=to_left, true=child(left[node]), false=child(right[node]))
    if not inner:  # a tree of one leaf
        nodes.features.append(0)
        _add(nodes, mode=LESS, split=0.0, missing=True, true=child(0), false=child(0))


def _add(
    nodes: _Nodes, *, mode: int, split: float, missing: bool, true: tuple[int, bool], false: tuple[int, bool]
) -> None:
    nodes.modes.append(mode)
    nodes.splits.append(split)
    nodes.missing_is_true.append(int(missing))
    nodes.true.append(true)
    nodes.false.append(false)


def _category_sets(tree: Mapping[str, Any]) -> Iterator[tuple[int, list[float]]]:
    """The categories that go to the right, for each node that splits by categories."""
    starts = [*tree["categories_segments"], len(tree["categories"])]
    for node, (start, end) in zip(tree["categories_nodes"], pairwise(starts), strict=True):
        yield node, [float(category) for category in tree["categories"][start:end]]


def _attributes(nodes: _Nodes, num_targets: int) -> dict[str, Any]:
    from onnx.numpy_helper import from_array

    return {
        "n_targets": num_targets,
        "aggregate_function": SUM,
        "tree_roots": nodes.roots,
        "nodes_featureids": nodes.features,
        "nodes_splits": from_array(np.array(nodes.splits, np.float32), "nodes_splits"),
        "nodes_modes": from_array(np.array(nodes.modes, np.uint8), "nodes_modes"),
        "nodes_missing_value_tracks_true": nodes.missing_is_true,
        "nodes_truenodeids": [place for place, _ in nodes.true],
        "nodes_trueleafs": [int(leaf) for _, leaf in nodes.true],
        "nodes_falsenodeids": [place for place, _ in nodes.false],
        "nodes_falseleafs": [int(leaf) for _, leaf in nodes.false],
        "leaf_targetids": nodes.leaf_targets,
        "leaf_weights": from_array(np.array(nodes.leaf_weights, np.float32), "leaf_weights"),
    } | ({"membership_values": from_array(np.array(nodes.members, np.float32), "members")} if nodes.members else {})
