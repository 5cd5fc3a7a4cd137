"""The verdict: every gate is compared with its metric, on the bound of the interval.

A gate that cannot be decided fails and says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.evaluate import Evaluation, finite
from ray_pipeline.evaluation.groups import groups_of, measure_groups
from ray_pipeline.evaluation.intervals import NAN, Interval, percentile
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.evaluation.pieces import Pieces, num_clusters
from ray_pipeline.evaluation.rival import Champion, Undecidable, check_comparable
from ray_pipeline.spec import Spec
from ray_pipeline.spec.gate import COSTS, Gate
from ray_pipeline.values import Predictions, Vector


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One gate, judged.

    For a gate against the champion `value`, `low` and `high` are the paired difference, challenger minus champion.
    """

    gate: Gate
    passed: bool
    value: float = NAN
    low: float = NAN
    high: float = NAN
    why: str
    champion: float | None = None

    @property
    def gain(self) -> float | None:
        """How much better than the champion the model is; None if that is not known.

        The value is the difference to the champion, or to its multiple.
        """
        if not self.gate.champion or self.champion is None or self.value is None:
            return None
        sign, factor = self.gate.champion
        difference = self.value + (self.champion * (factor - 1) if sign == "*" else 0.0)
        return difference if self.gate.op in (">", ">=") else -difference

    def as_json(self) -> dict[str, Any]:
        """One gate of scorecard.json; `champion` is there where the gate names it, None where there is none yet."""
        numbers = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        row = {"gate": self.gate.text, "passed": self.passed, **numbers, "why": self.why}
        return row | ({"champion": self.champion} if self.gate.champion else {})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The results of all gates, with what they were judged on."""

    gates: tuple[GateResult, ...]
    evaluation: Evaluation
    champion: Mapping[str, Any] | None = None
    """Version, rows compared and rows left out; None where there is no champion."""
    times_judged: int = 1
    """How many runs have judged this test part, this one included."""

    @property
    def passed(self) -> bool:
        """Whether every gate passed; true where there are none."""
        return all(result.passed for result in self.gates)

    @property
    def gain(self) -> str | None:
        """Why the model is to replace the champion, in words; None if it is not better, or refused.

        It is better if it is in every metric that a gate compares on the whole test part. Without a champion, it is.
        """
        compared = [one for one in self.gates if one.gate.champion and one.gate.reduction is None]
        if not self.passed or not compared:
            return None
        if self.champion is None:
            return "there was no champion"
        gains = [one.gain for one in compared]
        if any(gain is None or gain <= 0 for gain in gains):
            return None
        better = ", ".join(f"{one.gate.metric} by {gain:.4g}" for one, gain in zip(compared, gains, strict=True))
        return f"better than version {self.champion['version']} on the same rows: {better}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers can and cannot show, in words."""
        if self.times_judged == 1:
            return self.evaluation.notes
        again = (
            f"this test part has been judged {self.times_judged} times: the more often, the likelier one passes by luck"
        )
        return (*self.evaluation.notes, again)

    def as_json(self) -> dict[str, Any]:
        """The content of scorecard.json."""
        return {
            "passed": self.passed,
            "gates": [result.as_json() for result in self.gates],
            "champion": None if self.champion is None else dict(self.champion),
            "times_judged": self.times_judged,
            "rows": len(self.evaluation.predictions),
            "clusters": self.evaluation.clusters,
            "resolution": {metric: finite(half) for metric, half in self.evaluation.resolution.items()},
            "notes": list(self.notes),
        }


