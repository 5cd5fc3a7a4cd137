"""The first search: short enough that a registered model is there within two minutes on two cores."""

from typing import Any

from ray_pipeline.start.draft import Draft, Reasoned

TRIALS, TIME = 32, "30s"
TRIAL_S = 15.0
"""A trial of all rounds should not take longer than this."""
TREE_S, CELL_S = 1e-3, 4e-8
"""Seconds of one tree, and of each value of its rows, measured on two idle cores."""
MIN_ROUNDS, FAMILY_ROUNDS = 50, 500
"""With at least so many rounds, the defaults of the family are left alone: early stopping ends a trial before."""
TRAIN_SHARE = 0.7


def model(draft: Draft) -> Reasoned:
    """The key `model`: XGBoost, with fewer and larger steps where a round is slow."""
    trees = len(draft.label.counts) if draft.label.task == "multiclass" else 1
    values = TRAIN_SHARE * draft.labels.num_rows * len(draft.features)
    rounds = int(TRIAL_S / (trees * (TREE_S + CELL_S * values)))
    if rounds >= FAMILY_ROUNDS:
        return Reasoned(value="xgboost", why="")
    parameters: dict[str, Any] = {
        "num_boost_round": max(rounds // 10 * 10, MIN_ROUNDS),
        "learning_rate": {"log": [0.1, 0.3]},
    }
    of = f"{trees} classes, " if trees > 1 else ""
    why = (
        f"a round takes long ({of}{draft.labels.num_rows:,} rows, {len(draft.features)} features): fewer, larger steps"
    )
    return Reasoned(value={"xgboost": parameters}, why=why)
