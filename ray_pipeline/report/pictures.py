"""The pictures of the page: numbers in, SVG out."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ray_pipeline.report import curves
from ray_pipeline.report.format import brief, count, figure, share
from ray_pipeline.report.predictions import Scored
from ray_pipeline.report.run_files import Row, number, rows_of
from ray_pipeline.report.svg import Plot, Range, padded

UNIT: Range = (-0.02, 1.02)
DENSITIES = 5


def trials(rows: Sequence[Row], metric: str, better: str, families: Sequence[str]) -> Markup | None:
    """Every trial's metric in the order of the trials, and the best so far as a line."""
    values = [number(row.get("metric")) for row in rows]
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    # A trial or two that went astray must not flatten all the others: what lies far outside the middle is drawn at the
    # edge.
    low, high = np.quantile(finite, [0.25, 0.75])
    reach = 6 * (high - low) or (finite[-1] - finite[0]) or 1.0
    span = padded([value for value in finite if low - reach <= value <= high + reach])
    first = min((number(row.get("trial")) for row in rows), default=0)
    last = max((number(row.get("trial")) for row in rows), default=1)
    legend = [(f"family{i % 4}", family) for i, family in enumerate(families)] if len(families) > 1 else []
    plot = Plot((first - 1, last + 1), span, across="trial", up=f"{metric} on validation", legend=legend)
    best, path = math.nan, []
    for row, value in zip(rows, values, strict=True):
        if (
            row.get("status") == "completed"
            and math.isfinite(value)
            and not (value <= best if better == "higher" else value >= best)
        ):
            best = value
        path.append((number(row.get("trial")), best))
    steps = [
        point for (x, y), (after, _) in zip(path, [*path[1:], (last, 0)], strict=True) for point in ((x, y), (after, y))
    ]
    plot.line([x for x, _ in steps], [min(max(y, span[0]), span[1]) for _, y in steps], "best")
    for row, value in zip(rows, values, strict=True):
        kind = (
            f"family{families.index(str(row.get('family'))) % 4}" if str(row.get("family")) in families else "family0"
        )
        title = f"trial {row.get('trial')}: {figure(value)}, {brief(row.get('status'), 20)}"
        if math.isfinite(value):
            plot.dot(
                number(row.get("trial")),
                min(max(value, span[0]), span[1]),
                kind if row.get("status") == "completed" else f"{kind} stopped",
                title,
            )
        else:
            plot.words(number(row.get("trial")), span[0], "×", "failed", "middle")
    return plot.svg(f"{len(rows)} trials, best {metric} {figure(best)}")


def rungs(rows: Sequence[Row], metric: str, winner: object) -> Markup | None:
    """The metric of each trial as it trained, rung by rung; the winner stands out."""
    paths = [
        (
            row,
            [
                (number(rung[0]), number(rung[1]))
                for rung in rows_of(row.get("rungs"))
                if isinstance(rung, list) and len(rung) >= 2
            ],
        )
        for row in rows
    ]
    points = [point for _, path in paths for point in path if math.isfinite(point[1])]
    if len({round_ for round_, _ in points}) < 2:
        return None
    low, high = (
        np.quantile([value for _, value in points], [0.02, 1.0])
        if len(points) > 20
        else (min(v for _, v in points), max(v for _, v in points))
    )
    plot = Plot(
        (0, max(r for r, _ in points) * 1.03), padded([low, high]), across="rounds", up=f"{metric} on validation"
    )
    for row, path in sorted(paths, key=lambda pair: pair[0].get("trial") == winner):
        won = row.get("trial") == winner
        inside = [(r, v if low <= v <= high else math.nan) for r, v in path]
        plot.line([r for r, _ in inside], [v for _, v in inside], "learning winner" if won else "learning")
        if path and math.isfinite(inside[-1][1]):
            words = f"trial {row.get('trial')}: {figure(path[-1][1])} after {path[-1][0]:g} rounds"
            plot.dot(*inside[-1], "family0" if won else "ending", words, r=3.5 if won else 2)
    return plot.svg(f"{metric} by rounds of training, one line for each trial")


def roc(scored: Scored, value: str) -> Markup | None:
    """True against false positive rate; the dot is the threshold in use."""
    across, up = curves.roc(scored.label, scored.score, scored.weight)
    if not len(across):
        return None
    plot = Plot(UNIT, UNIT, across="false positive rate", up="true positive rate")
    plot.line([0, 1], [0, 1], "chance")
    plot.line([*across, 1], [*up, 0], "under", close=True)
    plot.line(across, up, "curve")
    if scored.decision is not None:
        cells = curves.confusion(scored.label.astype(np.int64), scored.decision, scored.weight, 2)
        plot.dot(cells[0, 1] / cells[0].sum(), cells[1, 1] / cells[1].sum(), "here", "at the threshold", r=4.5)
    if value:
        plot.words(0.98, 0.06, value, "note", "end")
    return plot.svg(f"ROC curve; {value}")


