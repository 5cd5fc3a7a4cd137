"""Test parts whose answer is known: Gaussian scores, so that AUC, rates and gaps have closed forms."""

import json
from typing import Any

import numpy as np

from ray_pipeline.spec import Spec
from ray_pipeline.values import Predictions


def binary(
    seed: int = 0,
    n: int = 2000,
    *,
    shift: float = 1.0,
    clusters: int | None = None,
    columns: dict[str, Any] | None = None,
) -> Predictions:
    """Labels 30 % positive; log odds of N(0, 1), `shift` higher for positives (AUC is Phi(shift / sqrt 2)); scores as
    calibrated as that makes them."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(float)
    odds = rng.normal(size=n) + shift * label
    score = 1 / (1 + np.exp(-(shift * odds - shift**2 / 2 + np.log(0.3 / 0.7))))
    cluster = np.arange(n, dtype=np.uint64) if clusters is None else rng.integers(0, clusters, n).astype(np.uint64)
    named = {name: np.asarray(values, dtype=object) for name, values in (columns or {}).items()}
    return Predictions(
        task="binary",
        classes=("0", "1"),
        key=np.arange(n),
        label=label,
        score=score,
        weight=np.ones(n),
        cluster=cluster,
        columns=named,
    )


def regression(seed: int = 0, n: int = 1000, columns: dict[str, Any] | None = None) -> Predictions:
    """Residuals of N(0, 2)."""
    rng = np.random.default_rng(seed)
    score = rng.normal(10, 3, n)
    named = {name: np.asarray(values, dtype=object) for name, values in (columns or {}).items()}
    return Predictions(
        task="regression",
        key=np.arange(n),
        label=score + rng.normal(0, 2, n),
        score=score,
        weight=np.ones(n),
        cluster=np.arange(n, dtype=np.uint64),
        columns=named,
    )


def spec_of(
    task: str = "binary",
    gates: list[str] | None = None,
    evaluate: dict[str, Any] | None = None,
    bias: dict[str, Any] | None = None,
) -> Spec:
    """The smallest spec, with these sections."""
    written = {
        "name": "known",
        "task": task,
        "features": {"labels": {"path": "rows.parquet", "label": "label", "key": "key"}},
        "split": {"by": "random"},
        "model": "xgboost",
        "evaluate": {"draws": 300, **(evaluate or {})},
        **({"bias": bias} if bias else {}),
        **({"gates": gates} if gates else {}),
    }
    return Spec.from_text(json.dumps(written), file="known.yaml")
