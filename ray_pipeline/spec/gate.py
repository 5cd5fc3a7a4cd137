"""One line of the scorecard: `[point] METRIC [gap | ratio | worst by COLS] OP (NUMBER | champion [+ | - | * NUMBER])`.

COLS are column names separated by commas, odd names in backticks. This file parses gates and finds what the text alone
decides; `evaluation/gates.py` judges them.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import ValidationError

from ray_pipeline.components.choice import UnknownChoice, Untrusted, unknown
from ray_pipeline.components.choice_text import read_choice, write_choice
from ray_pipeline.components.metrics import find_metric, metric_of, metrics_without_parameters
from ray_pipeline.components.metrics import names as metric_names
from ray_pipeline.errors import listed, nearest
from ray_pipeline.spec.messages import keys, message_of
from ray_pipeline.values import Task

Reduction = Literal["gap", "ratio", "worst"]
Operator = Literal[">=", "<=", ">", "<"]
COSTS = ("latency_ms", "size_mb")  # measured on the bundle, not on the predictions: points without an interval
FORM = "[point] METRIC [gap | ratio | worst by COLUMNS] >=|<=|>|< (NUMBER | champion [+|-|* NUMBER])"

_PARAMETERS = r"\((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*\)"
_OPERATOR = re.compile(rf"(`[^`]*`|{_PARAMETERS})|(>=|<=|=>|=<|==|!=|≥|≤|=|>|<)")
_LEFT = re.compile(
    rf"(?:(?P<point>point)\s+)?(?P<metric>[^\s(]+(?:{_PARAMETERS})?)"
    r"(?:\s+(?P<reduction>\S+))?(?:\s+by\s+(?P<by>.+))?"
)
_CHAMPION = re.compile(r"champion\s*(?:(?P<sign>[-+*])\s*(?P<number>\S+))?")
_COLUMN = re.compile(r"\s*(?:`([^`]+)`|([^\s`,]+))\s*")
_CORRECT = {"=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "=": ">= or <=", "==": ">= or <=", "!=": ">= or <="}


@dataclass(frozen=True)
class Gate:
    """A claim about the model that must hold on the test part before the model is registered."""

    text: str
    """The gate as written, with single spaces and the metric's canonical name."""
    point: bool
    """Whether the value itself is judged, and not a bound of its interval."""
    metric: str
    reduction: Reduction | None
    by: tuple[str, ...]
    op: Operator
    number: float | None = None
    """The right side, where it is a number."""
    champion: tuple[str | None, float] | None = None
    """The right side, where it is the champion: (None, 0.0) alone, or a sign out of `+ - *` and its number."""

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """The gate of a text.

        Raises
        ------
        ValueError
            It is no gate. The message says why, and what to write.

        >>> Gate.parse("auc worst by origin, carrier >= champion - 0.005").by
        ('origin', 'carrier')
        """
        text = " ".join(str(text).split())
        left, op, right = _sides(text)
        match = _LEFT.fullmatch(left)
        if match is None:
            raise ValueError(f"{text!r} is not a gate; write {FORM}")
        metric, reduction, by = _metric(match["metric"]), match["reduction"], match["by"]
        text = f"{left[: match.start('metric')]}{metric}{left[match.end('metric') :]}{text[len(left) :]}"
        if reduction not in (None, "gap", "ratio", "worst"):
            raise ValueError(
                f"{reduction!r} in {text!r} is not a reduction;"
                f" {nearest(str(reduction), ('gap', 'ratio', 'worst'))}Known: gap, ratio, worst"
            )
        if reduction and not by:
            raise ValueError(f"{text!r} does not say over which groups; write `{metric} {reduction} by COLUMN {op} …`")
        if by and not reduction:
            raise ValueError(
                f"{text!r} does not say what of the groups; write `{metric} worst by {by} {op} …` (or gap, or ratio)"
            )
        if metric in COSTS and reduction:
            raise ValueError(f"{metric} belongs to the model, not to its rows; `{reduction} by` cannot apply")
        number, champion = _right(text, right)
        return cls(
            text=text,
            point=match["point"] is not None,
            metric=metric,
            reduction=cast(Reduction | None, reduction),
            by=_columns(text, by or ""),
            op=op,
            number=number,
            champion=champion,
        )

    @property
    def lower(self) -> bool:
        """Whether low values fail (`>=`, `>`), so that the lower bound is judged."""
        return self.op in (">=", ">")

    def holds(self, left: float, right: float) -> bool:
        """Whether `left OP right` is true; false where a side is NaN."""
        return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[self.op]


