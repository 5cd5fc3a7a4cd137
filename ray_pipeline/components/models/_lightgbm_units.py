"""A booster of LightGBM that was trained on the label in another unit (see `_label_unit.py`)."""

import re

from ray_pipeline.components.models._lightgbm import import_lightgbm

LEAVES = re.compile(r"^num_leaves=(\d+)$", re.MULTILINE)


def in_unit_of_label(text: str, factor: float) -> str:
    """Return the text of a booster that predicts the label itself, where `text` predicts it times the factor."""
    if factor == 1:
        return text
    booster = import_lightgbm().Booster(model_str=text)
    for tree, leaves in enumerate(map(int, LEAVES.findall(text))):
        for leaf in range(leaves):
            booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) / factor)
    return str(booster.model_to_string())
