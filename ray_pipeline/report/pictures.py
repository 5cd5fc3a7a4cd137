"""The pictures of the page: numbers in, SVG out; None if there is nothing to draw."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ray_pipeline.report import curves
from ray_pipeline.report.format import format_count, format_number, format_share, shorten
from ray_pipeline.report.predictions import StoredPredictions
from ray_pipeline.report.run_files import JsonObject, list_of, number
from ray_pipeline.report.svg import Plot, Range, padded_range
from ray_pipeline.values import Vector

UNIT: Range = (-0.02, 1.02)
NUM_SHADES = 5
NUM_CELLS = 36


def trials(rows: Sequence[JsonObject], metric: str, better: str, families: Sequence[str]) -> Markup | None:
    """Draw the metric of each trial, in the order of the trials, and the best so far as a line."""
    values = [number(row.get("metric")) for row in rows]
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    # One or two trials that failed badly must not flatten all the others: they are drawn at the edge.
    low, high = np.quantile(finite, [0.25, 0.75])
    reach = 6 * (high - low) or (finite[-1] - finite[0]) or 1.0
    axis = padded_range([value for value in finite if low - reach <= value <= high + reach])
    places = [number(row.get("trial")) for row in rows]
    last = max(places)
    legend = [(f"family{i % 4}", family) for i, family in enumerate(families)] if len(families) > 1 else []
    span, y_label = (min(places) - 0.5, last + 0.5), f"{metric} on validation"
    plot = Plot(span, axis, x_label="trial", y_label=y_label, legend=legend, counts="x")
    best, steps = math.nan, []
    for row, value, place, following in zip(rows, values, places, [*places[1:], last], strict=True):
        is_better = not (value <= best if better == "higher" else value >= best)
        if row.get("status") == "completed" and math.isfinite(value) and is_better:
            best = value
        steps += [(place, best), (following, best)]
    plot.line([x for x, _ in steps], [min(max(y, axis[0]), axis[1]) for _, y in steps], "best")
    for row, value, place in zip(rows, values, places, strict=True):
        family = str(row.get("family"))
        css = f"family{families.index(family) % 4}" if family in families else "family0"
        title = f"trial {row.get('trial')}: {format_number(value)}, {shorten(row.get('status'), 20)}"
        if math.isfinite(value):
            stopped = "" if row.get("status") == "completed" else " stopped"
            plot.dot(place, min(max(value, axis[0]), axis[1]), css + stopped, title)
        else:
            plot.text(place, axis[0], "×", "failed", "middle")
    return plot.svg(f"{len(rows)} trials, best {metric} {format_number(best)}")


def rungs(rows: Sequence[JsonObject], metric: str, winner: object) -> Markup | None:
    """Draw the metric of each trial while it trained, one line for each trial; the winner stands out."""
    paths = [
        (row, [(number(rung[0]), number(rung[1])) for rung in list_of(row.get("rungs")) if len(list_of(rung)) >= 2])
        for row in rows
    ]
    points = [point for _, path in paths for point in path if math.isfinite(point[1])]
    if len({rounds for rounds, _ in points}) < 2:
        return None
    values = [value for _, value in points]
    low, high = np.quantile(values, [0.02, 1.0]) if len(points) > 20 else (min(values), max(values))
    last = max(rounds for rounds, _ in points)
    y_label = f"{metric} on validation"
    plot = Plot((0, last * 1.03), padded_range([low, high]), x_label="rounds", y_label=y_label, counts="x")
    for row, path in sorted(paths, key=lambda pair: pair[0].get("trial") == winner):
        won = row.get("trial") == winner
        inside = [(rounds, value if low <= value <= high else math.nan) for rounds, value in path]
        plot.line([x for x, _ in inside], [y for _, y in inside], "learning winner" if won else "learning")
        if path and math.isfinite(inside[-1][1]):
            title = f"trial {row.get('trial')}: {format_number(path[-1][1])} after {path[-1][0]:g} rounds"
            plot.dot(*inside[-1], "family0" if won else "ending", title, r=3.5 if won else 2)
    return plot.svg(f"{metric} by rounds of training, one line for each trial")


def roc(predictions: StoredPredictions, note: str) -> Markup | None:
    """Draw the true against the false positive rate; the dot is the threshold in use."""
    across, up = curves.roc(predictions.label, predictions.score, predictions.weight)
    if not len(across):
        return None
    plot = Plot(UNIT, UNIT, x_label="false positive rate", y_label="true positive rate")
    plot.line([0, 1], [0, 1], "chance")
    plot.line([*across, 1], [*up, 0], "under", close=True)
    plot.line(across, up, "curve")
    if predictions.decision is not None:
        cells = curves.confusion(predictions.label.astype(np.int64), predictions.decision, predictions.weight, 2)
        plot.dot(cells[0, 1] / cells[0].sum(), cells[1, 1] / cells[1].sum(), "here", "at the threshold", r=4.5)
    if note:
        plot.text(0.98, 0.06, note, "note", "end")
    return plot.svg(f"ROC curve; {note}")


def precision_recall(predictions: StoredPredictions, note: str) -> Markup | None:
    """Draw precision against recall; the dashed line is the share of positives, the dot the threshold in use."""
    recall, precision = curves.precision_recall(predictions.label, predictions.score, predictions.weight)
    if not len(recall):
        return None
    base = float(predictions.weight @ predictions.label / predictions.weight.sum())
    plot = Plot(UNIT, UNIT, x_label="recall", y_label="precision")
    plot.line([0, 1], [base, base], "chance")
    plot.line(recall, precision, "curve")
    if predictions.decision is not None:
        cells = curves.confusion(predictions.label.astype(np.int64), predictions.decision, predictions.weight, 2)
        if cells[:, 1].sum() > 0:
            plot.dot(cells[1, 1] / cells[1].sum(), cells[1, 1] / cells[:, 1].sum(), "here", "at the threshold", r=4.5)
    plot.text(0.98, 0.06 if base > 0.2 else 0.94, note, "note", "end")
    plot.text(0.02, base - 0.06 if base > 0.1 else base + 0.02, f"share of positives {base:.3f}")
    return plot.svg(f"precision-recall curve; {note}")


def reliability(predictions: StoredPredictions, note: str) -> Markup | None:
    """Draw the observed rate against the mean score in bins of equally many rows, over a histogram of the scores."""
    bins = curves.reliability(predictions.label, predictions.score, predictions.weight)
    if not bins or not (predictions.score.min() >= 0 and predictions.score.max() <= 1):
        return None
    # Rare positives have low scores: the axes reach only as far as the bins and nearly all of the scores do.
    top = min(1.0, 1.08 * max(float(np.quantile(predictions.score, 0.999)), max(b.high for b in bins)))
    axis = (-0.02 * top, 1.02 * top)
    plot = Plot(axis, axis, x_label="score", y_label="observed rate")
    heights, edges = np.histogram(predictions.score, bins=40, range=(0, top))
    for height, left, right in zip(heights / heights.max() * 0.16, edges, edges[1:], strict=False):
        if height:
            plot.bar((left, right), (0, height * top), "histogram")
    plot.line([0, top], [0, top], "chance")
    plot.line([b.score for b in bins], [b.rate for b in bins], "curve thin")
    for b in bins:
        plot.line([b.score, b.score], [b.low, b.high], "error")
        plot.dot(b.score, b.rate, "family0", f"score {b.score:.3f}: {b.rate:.3f} of {format_count(b.rows)} rows")
    if note:
        plot.text(0.02 * top, 0.94 * top, note, "note")
    return plot.svg(f"reliability curve in {len(bins)} bins of equally many rows; {note}")


def actual_by_predicted(predictions: StoredPredictions) -> Markup | None:
    """Draw the actual values against the predictions as a density; the outer half per cent is drawn at the edge."""
    axis = _middle(np.concatenate([predictions.label, predictions.score]))
    if axis is None:
        return None
    low, high = axis
    rows = curves.density(predictions.score, predictions.label, low, high, NUM_CELLS)
    size = (high - low) / NUM_CELLS
    plot = Plot(axis, axis, x_label="predicted", y_label="actual")
    shades = np.ceil(NUM_SHADES * np.sqrt(rows / rows.max())).astype(int)
    for shade in range(1, NUM_SHADES + 1):
        places = zip(*np.nonzero(shades == shade), strict=True)
        plot.cells([(low + i * size, low + j * size) for i, j in places], (size, size), f"density{shade}")
    plot.line([low, high], [low, high], "chance")
    return plot.svg("actual values against predictions")


def residuals(predictions: StoredPredictions) -> Markup | None:
    """Draw a histogram of the residuals, actual less predicted; the outer half per cent is drawn at the edge."""
    with np.errstate(invalid="ignore"):  # of infinite values
        residual = predictions.label - predictions.score
    axis = _middle(residual)
    if axis is None:
        return None
    heights, edges = np.histogram(np.clip(residual[np.isfinite(residual)], *axis), bins=48)
    top = float(heights.max())
    span = padded_range(axis, 0.02)
    plot = Plot(span, (0, top * 1.06), x_label="actual less predicted", y_label="rows", counts="y")
    for height, left, right in zip(heights, edges, edges[1:], strict=False):
        if height:
            title = f"{format_number(left)} to {format_number(right)}: {format_count(int(height))} rows"
            plot.bar((left, right), (0, float(height)), "histogram strong", title)
    plot.line([0, 0], [0, top], "chance")
    return plot.svg("distribution of the residuals")


def parts(rows: Sequence[tuple[str, float]]) -> Markup:
    """Draw the parts as one bar; each is as long as its share of the rows."""
    total, width, left, marks = sum(n for _, n in rows), 720.0, 0.0, []
    for name, n in rows:
        wide = width * n / total
        label = f"{name} {format_share(n, total)}"
        text = next((text for text in (label, name) if wide > 7.5 * len(text)), "")
        marks.append(
            f'<path class="part {name}" d="M{left:.1f} 0h{max(wide - 2, 0.5):.1f}v28h-{max(wide - 2, 0.5):.1f}z">'
            f"<title>{label}</title></path>"
            f'<text class="inbar" x="{left + wide / 2:.1f}" y="18" text-anchor="middle">{text}</text>'
        )
        left += wide
    return Markup(
        f'<svg class="parts" viewBox="0 0 {width:.0f} 28" role="img" aria-label="rows of each part">'
        f"{''.join(marks)}</svg>"
    )


def _middle(values: Vector) -> Range | None:
    """The range of the finite values without the outer half per cent on each side; None if it has no length."""
    finite = values[np.isfinite(values)]
    low, high = (float(q) for q in np.quantile(finite, [0.005, 0.995])) if len(finite) else (0.0, 0.0)
    return (low, high) if low < high else None
