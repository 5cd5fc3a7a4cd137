"""Small hand-written SVG: a plot with two axes, an error bar, and a bar.

By hand, because the page's own style then colours it in light and dark, it has a tenth of a library's size, and the
same numbers give the same bytes. It has classes and no inline styles, which the page's policy forbids.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from ray_pipeline.report.format import printable
from ray_pipeline.report.run_files import Estimate

Range = tuple[float, float]
WIDTH, HEIGHT = 400, 270  # of a plot, in pixels
LETTER, TITLE = 6.6, 18  # of a label at a tick, and of the upright text of an axis


def ticks(low: float, high: float, about: int = 5, *, whole: bool = False) -> list[float]:
    """Return about as many round numbers in [low, high] as asked for, or as many whole ones as there are.

    >>> ticks(0.0, 1.0), ticks(-0.5, 1.5, whole=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 1.0])
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low] if math.isfinite(low) else []
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)
    step = float(math.ceil(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def padded_range(values: Iterable[float], margin: float = 0.06) -> Range:
    """Return the range of the finite values with a margin, a share of its length; (0, 1) if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    pad = (high - low) * margin
    return widened((low - pad, high + pad))


def widened(axis: Range) -> Range:
    """Return the range, wider if its ends are (nearly) one number: an axis needs a length."""
    low, high = axis
    size = max(abs(low), abs(high))
    return axis if high - low > 1e-9 * size else (low - (0.1 * size or 0.5), high + (0.1 * size or 0.5))


def tick_label(value: float) -> str:
    """Return the text at a tick.

    >>> tick_label(0.25), tick_label(-1500), tick_label(2e6)
    ('0.25', '−1,500', '2e+06')
    """
    text = f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


class Plot:
    """A plot with two linear axes. Its methods add marks in data units; `svg` returns the whole.

    Parameters
    ----------
    x, y
        The ranges of the axes.
    x_label, y_label
        The texts of the axes.
    legend
        Pairs of a CSS class and a text.
    counts
        The axes that count: `x`, `y` or `xy`. Their ticks are whole numbers.
    """

    def __init__(
        self,
        x: Range,
        y: Range,
        *,
        x_label: str,
        y_label: str,
        legend: Sequence[tuple[str, str]] = (),
        counts: str = "",
    ) -> None:
        self.x, self.y = widened(x), widened(y)
        upright = ticks(*self.y, about=4, whole="y" in counts)
        widest = max((len(tick_label(value)) for value in upright), default=0)
        self.left = max(52, TITLE + math.ceil(LETTER * widest) + 6)
        self.right, self.top, self.bottom = WIDTH - 10, 24 if legend else 10, HEIGHT - 40
        self.marks: list[str] = []
        for value in ticks(*self.x, whole="x" in counts):
            place = self.at(value, self.y[0])[0]
            grid = f'<path class="grid" d="M{_px(place)} {self.top}V{self.bottom}"/>'
            self.marks.append(grid + _text(place, self.bottom + 15, tick_label(value), "middle"))
        for value in upright:
            place = self.at(self.x[0], value)[1]
            grid = f'<path class="grid" d="M{self.left} {_px(place)}H{self.right}"/>'
            self.marks.append(grid + _text(self.left - 6, place + 4, tick_label(value), "end"))
        self.marks.append(_text((self.left + self.right) / 2, HEIGHT - 7, x_label, "middle", "axis"))
        middle = (self.top + self.bottom) / 2
        self.marks.append(
            f'<text class="axis" text-anchor="middle" transform="translate(12 {_px(middle)})'
            f' rotate(-90)">{_escaped(y_label)}</text>'
        )
        place = self.left + 2
        for css, text in legend:
            self.marks.append(
                f'<circle class="{css}" cx="{place + 4}" cy="10" r="3.5"/>{_text(place + 12, 14, text, "start")}'
            )
            place += 24 + round(6.4 * len(text))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel at a point in data units."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)

    def line(self, xs: Iterable[float], ys: Iterable[float], css: str, *, close: bool = False) -> None:
        """Draw a line through the points that are finite."""
        points = [self.at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        if points:
            path = "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
            self.marks.append(f'<path class="{css}" d="M{path}{"Z" if close else ""}"/>')

    def dot(self, x: float, y: float, css: str, title: str = "", r: float = 3.5) -> None:
        """Draw a dot with a tooltip."""
        if math.isfinite(x) and math.isfinite(y):
            across, up = self.at(x, y)
            self.marks.append(
                f'<circle class="{css}" cx="{_px(across)}" cy="{_px(up)}" r="{r}">{_tooltip(title)}</circle>'
            )

    def bar(self, x: Range, y: Range, css: str, title: str = "") -> None:
        """Draw a filled rectangle with a tooltip."""
        (left, bottom), (right, top) = self.at(x[0], y[0]), self.at(x[1], y[1])
        path = f"M{_px(left)} {_px(bottom)}H{_px(right)}V{_px(top)}H{_px(left)}Z"
        self.marks.append(f'<path class="{css}" d="{path}">{_tooltip(title)}</path>')

    def cells(self, corners: Iterable[tuple[float, float]], size: tuple[float, float], css: str) -> None:
        """Draw many equal rectangles as one path, each from its lower left corner."""
        wide, tall = (
            self.at(self.x[0] + size[0], self.y[0])[0] - self.left,
            self.bottom - self.at(self.x[0], self.y[0] + size[1])[1],
        )
        path = "".join(
            f"M{_px(x)} {_px(y)}h{_px(wide)}v{_px(-tall)}h{_px(-wide)}z"
            for x, y in (self.at(*corner) for corner in corners)
        )
        if path:
            self.marks.append(f'<path class="{css}" d="{path}"/>')

    def text(self, x: float, y: float, text: str, css: str = "words", anchor: str = "start") -> None:
        """Write a text at a point in data units."""
        across, up = self.at(x, y)
        self.marks.append(_text(across, up, text, anchor, css))

    def svg(self, title: str) -> Markup:
        """Return the plot as markup, with a title for people who cannot see it."""
        return Markup(
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' aria-label="{_escaped(title)}">{"".join(self.marks)}</svg>'
        )


def error_bar(
    estimate: Estimate, axis: Range, *, reference: float = math.nan, css: str = "", passing: Range | None = None
) -> Markup:
    """Return an interval as a line with a dot at the value, on a small axis of its own.

    Parameters
    ----------
    reference
        A value to compare with, drawn as an upright line.
    passing
        A range to shade.
    """
    width, height, edge = 160, 18, 5
    value, low, high = estimate

    def place(x: float) -> str:
        share = (min(max(x, axis[0]), axis[1]) - axis[0]) / (axis[1] - axis[0])
        return _px(edge + share * (width - 2 * edge))

    marks = []
    if passing is not None:
        marks.append(
            f'<path class="zone" d="M{place(passing[0])} 3H{place(passing[1])}V{height - 3}H{place(passing[0])}Z"/>'
        )
    marks.append(f'<path class="track" d="M{edge} 9H{width - edge}"/>')
    if math.isfinite(reference):
        marks.append(f'<path class="mark" d="M{place(reference)} 2V{height - 2}"/>')
    if math.isfinite(low) and math.isfinite(high):
        marks.append(f'<path class="span {css}" d="M{place(low)} 9H{place(high)}"/>')
    if math.isfinite(value):
        marks.append(f'<circle class="point {css}" cx="{place(value)}" cy="9" r="3"/>')
    return Markup(f'<svg class="whisker" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(marks)}</svg>')


def share_bar(share: float) -> Markup:
    """Return a horizontal bar; a share of 1 fills it."""
    bar = f'<path d="M0 0H{_px(max(share, 0) * 220)}V8H0Z"/>'
    return Markup(f'<svg class="length" viewBox="0 0 220 8" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>')


def _text(x: float, y: float, text: str, anchor: str, css: str = "tick") -> str:
    return f'<text class="{css}" x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}">{_escaped(text)}</text>'


def _tooltip(title: str) -> str:
    return f"<title>{_escaped(title)}</title>" if title else ""


def _escaped(text: str) -> Markup:
    return escape(printable(text))


def _px(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
