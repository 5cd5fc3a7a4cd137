"""The scorecard: every gate held against what was measured, on the bound of its interval; the run's verdict.

A gate that cannot be decided fails and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import HALF, Metric
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.evaluation.bootstrap import num_clusters, replicate
from ray_pipeline.evaluation.evaluate import Evaluation, finite
from ray_pipeline.evaluation.groups import groups_of, measure_groups, take
from ray_pipeline.evaluation.intervals import NAN, Interval, percentile
from ray_pipeline.spec import Spec
from ray_pipeline.spec.gate import COSTS, Gate
from ray_pipeline.values import Predictions, Vector


@dataclass(frozen=True)
class Champion:
    """The model that stands now, scored today on the test rows.

    `predictions` are paired by position with the test rows, or, where the champion was trained on some of those, with
    the rows of the
    mask `judged` (n,). `latency_ms` and `size_mb` are None where they were not measured.
    """

    version: int | str
    predictions: Predictions
    threshold: float | None
    judged: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    latency_ms: float | None = None
    size_mb: float | None = None


@dataclass(frozen=True)
class GateResult:
    """One gate, judged. For a gate against the champion `value`, `low` and `high` are the paired difference (challenger
    minus champion)."""

    gate: Gate
    passed: bool
    value: float
    low: float
    high: float
    why: str
    champion: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's form; `champion` is there where the gate names it, None where there was none yet."""
        row = {
            "gate": self.gate.text,
            "passed": self.passed,
            "value": finite(self.value),
            "low": finite(self.low),
            "high": finite(self.high),
            "why": self.why,
        }
        return row | ({"champion": self.champion} if self.gate.champion else {})


