"""Every metric in exact arithmetic: fractions of the given floats, logarithms and roots with 60 digits."""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from ray_pipeline.components.metrics._base import Metric

Exact = Fraction | None
"""The value; None where the metric is undefined."""
EPS = Fraction(1, 2**52)
DIGITS = 60


def exact_value(metric: Metric, task: str, label: Any, score: Any, weight: Any, cut: float) -> Exact:
    """The value of a metric on rows, as `Metric.__call__` takes them."""
    w = [Fraction(x) for x in weight.tolist()]
    if not sum(w):
        return None
    if task == "multiclass":
        rows = [[Fraction(p) for p in row] for row in score.tolist()]
        return _of_classes(metric, [int(x) for x in label.tolist()], rows, w)
    y, s = ([Fraction(x) for x in values.tolist()] for values in (label, score))
    return (_of_numbers if task == "regression" else _of_two_classes)(metric, y, s, w, Fraction(cut))


def _divide(top: Fraction, bottom: Fraction) -> Exact:
    return top / bottom if bottom else None


def _mean(values: Sequence[Fraction], w: Sequence[Fraction]) -> Exact:
    return _divide(sum((a * b for a, b in zip(values, w, strict=True)), Fraction(0)), sum(w, Fraction(0)))


def _decimal(function: Callable[[Decimal], Decimal], x: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction(function(Decimal(x.numerator) / Decimal(x.denominator)))


def _log(x: Fraction) -> Fraction:
    return _decimal(Decimal.ln, x)


def _root(x: Exact) -> Exact:
    return None if x is None else _decimal(Decimal.sqrt, x)


def _words(metric: Metric) -> tuple[str, dict[str, Any]]:
    return type(metric).__module__.rpartition(".")[2], dict(metric)


def _of_numbers(metric: Metric, y: list[Fraction], s: list[Fraction], w: list[Fraction], _: Fraction) -> Exact:
    word, given = _words(metric)
    error = [a - b for a, b in zip(y, s, strict=True)]
    if word == "mape":
        kept = [i for i, one in enumerate(y) if one]
        return _mean([abs(error[i] / y[i]) for i in kept], [w[i] for i in kept])
    if word == "r2":
        centre = _mean(y, w)
        assert centre is not None
        variation = _mean([(one - centre) ** 2 for one in y], w)
        residual = _mean([one**2 for one in error], w)
        return 1 - residual / variation if variation and residual is not None else None
    if word == "rmsle":
        if min(*y, *s) <= -1:
            return None
        return _root(_mean([_log((1 + a) / (1 + b)) ** 2 for a, b in zip(y, s, strict=True)], w))
    if word == "absolute_error_quantile":
        return _quantile([abs(one) for one in error], w, Fraction(given["quantile"]))
    q = Fraction(given.get("quantile", 0))
    of_row: dict[str, Callable[[Fraction], Fraction]] = {
        "rmse": lambda e: e**2,
        "mae": abs,
        "mean_residual": lambda e: e,
        "pinball": lambda e: max(q * e, (q - 1) * e),
    }
    value = _mean([of_row[word](e) for e in error], w)
    return _root(value) if word == "rmse" else value


def _of_two_classes(metric: Metric, y: list[Fraction], s: list[Fraction], w: list[Fraction], cut: Fraction) -> Exact:
    word, given = _words(metric)
    rows = list(zip(y, s, w, strict=True))
    match word:
        case "log_loss":
            true = [b if a == 1 else 1 - b for a, b, _ in rows]
            return _mean([-_log(min(max(p, EPS), 1 - EPS)) for p in true], w)
        case "brier":
            return _mean([(a - b) ** 2 for a, b, _ in rows], w)
        case "mean_score":
            return _mean(s, w)
        case "label_rate":
            return _mean(y, w)
        case "mean_residual":
            return _mean([a - b for a, b, _ in rows], w)
        case "ece":
            return _ece(y, s, w)
        case "score_quantile":
            return _quantile(s, w, Fraction(given["quantile"]))
        case "auc" | "average_precision" | "ks" | "lift_at":
            return _of_ranks(word, given, [one == 1 for one in y], s, w)
    cells = [
        sum((c for a, b, c in rows if ((a == 1), (b >= cut)) == cell), Fraction(0))
        for cell in ((True, True), (False, True), (True, False), (False, False))
    ]
    return _of_cells(word, given, *cells)


def _of_cells(word: str, given: dict[str, Any], tp: Fraction, fp: Fraction, fn: Fraction, tn: Fraction) -> Exact:
    if word == "mcc":
        product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        root = _root(product)
        return (tp * tn - fp * fn) / root if root else None
    if word == "balanced_accuracy":
        shares = [_divide(tn, tn + fp), _divide(tp, tp + fn)]
        return None if None in shares else sum(shares) / 2  # type: ignore[arg-type]
    beta = Fraction(given.get("beta", 1)) ** 2
    return _divide(
        *{
            "accuracy": (tp + tn, tp + tn + fp + fn),
            "precision": (tp, tp + fp),
            "recall": (tp, tp + fn),
            "true_positive_rate": (tp, tp + fn),
            "true_negative_rate": (tn, tn + fp),
            "false_positive_rate": (fp, tn + fp),
            "false_negative_rate": (fn, tp + fn),
            "negative_predictive_value": (tn, tn + fn),
            "selection_rate": (tp + fp, tp + tn + fp + fn),
            "f_beta": ((1 + beta) * tp, (1 + beta) * tp + beta * fn + fp),
        }[word]
    )


def _of_classes(metric: Metric, y: list[int], s: list[list[Fraction]], w: list[Fraction]) -> Exact:
    word, given = _words(metric)
    classes, decision = range(len(s[0])), [row.index(max(row)) for row in s]
    if word == "log_loss":
        return _mean([-_log(min(max(row[a], EPS), 1 - EPS)) for a, row in zip(y, s, strict=True)], w)
    if word == "brier":
        return _mean([sum((p - (c == a)) ** 2 for c, p in enumerate(row)) for a, row in zip(y, s, strict=True)], w)
    if word == "ece":
        return _ece([Fraction(a == b) for a, b in zip(y, decision, strict=True)], [max(row) for row in s], w)
    if word == "accuracy":
        return _mean([Fraction(a == b) for a, b in zip(y, decision, strict=True)], w)
    rows = [sum((c for a, c in zip(y, w, strict=True) if a == k), Fraction(0)) for k in classes]
    if word in ("auc", "average_precision"):
        values = [_of_ranks(word, {}, [a == k for a in y], [row[k] for row in s], w) for k in classes]
        weighted = given.get("average") == "weighted"
        return None if None in values else _mean(values, rows if weighted else [Fraction(1)] * len(rows))  # type: ignore[arg-type]
    hits = [sum((c for a, b, c in zip(y, decision, w, strict=True) if a == b == k), Fraction(0)) for k in classes]
    decided = [sum((c for b, c in zip(decision, w, strict=True) if b == k), Fraction(0)) for k in classes]
    if word == "balanced_accuracy":
        shares = [a / b for a, b in zip(hits, rows, strict=True) if b]
        return sum(shares) / len(shares) if shares else None
    return _averaged(word, given, hits, rows, decided)


def _averaged(
    word: str, given: dict[str, Any], hits: list[Fraction], rows: list[Fraction], decided: list[Fraction]
) -> Exact:
    per_row = {"precision": Fraction(0), "recall": Fraction(1)}.get(word, Fraction(given.get("beta", 1)) ** 2)
    per_decision = Fraction(word != "recall")

    def of(hit: Fraction, row: Fraction, chosen: Fraction) -> Exact:
        return _divide((per_row + per_decision) * hit, per_row * row + per_decision * chosen)

    if given["average"] == "micro":
        return of(sum(hits, Fraction(0)), sum(rows, Fraction(0)), sum(decided, Fraction(0)))
    values = [of(*cells) or Fraction(0) for cells in zip(hits, rows, decided, strict=True)]
    if given["average"] == "weighted":
        return _mean(values, rows)
    return _mean(values, [Fraction(bool(a or b)) for a, b in zip(rows, decided, strict=True)])


def _of_ranks(word: str, given: dict[str, Any], positive: list[bool], s: list[Fraction], w: list[Fraction]) -> Exact:
    places = sorted(set(s))
    sides = [
        [
            sum((c for p, b, c in zip(positive, s, w, strict=True) if b == place and p == side), Fraction(0))
            for place in places
        ]
        for side in (False, True)
    ]
    (negatives, positives), zero = sides, Fraction(0)
    total_negative, total_positive = sum(negatives, zero), sum(positives, zero)
    both = [a + b for a, b in zip(negatives, positives, strict=True)]
    if word == "lift_at":
        left = share = Fraction(given["share"]) * sum(both, zero)
        caught = zero
        for mass, hits in zip(reversed(both), reversed(positives), strict=True):
            part = min(left / mass, Fraction(1)) if mass else zero
            caught, left = caught + part * hits, left - part * mass
        return _divide(caught * sum(both, zero), total_positive * share)
    if not total_positive or (word != "average_precision" and not total_negative):
        return None
    if word == "ks":
        return max(
            abs(sum(negatives[: i + 1], zero) / total_negative - sum(positives[: i + 1], zero) / total_positive)
            for i in range(len(places))
        )
    if word == "auc":
        won = sum((hits * (sum(negatives[:i], zero) + negatives[i] / 2) for i, hits in enumerate(positives)), zero)
        return won / (total_negative * total_positive)
    precision = [_divide(sum(positives[i:], zero), sum(both[i:], zero)) or zero for i in range(len(places))]
    return sum((a * b for a, b in zip(precision, positives, strict=True)), zero) / total_positive


def _ece(y: list[Fraction], s: list[Fraction], w: list[Fraction]) -> Exact:
    bins: dict[int, Fraction] = {}
    for a, b, c in zip(y, s, w, strict=True):
        place = min(int(float(b) * 15), 14)
        bins[place] = bins.get(place, Fraction(0)) + c * (a - b)
    return _divide(sum((abs(one) for one in bins.values()), Fraction(0)), sum(w, Fraction(0)))


def _quantile(values: list[Fraction], w: list[Fraction], q: Fraction) -> Exact:
    """The mean of the first value that reaches the share, and the first beyond it; within rounding both are meant."""
    order = sorted(zip(values, w, strict=True))
    total = sum(w, Fraction(0))
    slack, upto, found = 4 * EPS * total, Fraction(0), list[Fraction]()
    for value, mass in order:
        upto += mass
        if mass and not found and upto >= q * total - slack:
            found.append(value)
        if mass and upto > q * total + slack:
            return (found[0] + value) / 2
    return (found[0] + order[-1][0]) / 2 if found else None