def precision_recall(scored: Scored, value: str) -> Markup | None:
    """Precision against recall; the dashed line is the share of positives, the dot the threshold in use."""
    recall, precision = curves.precision_recall(scored.label, scored.score, scored.weight)
    if not len(recall):
        return None
    base = float(scored.weight @ scored.label / scored.weight.sum())
    plot = Plot(UNIT, UNIT, across="recall", up="precision")
    plot.line([0, 1], [base, base], "chance")
    plot.line(recall, precision, "curve")
    if scored.decision is not None:
        cells = curves.confusion(scored.label.astype(np.int64), scored.decision, scored.weight, 2)
        if cells[:, 1].sum() > 0:
            plot.dot(cells[1, 1] / cells[1].sum(), cells[1, 1] / cells[:, 1].sum(), "here", "at the threshold", r=4.5)
    plot.words(0.98, 0.94, value, "note", "end")
    plot.words(0.02, base - 0.06 if base > 0.1 else base + 0.02, f"share of positives {base:.3f}")
    return plot.svg(f"precision-recall curve; {value}")


def reliability(scored: Scored, value: str) -> Markup | None:
    """Observed rate against mean score in tenths of the rows, over a histogram of the scores."""
    bins = curves.reliability(scored.label, scored.score, scored.weight)
    if not bins or not (scored.score.min() >= 0 and scored.score.max() <= 1):
        return None
    # Rare positives have low scores: the axes reach only as far as the bins and nearly all of the scores do.
    top = min(1.0, 1.08 * max(float(np.quantile(scored.score, 0.999)), max(b.high for b in bins)))
    reach = (-0.02 * top, 1.02 * top)
    plot = Plot(reach, reach, across="score", up="observed rate")
    heights, edges = np.histogram(scored.score, bins=40, range=(0, top))
    for height, left, right in zip(heights / heights.max() * 0.16, edges, edges[1:], strict=False):
        if height:
            plot.bar((left, right), (0, height * top), "histogram")
    plot.line([0, top], [0, top], "chance")
    plot.line([b.score for b in bins], [b.rate for b in bins], "curve thin")
    for b in bins:
        plot.line([b.score, b.score], [b.low, b.high], "error")
        plot.dot(b.score, b.rate, "family0", f"score {b.score:.3f}: {b.rate:.3f} of {count(b.rows)} rows")
    if value:
        plot.words(0.02 * top, 0.94 * top, value, "note")
    return plot.svg(f"reliability curve in {len(bins)} bins of equally many rows; {value}")


def predicted(scored: Scored) -> Markup | None:
    """Actual value against prediction, as a density; what lies beyond the outer half per cent is drawn at the edge."""
    both = np.concatenate([scored.label, scored.score])
    both = both[np.isfinite(both)]
    low, high = (float(q) for q in np.quantile(both, [0.005, 0.995]))
    if not len(both) or not low < high:
        return None
    cells = 36
    grid = curves.density(scored.score, scored.label, low, high, cells)
    size = (high - low) / cells
    plot = Plot((low, high), (low, high), across="predicted", up="actual")
    depth = np.ceil(DENSITIES * np.sqrt(grid / grid.max())).astype(int)
    for level in range(1, DENSITIES + 1):
        plot.cells(
            [(low + i * size, low + j * size) for i, j in zip(*np.nonzero(depth == level), strict=True)],
            (size, size),
            f"density{level}",
        )
    plot.line([low, high], [low, high], "chance")
    return plot.svg("actual values against predictions")


def residuals(scored: Scored) -> Markup | None:
    """How often each residual (actual less predicted) occurs; the outer half per cent is drawn at the edge."""
    residual = scored.label - scored.score
    residual = residual[np.isfinite(residual)]
    low, high = (float(q) for q in np.quantile(residual, [0.005, 0.995])) if len(residual) else (0.0, 0.0)
    if not low < high:
        return None
    heights, edges = np.histogram(np.clip(residual, low, high), bins=48)
    plot = Plot(padded([low, high], 0.02), (0, float(heights.max()) * 1.06), across="actual less predicted", up="rows")
    for height, left, right in zip(heights, edges, edges[1:], strict=False):
        if height:
            plot.bar(
                (left, right),
                (0, float(height)),
                "histogram strong",
                f"{figure(left)} to {figure(right)}: {count(height)} rows",
            )
    plot.line([0, 0], [0, float(heights.max())], "chance")
    return plot.svg("distribution of the residuals")


def parts(rows: Sequence[tuple[str, float]]) -> Markup:
    """The parts as one bar, each as long as its share of the rows."""
    total, width, left, marks = sum(n for _, n in rows), 720.0, 0.0, []
    for name, n in rows:
        wide = width * n / total
        label = f"{name} {share(n, total)}"
        fits = next((words for words in (label, name) if wide > 7.5 * len(words)), "")
        text = f'<text class="inbar" x="{left + wide / 2:.1f}" y="18" text-anchor="middle">{fits}</text>'
        marks.append(
            f'<path class="part {name}" d="M{left:.1f}'
            f' 0h{max(wide - 2, 0.5):.1f}v28h-{max(wide - 2, 0.5):.1f}z"><title>{label}</title></path>{text}'
        )
        left += wide
    return Markup(
        f'<svg class="parts" viewBox="0 0 {width:.0f} 28" role="img" aria-label="rows of each'
        f' part">{"".join(marks)}</svg>'
    )
