"""About how long each stage of a run takes, by arithmetic on rows and columns; the manifest compares it with the run.

The rates are measured on one core of the machine of `benchmarks/README.md`. Trials stop early at a round that nobody
knows before, so the seconds of search and fit are a guess.
"""

import math
from collections.abc import Mapping

from ray_pipeline.components.choice import find
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.time_budget import SPEEDUP_EXPONENT

START_S: Mapping[str, float] = {
    "read": 2.0,
    "profile": 1.0,
    "encode": 0.5,
    "search": 2.0,
    "fit": 2.0,
    "evaluate": 1.0,
    "register": 1.5,
}
"""What a stage takes without rows."""
PROFILE_S, ENCODE_S, ROUND_S = 1.4e-7, 0.7e-7, 1.5e-8
"""Seconds of one core for each cell; `ROUND_S` for each round, too."""
LIKELY_ROUNDS, KEPT_SHARE = 300, 0.45
"""The rounds after which a trial stops by itself, and the share of all rounds that halving lets trials train."""


def stage_seconds(rows: int, columns: int, spec: Spec, layout: Layout) -> dict[str, float]:
    """The seconds of each stage, rounded to tenths.

    Parameters
    ----------
    rows, columns
        Rows of all parts, and columns that the model sees.
    spec
        Its families, number of trials, and `search.time`.
    layout
        Slots and threads.
    """
    cells = rows * columns
    cores = max(layout.fit_threads, layout.slots * layout.workers * layout.threads)
    kept = KEPT_SHARE if spec.search.scheduler == "asha" else 1.0
    budgets = [getattr(model, find("models", name).budget) for name, model in spec.model.items()]
    rounds = min([LIKELY_ROUNDS, *(budget for budget in budgets if isinstance(budget, int))])
    one_trial = cells * rounds * ROUND_S
    at_once = min(layout.slots, spec.search.trials) * layout.workers * layout.threads
    limit = math.inf if spec.search.time is None else float(spec.search.time)
    fit = one_trial / layout.fit_threads**SPEEDUP_EXPONENT
    work = {
        "profile": cells * PROFILE_S / cores,
        "encode": cells * ENCODE_S * len(spec.encoders) / cores,
        "search": min(spec.search.trials * one_trial * kept / at_once, max(0.0, limit - fit)),
        "fit": fit,
    }
    return {stage: round(start + work.get(stage, 0.0), 1) for stage, start in START_S.items()}
