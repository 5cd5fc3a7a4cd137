"""How often intervals hold the truth and gates decide wrongly, on simulated test parts whose truth is known in closed
form.

usage: simulate_verdict.py [--simulations 2000] [--rows 3000] [--draws 400] [--only coverage|gate]   -> one JSON line

coverage  of nominal 95 % intervals of AUC, log loss, RMSE and a gap of selection rates between two groups (asked: 93.5
to 96.5 %):
          rows independent, and rows in 60 clusters of 50 that share an effect, where intervals of rows must fail
gate      `auc >= champion - m` with m 4.2 standard errors of the paired difference: a challenger of no true difference
is refused
          (asked: at most 2 %), one that is worse by m passes (asked: at most 4 %)
"""

import argparse
import json
import math
import platform
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.groups import measure_groups
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.values import Predictions

PHI = NormalDist()
RATE, SHIFT, CUT, SD = 0.3, 1.0, 0.3, 2.0
IN_CLUSTER = 50
BETTER_OFF = 0.5
ERRORS = 4.2


def part(rng: np.random.Generator, n: int, clustered: bool) -> Predictions:
    """Log odds of N(0, 1), SHIFT higher for positives; with clusters half of the variance, of odds and of what makes a
    label, is the cluster's, and so is the group."""
    cluster = np.arange(n) // (IN_CLUSTER if clustered else 1)

    def normal() -> np.ndarray:
        effect = rng.normal(size=cluster[-1] + 1)[cluster]
        return math.sqrt(0.5) * (effect + rng.normal(size=n)) if clustered else effect

    label = (normal() < PHI.inv_cdf(RATE)).astype(float)
    score = 1 / (1 + np.exp(-(SHIFT * (normal() + SHIFT * label) - SHIFT**2 / 2 + math.log(RATE / (1 - RATE)))))
    group = np.where(rng.random(cluster[-1] + 1)[cluster] < 0.5, "a", "b").astype(object)
    return Predictions(
        "binary", ("0", "1"), np.arange(n), label, score, np.ones(n), cluster.astype(np.uint64), {"group": group}
    )


def errors(rng: np.random.Generator, n: int, clustered: bool) -> Predictions:
    """Residuals of N(0, SD); with clusters half of their variance is the cluster's."""
    cluster = np.arange(n) // (IN_CLUSTER if clustered else 1)
    effect = rng.normal(size=cluster[-1] + 1)[cluster]
    residual = SD * (math.sqrt(0.5) * (effect + rng.normal(size=n)) if clustered else effect)
    return Predictions("regression", (), np.arange(n), residual, np.zeros(n), np.ones(n), cluster.astype(np.uint64), {})


def truths() -> dict[str, float]:
    """Each of endlessly many rows."""

    def loss(odds: float, label: int) -> float:
        z = SHIFT * odds - SHIFT**2 / 2 + math.log(RATE / (1 - RATE))
        return math.log1p(math.exp(-z if label else z))

    of_class = [quad(lambda x, label=label: PHI.pdf(x) * loss(x + SHIFT * label, label), -9, 9)[0] for label in (0, 1)]
    return {
        "auc": PHI.cdf(SHIFT / math.sqrt(2)),
        "log_loss": (1 - RATE) * of_class[0] + RATE * of_class[1],
        "rmse": SD,
        "selection_rate gap": selected(BETTER_OFF) - selected(0.0),
    }


def selected(more: float) -> float:
    """The selection rate of a group whose log odds are `more` higher."""
    needed = math.log(CUT / (1 - CUT)) - math.log(RATE / (1 - RATE)) + SHIFT**2 / 2 - more
    return (1 - RATE) * PHI.cdf(-needed / SHIFT) + RATE * PHI.cdf(SHIFT - needed / SHIFT)


def apart(rows: Predictions) -> Predictions:
    """The same rows with the log odds of group b higher."""
    odds = np.log(rows.score / (1 - rows.score)) + BETTER_OFF * (rows.columns["group"] == "b")
    return Predictions(*_with(rows, 1 / (1 + np.exp(-odds))))


