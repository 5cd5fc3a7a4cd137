"""How numbers and foreign text look on the page. Text from data is shown, never obeyed: escaping is the template's, the
rest is here."""

import math
import re
from collections.abc import Iterable

from markupsafe import Markup

PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@\s/]+(?=@)")


def figure(value: float) -> str:
    """A measured number with the digits that a reader can use; `–` where it is undefined."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if value and size < 1e-4:
        text = f"{value:.1e}"
    elif size < 10:
        text = f"{value:.4f}"
    elif size < 1000:
        text = f"{value:.2f}"
    else:
        text = f"{value:,.0f}"
    return text.replace("-", "−", 1) if value < 0 else text


def interval(low: float, high: float) -> str:
    """`[0.6851, 0.7012]`, or `–` where either end is undefined."""
    return f"[{figure(low)}, {figure(high)}]" if math.isfinite(low) and math.isfinite(high) else "–"


def count(value: float) -> str:
    """A number of rows with thousands separated."""
    return f"{round(value):,}" if math.isfinite(value) else "–"


def share(part: float, whole: float) -> str:
    """`12.3 %`; a share that is not zero never reads as zero."""
    if not whole or not math.isfinite(part / whole):
        return "–"
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def clock(seconds: float) -> str:
    """`0.4 s`, `41 s`, `3 min 05 s`, `2 h 10 min`, `3.5 days`."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min" if whole < 172_800 else f"{seconds / 86_400:.1f} days"


def size(num_bytes: float) -> str:
    """`8.1 MB`, in powers of ten."""
    if not math.isfinite(num_bytes):
        return "–"
    power = min(int(math.log10(max(abs(num_bytes), 1)) // 3), 4)
    return f"{num_bytes / 1000**power:.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def visible(value: object) -> object:
    """Foreign text with what cannot be seen written out (`⟨U+202E⟩`) and passwords in URIs blotted; other values as
    they are."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = PASSWORD.sub(r"\1•••", value)
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() or c in "\n\t" else f"⟨U+{ord(c):04X}⟩" for c in text)
    )


def brief(value: object, most: int = 160) -> str:
    """Text cut to a length that a table can bear."""
    text = str(visible(str(value)))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def crossed(values: Iterable[object]) -> str:
    """The name of a slice or of its value: `JFK × UA`."""
    return " × ".join(brief(value, 60) for value in values)