def misfits(gates: Sequence[Gate], task: Task, partitions: Iterable[Sequence[str]]) -> list[tuple[int, str]]:
    """What in the gates does not fit the rest of the spec.

    Parameters
    ----------
    gates
        All gates of the spec.
    task
        The task of the spec.
    partitions
        The columns of every slice and of every bias group; a crossing has several, in any order.

    Returns
    -------
    list[tuple[int, str]]
        Positions of gates, with a message each.
    """
    known = {frozenset(columns): tuple(columns) for columns in partitions}
    found: list[tuple[int, str]] = []
    for place, gate in enumerate(gates):
        if gate.by and frozenset(gate.by) not in known:
            written = ", ".join(gate.by)
            names = [", ".join(columns) for columns in known.values()]
            offer = f"{nearest(written, names)}Known: {listed(names)}" if names else "there are none"
            what = f"{written!r} in {gate.text!r} is neither a slice nor a bias group"
            found.append((place, f"{what}; add it to evaluate.slices or bias.groups; {offer}"))
        if gate.metric in COSTS:
            continue
        try:
            metric = metric_of(gate.metric)
        except Untrusted:
            continue
        if not metric.fits(task):
            fitting = [other.name for other in metrics_without_parameters() if other.fits(task)]
            found.append((place, f"{gate.metric!r} is not a {task} metric; one of {', '.join(fitting)}"))
        elif gate.reduction == "worst" and not metric.objective:
            found.append((place, f"{gate.metric!r} has no better or worse; gate its gap or its ratio"))
        elif not _possible(gate, metric.range):
            low, high = _range(gate, metric.range)
            what = f"{gate.metric} {gate.reduction}" if gate.reduction else gate.metric
            found.append((place, f"{gate.text!r} can never hold: {what} lies in [{low:g}, {high:g}]"))
    return found + _contradictions(gates)


def _contradictions(gates: Sequence[Gate]) -> list[tuple[int, str]]:
    found = []
    for place, gate in enumerate(gates):
        for other in gates[:place]:
            same = (gate.metric, gate.reduction, frozenset(gate.by)) == (
                other.metric,
                other.reduction,
                frozenset(other.by),
            )
            if not same or gate.number is None or other.number is None or gate.lower == other.lower:
                continue
            floor, ceiling = (gate, other) if gate.lower else (other, gate)
            low, high = cast(float, floor.number), cast(float, ceiling.number)
            if not (ceiling.holds(low, high) and floor.holds(high, low)):
                found.append((place, f"{gate.text!r} contradicts {other.text!r}: no model can pass both"))
    return found


def _range(gate: Gate, of_metric: tuple[float, float]) -> tuple[float, float]:
    if gate.reduction == "gap":
        return 0.0, of_metric[1] - of_metric[0]
    return (0.0, 1.0) if gate.reduction == "ratio" else of_metric


def _possible(gate: Gate, of_metric: tuple[float, float]) -> bool:
    if gate.number is None:
        return True
    low, high = _range(gate, of_metric)
    return gate.holds(high if gate.lower else low, gate.number)


def _metric(written: str) -> str:
    """The canonical name of the gate's metric; raises `ValueError`."""
    if written in COSTS:
        return written
    word, parameters = read_choice(written)
    try:
        return metric_of(written).name
    except Untrusted:  # the spec says so, where it matters
        return write_choice(word, parameters)
    except ValidationError as error:
        known = keys(find_metric(word)[0])
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {message_of(one, known).found}" for one in error.errors())
        raise ValueError(f"{written!r} is no metric: {wrong}") from None
    except UnknownChoice as error:
        known = (*metric_names(), *COSTS)
        raise error if "." in word else unknown("metrics", word, known) from None


def _sides(text: str) -> tuple[str, Operator, str]:
    operators = [match for match in _OPERATOR.finditer(text) if match[2]]
    if not operators:
        raise ValueError(f"{text!r} compares nothing; write {FORM}")
    if len(operators) > 1:
        raise ValueError(f"{text!r} compares twice; write one gate for each comparison")
    op = operators[0][2]
    if op in _CORRECT:
        raise ValueError(f"{op!r} in {text!r} is not a comparison of gates; write {_CORRECT[op]}")
    return text[: operators[0].start()].strip(), cast(Operator, op), text[operators[0].end() :].strip()


def _right(text: str, right: str) -> tuple[float | None, tuple[str | None, float] | None]:
    match = _CHAMPION.fullmatch(right)
    if match:
        return None, (match["sign"], _number(text, match["number"]) if match["sign"] else 0.0)
    return _number(text, right), None


def _number(text: str, written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        hint = "did you mean 'champion'? " if nearest(written.split(" ")[0], ["champion"]) else ""
        raise ValueError(
            f"{written!r} in {text!r} is not a number; {hint}the right side is NUMBER or champion [+|-|* NUMBER]"
        ) from None
    if not math.isfinite(number):
        raise ValueError(f"{written!r} in {text!r} is not finite")
    return number


def _columns(text: str, written: str) -> tuple[str, ...]:
    names, place = [], 0
    while written and place <= len(written):
        match = _COLUMN.match(written, place)
        if match is None or written[match.end() : match.end() + 1] not in ("", ","):
            raise ValueError(
                f"{written!r} in {text!r} is not a list of columns; separate them with commas, odd names in backticks"
            )
        names.append(match[1] or match[2])
        place = match.end() + 1
    if len(set(names)) < len(names):
        raise ValueError(f"{written!r} in {text!r} names a column twice")
    return tuple(names)