def coverage(simulations: int, rows: int, draws: int, clustered: bool, by_row: bool = False) -> dict[str, float]:
    """Share of intervals that hold the truth; `by_row` takes each row of a cluster for independent."""
    known, held = truths(), dict.fromkeys(truths(), 0)
    scored = [metric_of(word) for word in ("auc", "log_loss")]
    for seed in range(simulations):
        rng = np.random.default_rng([seed, clustered])
        binary, regression = part(rng, rows, clustered), errors(rng, rows, clustered)
        clusters = rows // IN_CLUSTER if clustered and not by_row else rows
        if by_row:
            binary, regression = (
                Predictions(p.task, p.classes, p.key, p.label, p.score, p.weight, p.key.astype(np.uint64), p.columns)
                for p in (binary, regression)
            )
        found = replicate(scored, replace(binary, threshold=CUT), draws=draws, seed=seed)
        found |= replicate([metric_of("rmse")], regression, draws=draws, seed=seed)
        for word, of in (("auc", binary), ("log_loss", binary), ("rmse", regression)):
            interval = percentile(metric_of(word)(of.label, of.score, of.weight, CUT), found[word], clusters, 0.95)
            held[word] += interval.low <= known[word] <= interval.high
        (rates,) = measure_groups(
            [metric_of("selection_rate")],
            apart(binary),
            ["group"],
            CUT,
            min_rows=1,
            draws=draws,
            seed=seed,
            confidence=0.95,
        )
        gap = rates.reduce("gap", 0.95)
        held["selection_rate gap"] += gap.low <= known["selection_rate gap"] <= gap.high
    return {word: count / simulations for word, count in held.items()}


def gate(simulations: int, rows: int, draws: int) -> dict[str, float]:
    """Errors of `auc >= champion - m`, judged as `stages/judge.py` judges it: on the lower bound of the paired
    difference."""
    auc, noise = metric_of("auc"), 0.3

    def pair(seed: int, worse: float) -> tuple[float, list[Predictions]]:
        rng = np.random.default_rng([seed, 7])
        truth = part(rng, rows, clustered=False)
        odds = np.log(truth.score / (1 - truth.score))
        seen = [
            Predictions(*_with(truth, 1 / (1 + np.exp(-(odds + more * rng.normal(size=rows))))))
            for more in (math.hypot(noise, worse), noise)
        ]
        values = [auc(one.label, one.score, one.weight) for one in seen]
        return values[0] - values[1], seen

    margin = ERRORS * float(np.std([pair(10**6 + seed, 0.0)[0] for seed in range(simulations)]))

    def true_auc(more: float) -> float:
        return PHI.cdf(SHIFT / math.sqrt(2 * (1 + noise**2 + more**2)))

    worse = brentq(lambda more: true_auc(0) - true_auc(more) - margin, 0, 5)
    wrong = {"equal_refused": 0, "worse_passed": 0}
    for seed in range(simulations):
        for name, more in (("equal_refused", 0.0), ("worse_passed", worse)):
            value, seen = pair(seed, more)
            drawn = [replicate([auc], one, draws=draws, seed=seed)["auc"] for one in seen]
            passed = percentile(value, drawn[0] - drawn[1], rows, 0.95).low >= -margin
            wrong[name] += passed == (name == "worse_passed")
    return {"margin": round(margin, 5), **{name: count / simulations for name, count in wrong.items()}}


def _with(rows: Predictions, score: np.ndarray) -> tuple:
    return rows.task, rows.classes, rows.key, rows.label, score, rows.weight, rows.cluster, rows.columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--only", choices=["coverage", "gate"])
    asked = parser.parse_args()
    sizes = asked.simulations, asked.rows, asked.draws
    told: dict[str, object] = {
        "benchmark": "verdict",
        "simulations": asked.simulations,
        "rows": asked.rows,
        "draws": asked.draws,
    }
    if asked.only != "gate":
        told["coverage"] = {
            "rows independent": coverage(*sizes, clustered=False),
            "clusters of 50": coverage(*sizes, clustered=True),
            "clusters of 50, intervals of rows": coverage(*sizes, clustered=True, by_row=True),
        }
    if asked.only != "coverage":
        told["gate"] = gate(*sizes)
    print(json.dumps({**told, "machine": {"python": platform.python_version(), "numpy": np.__version__}}))


if __name__ == "__main__":
    main()
