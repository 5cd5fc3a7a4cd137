"""How often intervals contain the truth and gates decide wrongly, on simulated test parts with a known truth.

usage: simulate_verdict.py [--simulations 2000] [--rows 3000] [--draws 400] [--only coverage|gate]   -> one JSON line

coverage  of nominal 95 % intervals of AUC, log loss, RMSE and a gap of selection rates between two groups (target:
          93.5 to 96.5 %). Rows are independent, or in 60 clusters of 50 that share an effect, where intervals of
          independent rows must fail.
gate      `auc >= champion - m`, where m is 4.2 standard errors of the paired difference: how often an equal challenger
          is refused (target: at most 2 %), and one that is worse by m passes (target: at most 4 %).
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
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.groups import measure_groups
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.values import Predictions

PHI = NormalDist()
RATE, SHIFT, CUT, SD = 0.3, 1.0, 0.3, 2.0
IN_CLUSTER = 50
BETTER_OFF = 0.5
ERRORS = 4.2


def part(rng: np.random.Generator, n: int, clustered: bool) -> Predictions:
    """A binary test part with log odds of N(0, 1), SHIFT higher for positives.

    In clusters, half of the variance of the odds and of the labels is the cluster's, and so is the group.
    """
    cluster = np.arange(n) // (IN_CLUSTER if clustered else 1)

    def normal() -> np.ndarray:
        effect = rng.normal(size=cluster[-1] + 1)[cluster]
        return math.sqrt(0.5) * (effect + rng.normal(size=n)) if clustered else effect

    label = (normal() < PHI.inv_cdf(RATE)).astype(float)
    score = 1 / (1 + np.exp(-(SHIFT * (normal() + SHIFT * label) - SHIFT**2 / 2 + math.log(RATE / (1 - RATE)))))
    group = np.where(rng.random(cluster[-1] + 1)[cluster] < 0.5, "a", "b").astype(object)
    return Predictions(
        task="binary",
        label_name="label",
        threshold=CUT,
        classes=("0", "1"),
        key=np.arange(n),
        label=label,
        score=score,
        weight=np.ones(n),
        cluster=cluster.astype(np.uint64),
        columns={"group": group},
    )


def errors(rng: np.random.Generator, n: int, clustered: bool) -> Predictions:
    """A regression test part with residuals of N(0, SD); in clusters, half of their variance is the cluster's."""
    cluster = np.arange(n) // (IN_CLUSTER if clustered else 1)
    effect = rng.normal(size=cluster[-1] + 1)[cluster]
    residual = SD * (math.sqrt(0.5) * (effect + rng.normal(size=n)) if clustered else effect)
    return Predictions(
        task="regression",
        label_name="label",
        classes=(),
        key=np.arange(n),
        label=residual,
        score=np.zeros(n),
        weight=np.ones(n),
        cluster=cluster.astype(np.uint64),
        columns={},
    )


def truths() -> dict[str, float]:
    """The true value of each metric, in closed form."""

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
    """The true selection rate of a group whose log odds are higher by `more`."""
    needed = math.log(CUT / (1 - CUT)) - math.log(RATE / (1 - RATE)) + SHIFT**2 / 2 - more
    return (1 - RATE) * PHI.cdf(-needed / SHIFT) + RATE * PHI.cdf(SHIFT - needed / SHIFT)


def apart(rows: Predictions) -> Predictions:
    """The same rows, with higher log odds for group b."""
    odds = np.log(rows.score / (1 - rows.score)) + BETTER_OFF * (rows.columns["group"] == "b")
    return replace(rows, score=1 / (1 + np.exp(-odds)))


def coverage(simulations: int, rows: int, draws: int, clustered: bool, by_row: bool = False) -> dict[str, float]:
    """Share of intervals that contain the truth; `by_row` treats the rows of a cluster as independent."""
    truth, covered = truths(), dict.fromkeys(truths(), 0)
    metrics = [metric_of(word) for word in ("auc", "log_loss")]
    for seed in range(simulations):
        rng = np.random.default_rng([seed, clustered])
        binary, regression = part(rng, rows, clustered), errors(rng, rows, clustered)
        clusters = rows // IN_CLUSTER if clustered and not by_row else rows
        if by_row:
            binary, regression = (replace(one, cluster=one.key.astype(np.uint64)) for one in (binary, regression))
        drawn = replicate(metrics, binary, draws=draws, seed=seed)
        drawn |= replicate([metric_of("rmse")], regression, draws=draws, seed=seed)
        for word, of in (("auc", binary), ("log_loss", binary), ("rmse", regression)):
            interval = percentile(metric_of(word)(of.label, of.score, of.weight, CUT), drawn[word], clusters, 0.95)
            covered[word] += interval.low <= truth[word] <= interval.high
        bootstrap = Bootstrap(draws=draws, seed=seed, confidence=0.95)
        (rates,) = measure_groups([metric_of("selection_rate")], apart(binary), ["group"], bootstrap, min_rows=1)
        gap = rates.reduce("gap", 0.95)
        covered["selection_rate gap"] += gap.low <= truth["selection_rate gap"] <= gap.high
    return {word: count / simulations for word, count in covered.items()}


def gate(simulations: int, rows: int, draws: int) -> dict[str, float]:
    """Share of wrong decisions of `auc >= champion - m`, judged as `evaluation/gates.py` does: on the lower bound."""
    auc, noise = metric_of("auc"), 0.3

    def pair(seed: int, worse: float) -> tuple[float, list[Predictions]]:
        rng = np.random.default_rng([seed, 7])
        truth = part(rng, rows, clustered=False)
        odds = np.log(truth.score / (1 - truth.score))
        seen = [
            replace(truth, score=1 / (1 + np.exp(-(odds + more * rng.normal(size=rows)))))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--only", choices=["coverage", "gate"])
    asked = parser.parse_args()
    sizes = asked.simulations, asked.rows, asked.draws
    result: dict[str, object] = {
        "benchmark": "verdict",
        "simulations": asked.simulations,
        "rows": asked.rows,
        "draws": asked.draws,
    }
    if asked.only != "gate":
        result["coverage"] = {
            "rows independent": coverage(*sizes, clustered=False),
            "clusters of 50": coverage(*sizes, clustered=True),
            "clusters of 50, intervals of rows": coverage(*sizes, clustered=True, by_row=True),
        }
    if asked.only != "coverage":
        result["gate"] = gate(*sizes)
    print(json.dumps({**result, "machine": {"python": platform.python_version(), "numpy": np.__version__}}))


if __name__ == "__main__":
    main()