@dataclass(frozen=True)
class Verdict:
    """All gates and what a reader must know beside them: the champion, how often this test part was judged, what it can
    resolve."""

    gates: tuple[GateResult, ...]
    champion: Mapping[str, Any] | None
    times_judged: int
    rows: int
    clusters: int
    resolution: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed; true where there are none."""
        return all(result.passed for result in self.gates)

    def as_json(self) -> dict[str, Any]:
        """The content of scorecard.json."""
        return {
            "passed": self.passed,
            "gates": [result.as_json() for result in self.gates],
            "champion": None if self.champion is None else dict(self.champion),
            "times_judged": self.times_judged,
            "rows": self.rows,
            "clusters": self.clusters,
            "resolution": {metric: finite(half) for metric, half in self.resolution.items()},
            "notes": list(self.notes),
        }


def judge(
    gates: Sequence[Gate],
    evaluation: Evaluation,
    test: Predictions,
    threshold: float | None,
    champion: Champion | None,
    latency_ms: float | None,
    size_mb: float | None,
    spec: Spec,
    *,
    times_judged: int = 1,
) -> Verdict:
    """Every gate judged: `>=` on the lower bound, `<=` on the upper, against the champion on the paired difference,
    `point` on the value."""
    bench = _Bench(evaluation, test, threshold, champion, {"latency_ms": latency_ms, "size_mb": size_mb}, spec)
    rows = len(test) if champion is None or champion.judged is None else int(champion.judged.sum())
    told = None if champion is None else {"version": champion.version, "rows": rows, "rows_excluded": len(test) - rows}
    notes = evaluation.notes
    if times_judged > 1:
        notes += (
            f"this test part has been judged {times_judged} times: the more often, the likelier one passes by luck",
        )
    results = tuple(bench.result(gate) for gate in gates)
    return Verdict(results, told, times_judged, evaluation.rows, evaluation.clusters, evaluation.resolution, notes)


class Undecidable(Exception):
    """A gate has nothing to stand on; the message says why."""


@dataclass(frozen=True)
class _Bench:
    """Everything that gates are judged with."""

    evaluation: Evaluation
    test: Predictions
    threshold: float | None
    champion: Champion | None
    costs: Mapping[str, float | None]
    spec: Spec

    def result(self, gate: Gate) -> GateResult:
        try:
            if gate.champion is not None and self.champion is not None:
                return self._against_champion(gate, self.champion)
            seen = self._seen(gate)
        except Undecidable as reason:
            return GateResult(gate, False, NAN, NAN, NAN, f"cannot be decided, so it fails: {reason}")
        if gate.champion is not None:
            return GateResult(
                gate,
                True,
                seen.value,
                seen.low,
                seen.high,
                "there is no champion yet, so there is nothing to fall behind",
            )
        return _decided(gate, seen, cast(float, gate.number))

    def _seen(self, gate: Gate) -> Interval:
        """The gate's left side with its interval."""
        if gate.metric in COSTS:
            return _cost(gate.metric, self.costs.get(gate.metric), "")
        metric = metric_of(gate.metric)
        if gate.reduction:
            return self._reduced(gate, metric, self.test, self.threshold)[0]
        known = self.evaluation.overall(gate.metric)
        seen = (
            Interval(known.value, known.low, known.high)
            if known
            else self._overall(metric, self.test, self.threshold)[0]
        )
        if not math.isfinite(seen.value):
            raise Undecidable(f"{gate.metric} is undefined on the test part ({_labels(self.test)})")
        return seen

    def _overall(self, metric: Metric, rows: Predictions, threshold: float | None) -> tuple[Interval, Vector]:
        asked = self.spec.evaluate
        value = metric(rows.label, rows.score, rows.weight, HALF if threshold is None else threshold)
        draws = replicate([metric], rows, threshold, draws=asked.draws, seed=self.spec.seed)[metric.name]
        return percentile(value, draws, num_clusters(rows), asked.confidence), draws

    def _reduced(
        self, gate: Gate, metric: Metric, rows: Predictions, threshold: float | None
    ) -> tuple[Interval, Vector]:
        """The gap, ratio or worst over the judged groups, and the same in each draw."""
        absent = [column for column in gate.by if column not in rows.columns]
        if absent:
            raise Undecidable(f"the predictions have no column {absent[0]!r}")
        asked, least = self.spec.evaluate, self._least_rows(gate)
        (grouped,) = measure_groups(
            [metric],
            rows,
            gate.by,
            threshold,
            min_rows=least,
            draws=asked.draws,
            seed=self.spec.seed,
            confidence=asked.confidence,
        )
        num_groups, judged = len(groups_of(rows, gate.by).names), len(grouped.values)
        if judged < (1 if gate.reduction == "worst" else 2):
            raise Undecidable(f"{judged} of the {num_groups} groups by {', '.join(gate.by)} have at least {least} rows")
        undefined = [
            " × ".join(names.values())
            for names, value in zip(grouped.names, grouped.values, strict=True)
            if not math.isfinite(value)
        ]
        if undefined:
            raise Undecidable(
                f"{gate.metric} is undefined in {len(undefined)} of {judged} groups ({', '.join(undefined[:5])})"
            )
        assert gate.reduction is not None
        seen = grouped.reduce(gate.reduction, asked.confidence)
        if not math.isfinite(seen.value):
            raise Undecidable(f"the {gate.reduction} of {gate.metric} is undefined")
        return seen, grouped.reduced_draws(gate.reduction)

    def _least_rows(self, gate: Gate) -> int:
        """The slices' `min_rows` for `worst`, the bias groups' for gap and ratio, where the columns are both."""
        by = frozenset(gate.by)
        sliced = any(frozenset(Slice.parse(one).columns) == by for one in self.spec.evaluate.slices)
        grouped = any(frozenset(Slice.parse(one).columns) == by for one in self.spec.bias.groups)
        as_group = grouped and (gate.reduction != "worst" or not sliced)
        return int(self.spec.bias.min_rows if as_group else self.spec.evaluate.min_rows)

    def _against_champion(self, gate: Gate, champion: Champion) -> GateResult:
        sign, number = cast(tuple[str | None, float], gate.champion)
        times = number if sign == "*" else 1.0
        bound = {"+": number, "-": -number}.get(sign or "", 0.0)
        if gate.metric in COSTS:
            ours = _cost(gate.metric, self.costs.get(gate.metric), "").value
            theirs = _cost(gate.metric, getattr(champion, gate.metric), " of the champion").value
            difference = Interval(*(ours - times * theirs,) * 3)
            return _decided(gate, difference, bound, ours, theirs)
        rows = self.test if champion.judged is None else take(self.test, champion.judged)
        _comparable(rows, champion.predictions)
        metric = metric_of(gate.metric)
        theirs_rows = _with_columns_of(rows, champion.predictions)
        if gate.reduction:
            (mine, my_draws), (other, other_draws) = (
                self._reduced(gate, metric, r, t)
                for r, t in ((rows, self.threshold), (theirs_rows, champion.threshold))
            )
        else:
            (mine, my_draws), (other, other_draws) = (
                self._overall(metric, r, t) for r, t in ((rows, self.threshold), (theirs_rows, champion.threshold))
            )
        if not math.isfinite(mine.value - other.value):
            raise Undecidable(
                f"{gate.metric} is undefined on the {len(rows):,} rows that both are judged on ({_labels(rows)})"
            )
        difference = percentile(
            mine.value - times * other.value,
            my_draws - times * other_draws,
            num_clusters(rows),
            self.spec.evaluate.confidence,
        )
        return _decided(gate, difference, bound, mine.value, other.value)