def judge(
    evaluation: Evaluation, costs: ServingCosts, champion: Champion | None, spec: Spec, *, times_judged: int = 1
) -> Verdict:
    """Judge every gate of the spec on the test part.

    `>=` is judged on the lower bound of the interval, `<=` on the upper one, a gate against the champion on the paired
    difference, a gate with `point` on the value itself.

    Parameters
    ----------
    evaluation
        What was measured on the test part.
    costs
        Latency and size of the model.
    champion
        What the model is compared with; None where there is no champion yet, or no gate names it.
    spec
        Holds the gates, the confidence and the draws of the bootstrap.
    times_judged
        How many runs have judged this test part, this one included.
    """
    judging = _Judging(evaluation, costs, champion, spec)
    compared = None
    if champion is not None:
        rows = len(evaluation.predictions)
        kept = rows if champion.compared is None else int(champion.compared.sum())
        compared = {"version": champion.version, "rows": kept, "rows_excluded": rows - kept}
    gates = tuple(judging.result(gate) for gate in spec.gates)
    return Verdict(gates=gates, evaluation=evaluation, champion=compared, times_judged=times_judged)


@dataclass(frozen=True)
class _Judging:
    """Judges gates, with everything that they need."""

    evaluation: Evaluation
    costs: ServingCosts
    champion: Champion | None
    spec: Spec

    def result(self, gate: Gate) -> GateResult:
        try:
            if gate.champion is not None and self.champion is not None:
                return self._against_champion(gate, self.champion)
            measured = self._measured(gate)
        except Undecidable as reason:
            return GateResult(gate=gate, passed=False, why=f"cannot be decided, so it fails: {reason}")
        if gate.champion is None:
            return _decided(gate, measured, cast(float, gate.number))
        why = "there is no champion yet, so there is nothing to fall behind"
        return GateResult(gate=gate, passed=True, value=measured.value, low=measured.low, high=measured.high, why=why)

    def _measured(self, gate: Gate) -> Interval:
        """The gate's left side with its interval."""
        if gate.metric in COSTS:
            return _cost(gate.metric, self.costs, "")
        rows = self.evaluation.predictions
        known = None if gate.reduction else self.evaluation.overall_metrics.get(gate.metric)
        measured = Interval(known.value, known.low, known.high) if known else self._with_draws(gate, rows)[0]
        if not math.isfinite(measured.value):
            raise Undecidable(f"{gate.metric} is undefined on the test part ({_labels(rows)})")
        return measured

    def _with_draws(self, gate: Gate, rows: Predictions) -> tuple[Interval, Vector]:
        """The gate's left side on these rows, with its value in each draw of the bootstrap, shape (draws,)."""
        metric: Metric = metric_of(gate.metric)
        if gate.reduction:
            return self._reduced(gate, metric, rows)
        options, value = self.spec.evaluate, Pieces(rows).value(metric)
        draws = replicate([metric], rows, draws=options.draws, seed=self.spec.seed)[metric.name]
        return percentile(value, draws, num_clusters(rows), options.confidence), draws

    def _reduced(self, gate: Gate, metric: Metric, rows: Predictions) -> tuple[Interval, Vector]:
        """The gap, ratio or worst over the groups that are large enough."""
        assert gate.reduction is not None
        absent = [column for column in gate.by if column not in rows.columns]
        if absent:
            raise Undecidable(f"the predictions have no column {absent[0]!r}")
        min_rows = self._min_rows(gate)
        (grouped,) = measure_groups([metric], rows, gate.by, Bootstrap.of(self.spec), min_rows=min_rows)
        num_groups, judged = len(groups_of(rows, gate.by).names), len(grouped.values)
        if judged < (1 if gate.reduction == "worst" else 2):
            by = ", ".join(gate.by)
            raise Undecidable(f"{judged} of the {num_groups} groups by {by} have at least {min_rows} rows")
        undefined = [
            " × ".join(names.values())
            for names, value in zip(grouped.names, grouped.values, strict=True)
            if not math.isfinite(value)
        ]
        if undefined:
            named = ", ".join(undefined[:5])
            raise Undecidable(f"{gate.metric} is undefined in {len(undefined)} of {judged} groups ({named})")
        reduced = grouped.reduce(gate.reduction, self.spec.evaluate.confidence)
        if not math.isfinite(reduced.value):
            raise Undecidable(f"the {gate.reduction} of {gate.metric} is undefined")
        return reduced, grouped.reduced_draws(gate.reduction)

    def _min_rows(self, gate: Gate) -> int:
        """The slices' `min_rows` for `worst`, the bias groups' for gap and ratio, where the columns are both."""
        by = frozenset(gate.by)
        sliced, grouped = (
            any(frozenset(one.columns) == by for one in slices)
            for slices in (self.spec.evaluate.slices, self.spec.bias.groups)
        )
        as_group = grouped and (gate.reduction != "worst" or not sliced)
        return int(self.spec.bias.min_rows if as_group else self.spec.evaluate.min_rows)

    def _against_champion(self, gate: Gate, champion: Champion) -> GateResult:
        sign, number = cast(tuple[str | None, float], gate.champion)
        times = number if sign == "*" else 1.0
        bound = {"+": number, "-": -number}.get(sign or "", 0.0)
        if gate.metric in COSTS:
            ours = _cost(gate.metric, self.costs, "").value
            theirs = _cost(gate.metric, champion.costs, " of the champion").value
            return _decided(gate, Interval(*(ours - times * theirs,) * 3), bound, ours, theirs)
        rows = self.evaluation.predictions
        rows = rows if champion.compared is None else rows.take(champion.compared)
        check_comparable(rows, champion)
        mine, my_draws = self._with_draws(gate, rows)
        # The champion's scores on our weights, clusters and groups: only the model differs.
        scored = champion.predictions
        other, other_draws = self._with_draws(
            gate, replace(rows, score=scored.score, threshold=scored.threshold, regions=scored.regions)
        )
        if not math.isfinite(mine.value - other.value):
            raise Undecidable(
                f"{gate.metric} is undefined on the {len(rows):,} rows that both are judged on ({_labels(rows)})"
            )
        value, draws = mine.value - times * other.value, my_draws - times * other_draws
        difference = percentile(value, draws, num_clusters(rows), self.spec.evaluate.confidence)
        return _decided(gate, difference, bound, mine.value, other.value)


