"""Gates from the scores of the baseline: a sane model passes them, and a constant one does not."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.start.baseline import FoldScore
from ray_pipeline.start.draft import Draft, Reasoned

Z = 1.96
"""Standard errors from the value to the end of its interval."""
MARGIN = 2.0
"""Standard errors between the baseline on two samples."""
MIN_MARGIN, MIN_MARGIN_LATER = 0.1, 0.25
"""Of the way from the baseline to the constant; more where test may differ from train by its time or its maker."""
MAX_MARGIN = 0.6
DIGITS = 3


def with_gates(draft: Draft, scores: Sequence[FoldScore], test_rows: int) -> Draft:
    """The draft with its gates.

    Parameters
    ----------
    draft
        Says metric and split.
    scores
        The baseline on each fold.
    test_rows
        Rows of the test part, which decide how wide its interval is.
    """
    metric = metric_of(draft.metric.value)
    if not scores:
        return replace(draft, no_gate="the rows are too few to score a baseline on")
    sign = 1 if metric.better == "higher" else -1
    gains = np.array([sign * (one.value - one.constant) for one in scores])
    worst = scores[int(np.argmin([sign * one.value for one in scores]))]
    gain, error = float(gains.mean()), float(np.mean([one.error for one in scores]))
    folds = ", ".join(f"{one.value:.4g}" for one in scores)
    constant = float(np.mean([one.constant for one in scores]))
    said = f"a quick baseline has {folds} on held-out rows, a constant model {constant:.4g}"
    if gain < MARGIN * error or min(gains) <= 0:
        return replace(draft, no_gate=f"{said}; the difference is within noise")
    test_error = error * math.sqrt(np.mean([one.rows for one in scores]) / max(test_rows, 1))
    noise = MARGIN * math.hypot(error, test_error)
    least = (MIN_MARGIN_LATER if draft.split.by in ("time", "column") else MIN_MARGIN) * gain
    op, limit = (">=" if sign > 0 else "<="), MAX_MARGIN * gain
    if (margin := max(noise + Z * test_error, least)) <= limit:
        text = f"{metric.name} {op} {_rounded(worst.value - sign * margin, sign)}"
    else:
        margin = min(max(noise, least), limit)
        said += "; the interval is wide, so the value itself is judged"
        text = f"point {metric.name} {op} {_rounded(worst.value - sign * margin, sign)}"
    tolerance = f"{'-' if sign > 0 else '+'} {_rounded(max(test_error * Z, abs(worst.value) * 0.005), -1)}"
    later = Reasoned(
        value=f"{metric.name} {op} champion {tolerance}",
        why="not worse than the model in use; passes while there is none",
    )
    return replace(draft, gates=(Reasoned(value=text, why=said), later))


def _rounded(value: float, sign: int) -> str:
    """The number with few digits, rounded to the side that is easier to reach: down for sign 1, up for -1.

    >>> _rounded(0.87654, 1), _rounded(46_123.4, -1)
    ('0.876', '46200')
    """
    if value == 0:
        return "0"
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(abs(value))))
    rounded = (math.floor if sign > 0 else math.ceil)(value * scale) / scale
    return f"{rounded:.10g}"