def _decided(
    gate: Gate, seen: Interval, bound: float, ours: float | None = None, theirs: float | None = None
) -> GateResult:
    """Holds the judged side of the interval against the bound, and says it in words."""
    judged = seen.value if gate.point else seen.low if gate.lower else seen.high
    side = "value" if gate.point else "lower bound" if gate.lower else "upper bound"
    champion = None if theirs is None else finite(theirs)
    against = "" if theirs is None else f"{ours:.6g} against the champion's {theirs:.6g}: "
    what = side if theirs is None else f"{side} of the difference"
    if not math.isfinite(judged):
        why = (
            f"cannot be decided, so it fails: {against}{seen.value:.6g} has no interval here (too few independent rows)"
        )
        return GateResult(gate, False, seen.value, seen.low, seen.high, why, champion)
    passed = gate.holds(judged, bound)
    why = f"{against}{what} {judged:.6g} is {'' if passed else 'not '}{gate.op} {bound:.6g}"
    if not passed and gate.holds(seen.value, bound):
        why += f"; the value itself, {seen.value:.6g}, is, but it could be noise"
    return GateResult(gate, passed, seen.value, seen.low, seen.high, why, champion)


def _cost(name: str, value: float | None, whose: str) -> Interval:
    if value is None or not math.isfinite(value):
        raise Undecidable(f"the {name}{whose} was not measured")
    return Interval(value, value, value)


def _comparable(ours: Predictions, theirs: Predictions) -> None:
    """Raises `Undecidable` unless both predict the same thing about the same rows."""
    if theirs.task != ours.task:
        raise Undecidable(f"the champion's task is {theirs.task}, ours {ours.task}")
    if tuple(theirs.classes) != tuple(ours.classes):
        raise Undecidable(f"the champion's classes are {', '.join(theirs.classes)}, ours {', '.join(ours.classes)}")
    if len(theirs) != len(ours):
        raise Undecidable(f"the champion scored {len(theirs):,} rows, ours {len(ours):,}")
    if not len(ours):
        raise Undecidable("no test row is left that the champion was not trained on")
    differing = int((theirs.label != ours.label).sum())
    if differing:
        raise Undecidable(
            f"the champion's label differs on {differing:,} of {len(ours):,} rows, so it predicts something else"
        )


def _with_columns_of(ours: Predictions, theirs: Predictions) -> Predictions:
    """The champion's scores on our weights, clusters and groups: only the model differs."""
    return Predictions(
        ours.task, ours.classes, ours.key, ours.label, theirs.score, ours.weight, ours.cluster, ours.columns
    )


def _labels(rows: Predictions) -> str:
    if rows.task == "regression":
        return f"{len(rows):,} rows"
    values, counts = np.unique(rows.label, return_counts=True)
    names = [rows.classes[int(v)] if int(v) < len(rows.classes) else str(v) for v in values]
    return (
        ", ".join(f"{count:,} rows of label {name}" for name, count in zip(names[:5], counts.tolist(), strict=False))
        or "no rows"
    )