def _decided(
    gate: Gate, measured: Interval, bound: float, ours: float | None = None, theirs: float | None = None
) -> GateResult:
    """Compare the judged side of the interval with the bound, and give the reason in words."""
    judged = measured.value if gate.point else measured.low if gate.lower else measured.high
    side = "value" if gate.point else "lower bound" if gate.lower else "upper bound"
    against = "" if theirs is None else f"{ours:.6g} against the champion's {theirs:.6g}: "
    what = side if theirs is None else f"{side} of the difference"
    passed = gate.holds(judged, bound)
    if not math.isfinite(judged):
        reason = f"{measured.value:.6g} has no interval here (too few independent rows)"
        why = f"cannot be decided, so it fails: {against}{reason}"
    else:
        why = f"{against}{what} {judged:.6g} is {'' if passed else 'not '}{gate.op} {bound:.6g}"
        if not passed and gate.holds(measured.value, bound):
            why += f"; the value itself, {measured.value:.6g}, is, but it could be noise"
    return GateResult(
        gate=gate,
        passed=passed,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        why=why,
        champion=None if theirs is None else finite(theirs),
    )


def _cost(name: str, costs: ServingCosts | None, whose: str) -> Interval:
    value = None if costs is None else getattr(costs, name)
    if value is None or not math.isfinite(value):
        raise Undecidable(f"the {name}{whose} was not measured")
    return Interval(value, value, value)


def _labels(rows: Predictions) -> str:
    if rows.task == "regression":
        return f"{len(rows):,} rows"
    values, counts = np.unique(rows.label, return_counts=True)
    names = [rows.classes[int(v)] if int(v) < len(rows.classes) else str(v) for v in values]
    return (
        ", ".join(f"{count:,} rows of label {name}" for name, count in zip(names[:5], counts.tolist(), strict=False))
        or "no rows"
    )
