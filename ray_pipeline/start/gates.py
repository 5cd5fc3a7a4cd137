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
MARGIN, MIN_POINT = 2.0, 1.6
"""Standard errors between a baseline on its folds and a model on test; the least of them that a gate must leave."""
MIN_MARGIN, MIN_MARGIN_LATER = 0.1, 0.25
"""Of the way from the baseline to the constant; more where test may differ from train by its time or its maker."""
MAX_MARGIN = 0.6
"""Of this way: a gate is clearly above the constant."""
MIN_INTERVAL_ROWS = 200
"""Test rows from which a standard error tells how wide the interval will be; a few bad rows decide it below."""
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
        return replace(draft, gates=(), no_gate="the rows are too few to score a baseline on")
    sign = metric.sign
    values, constants = np.array([one.value for one in scores]), np.array([one.constant for one in scores])
    baseline, constant = float(values.mean()), float(constants.mean())
    gain, error = sign * (baseline - constant), float(np.mean([one.error for one in scores]))
    test_error = error * math.sqrt(np.mean([one.rows for one in scores]) / max(test_rows, 1))
    noise = math.hypot(error / math.sqrt(len(scores)), test_error)
    said = f"a quick baseline has {', '.join(f'{value:.4g}' for value in values)} on held-out rows"
    said += f", a constant model {constant:.4g}"
    if gain <= 0:
        return replace(draft, gates=(), no_gate=f"{said}: it has learned nothing that holds for other rows")
    limit = MAX_MARGIN * gain
    if limit <= MIN_POINT * noise:
        return replace(draft, gates=(), no_gate=f"{said}; the difference is within the noise of so few rows")
    later = draft.split.by in ("time", "column")
    least = max((MIN_MARGIN_LATER if later else MIN_MARGIN) * gain, sign * baseline - (sign * values).min())
    op, margin = (">=" if sign > 0 else "<="), max(MARGIN * noise + Z * test_error, least)
    judged = "point " if margin > limit or test_rows < MIN_INTERVAL_ROWS else ""
    if margin > limit:
        said += "; the interval is wide, so the value itself is judged"
        margin = min(max(MARGIN * noise, least), limit)
    elif judged:
        said += f"; {test_rows:,} test rows are too few for an interval, so the value itself is judged"
    text = f"{judged}{metric.name} {op} {_rounded(baseline - sign * margin, sign)}"
    tolerance = f"{'-' if sign > 0 else '+'} {_rounded(max(test_error * Z, abs(baseline) * 0.005), -1)}"
    champion = Reasoned(
        value=f"{metric.name} {op} champion {tolerance}",
        why="not worse than the model in use; passes while there is none",
    )
    return replace(draft, gates=(Reasoned(value=text, why=said), champion))


def _rounded(value: float, sign: float) -> str:
    """The number with few digits, rounded to the side that is easier to reach: down for sign 1, up for -1.

    >>> _rounded(0.87654, 1), _rounded(46_123.4, -1)
    ('0.876', '46200')
    """
    if value == 0:
        return "0"
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(abs(value))))
    rounded = (math.floor if sign > 0 else math.ceil)(value * scale) / scale
    return f"{rounded:.10g}"
