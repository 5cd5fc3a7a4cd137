"""The first search: a registered model within two minutes on two cores, a few more where there are millions of rows."""

import math
from datetime import timedelta
from typing import Any

from ray_pipeline.duration import write_duration
from ray_pipeline.start.draft import Draft, Reasoned

TRIALS, SHORTEST_S, LONGEST_S, STEP_S = 32, 30, 120, 30
TRIAL_S = 15.0
"""A trial of all rounds should not take longer than this."""
TREE_S, CELL_S = 1e-3, 4e-8
"""Seconds of one tree, and of each value of its rows, measured on two idle cores."""
MIN_ROUNDS, FAMILY_ROUNDS = 20, 500
"""With at least so many rounds, the defaults of the family are left alone: early stopping ends a trial before."""
STEPS = 10.0
"""The learning rate by the rounds that makes so many full steps: 100 rounds of 0.1 have come near to all there is."""
SLOWEST, FASTEST = 0.1, 0.3
"""The least learning rate, and the largest least one."""
TRAIN_SHARE = 0.7


def model(draft: Draft) -> Reasoned:
    """The key `model`: XGBoost, with fewer and larger steps where a round is slow."""
    round_s = _round_s(draft)
    if TRIAL_S / round_s >= FAMILY_ROUNDS:
        return Reasoned(value="xgboost", why="")
    rounds = _rounds(round_s)
    rate = round(min(max(STEPS / rounds, SLOWEST), FASTEST), 2)
    parameters: dict[str, Any] = {"num_boost_round": rounds, "learning_rate": {"log": [rate, round(2 * rate + 0.1, 2)]}}
    of = f"{_trees(draft)} classes, " if _trees(draft) > 1 else ""
    why = (
        f"a round takes long ({of}{draft.labels.num_rows:,} rows, {len(draft.features)} features): fewer, larger steps"
    )
    return Reasoned(value={"xgboost": parameters}, why=why)


def time(draft: Draft) -> Reasoned:
    """The key `search.time`: enough for a trial on each slot, in half minutes, and two minutes at most."""
    trial_s = _rounds(_round_s(draft)) * _round_s(draft)
    seconds = min(max(SHORTEST_S, math.ceil(1.2 * trial_s / STEP_S) * STEP_S), LONGEST_S)
    why = "" if seconds == SHORTEST_S else f"a trial of so many rows takes about {trial_s:,.0f} s on one core"
    return Reasoned(value=write_duration(timedelta(seconds=seconds)), why=why)


def _trees(draft: Draft) -> int:
    """Trees of one round."""
    return len(draft.label.counts) if draft.label.task == "multiclass" else 1


def _round_s(draft: Draft) -> float:
    """Seconds of one round."""
    return _trees(draft) * (TREE_S + CELL_S * TRAIN_SHARE * draft.labels.num_rows * len(draft.features))


def _rounds(round_s: float) -> int:
    return max(int(TRIAL_S / round_s) // 10 * 10, MIN_ROUNDS)
