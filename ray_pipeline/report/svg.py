"""Small hand-written SVG: a plot with axes, and an interval on a line.

Written by hand because the page's own style then colours it, light and dark, on screen and on paper; because it is a
tenth of the
size of a library's; and because the same numbers give the same bytes. Only classes, never inline styles: the page's
policy forbids those.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from ray_pipeline.report.format import visible

Range = tuple[float, float]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers inside [low, high], about as many as asked."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low] if math.isfinite(low) else []
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Iterable[float], by: float = 0.06) -> Range:
    """The range of the finite values with a margin; (0, 1) where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = (high - low) * by
    return opened((low - margin, high + margin))


def opened(within: Range) -> Range:
    """The range, widened where its ends are (nearly) one number: an axis needs a length."""
    low, high = within
    size = max(abs(low), abs(high))
    return within if high - low > 1e-9 * size else (low - (0.1 * size or 0.5), high + (0.1 * size or 0.5))


def tick_label(value: float) -> str:
    """`0.25`, `1,500`, `2e+06`."""
    text = f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


class Plot:
    """A picture with two linear axes; drawing calls add marks in data units, `svg` returns the whole."""

    def __init__(
        self,
        x: Range,
        y: Range,
        *,
        across: str,
        up: str,
        width: int = 400,
        height: int = 270,
        legend: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.x, self.y, self.width, self.height = opened(x), opened(y), width, height
        self.left, self.right, self.top, self.bottom = 52, width - 10, 24 if legend else 10, height - 40
        self.marks: list[str] = []
        self._axes(across, up)
        place = self.left + 2
        for kind, words in legend:
            self.marks.append(
                f'<circle class="{kind}" cx="{place + 4}" cy="10" r="3.5"/>{_text(place + 12, 14, words, "start")}'
            )
            place += 24 + round(6.4 * len(words))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Data units to pixels."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)

    def line(self, xs: Iterable[float], ys: Iterable[float], kind: str, *, close: bool = False) -> None:
        """A line through the points that are finite."""
        points = [self.at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        if points:
            path = "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
            self.marks.append(f'<path class="{kind}" d="M{path}{"Z" if close else ""}"/>')

    def dot(self, x: float, y: float, kind: str, title: str = "", r: float = 3.5) -> None:
        """A dot, with words that appear when it is pointed at."""
        if math.isfinite(x) and math.isfinite(y):
            across, up = self.at(x, y)
            told = f"<title>{_shown(title)}</title>" if title else ""
            self.marks.append(f'<circle class="{kind}" cx="{_px(across)}" cy="{_px(up)}" r="{r}">{told}</circle>')

    def bar(self, x: Range, y: Range, kind: str, title: str = "") -> None:
        """A filled rectangle between two corners."""
        (left, bottom), (right, top) = self.at(x[0], y[0]), self.at(x[1], y[1])
        told = f"<title>{_shown(title)}</title>" if title else ""
        self.marks.append(
            f'<path class="{kind}" d="M{_px(left)} {_px(bottom)}H{_px(right)}V{_px(top)}H{_px(left)}Z">{told}</path>'
        )

    def cells(self, corners: Iterable[tuple[float, float]], size: tuple[float, float], kind: str) -> None:
        """Many equal rectangles of one kind as one path; corners are their lower left ones."""
        wide, tall = (
            self.at(self.x[0] + size[0], self.y[0])[0] - self.left,
            self.bottom - self.at(self.x[0], self.y[0] + size[1])[1],
        )
        path = "".join(
            f"M{_px(x)} {_px(y)}h{_px(wide)}v{_px(-tall)}h{_px(-wide)}z"
            for x, y in (self.at(*corner) for corner in corners)
        )
        if path:
            self.marks.append(f'<path class="{kind}" d="{path}"/>')

    def words(self, x: float, y: float, text: str, kind: str = "words", anchor: str = "start") -> None:
        """Words at a place in data units."""
        across, up = self.at(x, y)
        self.marks.append(_text(across, up, text, anchor, kind))

    def svg(self, title: str) -> Markup:
        """The picture as markup, with a title for those who cannot see it."""
        return Markup(
            f'<svg class="plot" viewBox="0 0 {self.width} {self.height}" role="img"'
            f' aria-label="{_shown(title)}">{"".join(self.marks)}</svg>'
        )

    def _axes(self, across: str, up: str) -> None:
        for value in ticks(*self.x):
            place = self.at(value, self.y[0])[0]
            self.marks.append(
                f'<path class="grid" d="M{_px(place)}'
                f' {self.top}V{self.bottom}"/>{_text(place, self.bottom + 15, tick_label(value), "middle")}'
            )
        for value in ticks(*self.y, about=4):
            place = self.at(self.x[0], value)[1]
            self.marks.append(
                f'<path class="grid" d="M{self.left}'
                f' {_px(place)}H{self.right}"/>{_text(self.left - 6, place + 4, tick_label(value), "end")}'
            )
        self.marks.append(_text((self.left + self.right) / 2, self.height - 7, across, "middle", "axis"))
        middle = (self.top + self.bottom) / 2
        self.marks.append(
            f'<text class="axis" text-anchor="middle" transform="translate(12 {_px(middle)})'
            f' rotate(-90)">{_shown(up)}</text>'
        )


def whisker(
    value: float,
    low: float,
    high: float,
    within: Range,
    *,
    mark: float = math.nan,
    kind: str = "",
    passing: Range | None = None,
) -> Markup:
    """An interval as a line with a dot, on its own little axis; `mark` is a value to compare with, `passing` a range to
    shade."""
    width, height, edge = 160, 18, 5

    def place(x: float) -> str:
        share = (min(max(x, within[0]), within[1]) - within[0]) / (within[1] - within[0])
        return _px(edge + share * (width - 2 * edge))

    marks = []
    if passing is not None:
        marks.append(
            f'<path class="zone" d="M{place(passing[0])} 3H{place(passing[1])}V{height - 3}H{place(passing[0])}Z"/>'
        )
    marks.append(f'<path class="track" d="M{edge} 9H{width - edge}"/>')
    if math.isfinite(mark):
        marks.append(f'<path class="mark" d="M{place(mark)} 2V{height - 2}"/>')
    if math.isfinite(low) and math.isfinite(high):
        marks.append(f'<path class="span {kind}" d="M{place(low)} 9H{place(high)}"/>')
    if math.isfinite(value):
        marks.append(f'<circle class="point {kind}" cx="{place(value)}" cy="9" r="3"/>')
    return Markup(f'<svg class="whisker" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(marks)}</svg>')


def length(share: float) -> Markup:
    """A bar as long as its share of the longest."""
    bar = f'<path d="M0 0H{_px(max(share, 0) * 220)}V8H0Z"/>'
    return Markup(f'<svg class="length" viewBox="0 0 220 8" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>')


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}">{_shown(words)}</text>'


def _shown(words: str) -> Markup:
    return escape(visible(words))


def _px(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
