"""A number, or a time as days since 1970: imputed, scaled and flagged where it is missing."""

from functools import cached_property
from statistics import NormalDist
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options
from ray_pipeline.components.column_encodings._columns import Kind, numbers
from ray_pipeline.values import Matrix, Vector

MAX_KNOTS = 256


class Number(Encoding):
    """The number itself, or scaled: (number - centre) / width, the normal quantile of its rank, or its logarithm.

    The logarithm is signed: sign(x) log(1 + |x|). Where float32 would merge many values of the number itself, it is the
    number less an offset.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("number", "time")
    takes: ClassVar[tuple[str, ...]] = ("impute", "scale", "flag")

    offset: float = 0.0
    """What is subtracted first, in float64 or in whole numbers."""
    log: bool = False
    centre: float = 0.0
    width: float = 1.0
    knots: tuple[float, ...] = ()
    """Ascending values, whose normal quantiles are `quantiles`; interpolated between, constant outside."""
    quantiles: tuple[float, ...] = ()
    most: float | None = None
    """The largest value in the matrix: larger ones become it. None for no bound."""
    missing: float | None = None
    """The value in the matrix for a missing one; None for NaN."""
    flagged: bool = False
    """Whether a second column is 1 where the number is missing."""

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """Mean and deviation come from all training rows, quantiles and modes from the sample of up to 10,000."""
        plain = cls(
            name=name,
            kind=summary.kind,
            flagged=(options.finite and summary.missing > 0) if options.flag is None else options.flag,
        )
        scaled = plain.model_copy(update=_scale(options.scale, summary))
        if not scaled.log:
            scaled = scaled.model_copy(update={"offset": summary.offset})
        if options.impute == "none" and not options.finite:
            return scaled.model_copy(update={"most": scaled._not_as_missing(summary)})
        if options.scale == "quantile" and options.impute in ("none", "median"):
            return scaled.model_copy(update={"missing": 0.0})
        fill = _fill(options.impute, summary) + (summary.offset if scaled.log else 0.0)
        filled = scaled.transformed(np.array([fill]))[0]
        return scaled.model_copy(update={"missing": float(filled)})

    @classmethod
    def is_default(cls, kind: Kind, options: Options) -> bool:
        """Of a number, and of a time whose parts nobody asks for."""
        return kind == "number" or (kind == "time" and not options.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column's own name, then the flag if there is one."""
        return (self.name, f"{self.name} is missing") if self.flagged else (self.name,)

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One column, or two."""
        number = numbers(values, self.offset)
        absent = np.isnan(number)
        with np.errstate(over="ignore"):
            single = self.transformed(number).astype(np.float32)
        single[np.isinf(single)] = np.nan  # beyond float32, which is a finding
        if self.most is not None:
            single = np.minimum(single, np.float32(self.most))
        if self.missing is not None:
            single[np.isnan(single)] = self.missing
        return np.stack([single, absent.astype(np.float32)], axis=1) if self.flagged else single[:, None]

    def transformed(self, number: Vector) -> Vector:
        """The scaled number, from which the offset is already subtracted; shape (rows,). NaN stays NaN."""
        if self.log:
            return np.copysign(np.log1p(np.abs(number)), number)
        if self.knots:
            return np.where(np.isnan(number), np.nan, np.interp(number, *self._curve))
        return number if (self.centre, self.width) == (0.0, 1.0) else (number - self.centre) / self.width

    def _not_as_missing(self, summary: ColumnSummary) -> float | None:
        """The largest value that trees do not take for a missing one, where they know missing ones.

        XGBoost tells values from missing ones by a cut at twice the largest value of train, or at 0 if that is
        negative: a value beyond goes with the missing ones (dmlc/xgboost#2914). To a tree, all values above the largest
        are alike.
        """
        if summary.high is None or not summary.missing:
            return None
        high = np.float32(self.transformed(np.array([summary.high]))[0])
        with np.errstate(over="ignore"):
            below = np.nextafter(high + abs(high), np.float32(-np.inf))
        return float(max(high, below)) if np.isfinite(below) else None

    @cached_property
    def _curve(self) -> tuple[Vector, Vector]:
        """The knots and their quantiles as arrays."""
        return np.array(self.knots), np.array(self.quantiles)


def _scale(how: str, summary: ColumnSummary) -> dict[str, object]:
    """The fields of `Number` that a way of scaling sets."""
    match how:
        case "standard":
            return {"centre": summary.mean, "width": summary.deviation or 1.0}
        case "robust":
            low, middle, high = (
                np.quantile(summary.sample, [0.25, 0.5, 0.75]).tolist() if len(summary.sample) else (0.0, 0.0, 0.0)
            )
            return {"centre": middle, "width": (high - low) or 1.0}
        case "quantile":
            knots, quantiles = normal_quantiles(summary.sample)
            return {"knots": tuple(knots.tolist()), "quantiles": tuple(quantiles.tolist())}
        case "log":
            return {"log": True}
    return {}


def _fill(impute: str | float, summary: ColumnSummary) -> float:
    """The value that a missing one becomes, less the offset and before it is scaled."""
    if isinstance(impute, int | float):
        return float(impute) - summary.offset
    if not len(summary.sample):
        return 0.0
    if impute == "mean":
        return summary.mean
    if impute == "most_frequent":
        values, counts = np.unique(summary.sample, return_counts=True)
        return float(values[counts.argmax()])
    return float(np.median(summary.sample))


def normal_quantiles(sample: Vector) -> tuple[Vector, Vector]:
    """Values of a sample, and the normal quantile of each value's mid-rank.

    Equal values share the middle of their ranks. So 0 and 1 of a flag stay two points, and a frequent value stays near
    its neighbours.

    Parameters
    ----------
    sample
        Finite numbers; shape (n,).

    Returns
    -------
    tuple of two arrays of shape (knots,)
        At most `MAX_KNOTS` ascending values and their quantiles; one knot at 0 for an empty sample.

    Examples
    --------
    >>> knots, quantiles = normal_quantiles(np.array([5.0, 7.0, 7.0, 9.0]))
    >>> knots.tolist(), quantiles.round(2).tolist()
    ([5.0, 7.0, 9.0], [-1.15, 0.0, 1.15])
    """
    if not len(sample):
        return np.zeros(1), np.zeros(1)
    values, counts = np.unique(sample, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / len(sample)
    if len(values) > MAX_KNOTS:
        kept = np.unique(np.searchsorted(rank, np.linspace(rank[0], rank[-1], MAX_KNOTS)))
        values, rank = values[kept], rank[kept]
    return values, np.array([NormalDist().inv_cdf(share) for share in rank])
