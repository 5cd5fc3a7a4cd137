"""Findings from the profile: what a careful person would notice in the training rows before trusting a model on them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.encoders._columns import kind_of
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.metrics.auc import AUC
from ray_pipeline.spec import Spec
from ray_pipeline.stages.column_profile import ColumnProfile
from ray_pipeline.stages.profile import Profile
from ray_pipeline.stages.rows import LABEL

Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
LEAK, SUSPECT = 0.999, 0.98
MOST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Finding:
    """One line of `checks.json`."""

    check: str
    severity: Severity
    column: str | None
    rows: int
    found: str
    fix: str


def check(profile: Profile, spec: Spec) -> tuple[Finding, ...]:
    """Every finding, the gravest first; none that `checks.ignore` names (a check, or `check:column`)."""
    found = [finding for name, type_ in profile.types.items() for finding in _column(name, type_, profile, spec)]
    if profile.counts.null_label:
        found.append(
            Finding(
                "null_label",
                "low",
                spec.features.labels.label,
                profile.counts.null_label,
                f"{profile.counts.null_label:,} rows without a label were dropped",
                "nothing, if rows without an outcome are expected",
            )
        )
    ignored = set(spec.checks.ignore)
    kept = [f for f in found if f.check not in ignored and f"{f.check}:{f.column}" not in ignored]
    return tuple(sorted(kept, key=lambda f: -SEVERITIES.index(f.severity)))


def refuse(findings: tuple[Finding, ...], spec: Spec) -> None:
    """Raises `DataError` with every finding at or above `checks.fail_on`."""
    if spec.checks.fail_on not in SEVERITIES:
        return
    least = SEVERITIES.index(spec.checks.fail_on)
    grave = [f for f in findings if SEVERITIES.index(f.severity) >= least]
    if grave:
        raise DataError(
            Problem(stage="check", column=f.column, rows=f.rows, found=f"{f.check}: {f.found}", fix=f"{f.fix}, or add '{f.check}:{f.column}' to checks.ignore")
            for f in grave
        )


def _column(name: str, type_: pa.DataType, profile: Profile, spec: Spec) -> list[Finding]:
    seen, rows, found = profile.columns[name], profile.parts["train"], []
    if seen.nulls == seen.rows:
        return [Finding("all_null", "medium", name, rows, f"{name} is null in all {rows:,} training rows; it was left out", "leave it out of `columns`")]
    if seen.is_constant:
        return [Finding("constant", "medium", name, rows, f"{name} has one value in all {rows:,} training rows; it was left out", "leave it out of `columns`")]
    if seen.infinite:
        found.append(
            Finding(
                "infinite",
                "medium",
                name,
                seen.infinite,
                f"{name} is infinite in {seen.infinite:,} training rows; they count as missing",
                "mend the values where they are made",
            )
        )
    if seen.low is not None and seen.high is not None and kind_of(type_) == "number" and max(-seen.low, seen.high) > MOST_FLOAT32:
        found.append(
            Finding(
                "too_large", "high", name, rows, f"{name} reaches {max(-seen.low, seen.high):.3g}, which float32 cannot hold", "scale it, or take its logarithm"
            )
        )
    if _id_like(seen, rows):
        found.append(
            Finding(
                "id_like",
                "medium",
                name,
                rows,
                f"{name} has {len(seen.values):,} distinct values in {seen.present:,} rows",
                "leave it out, or join a table by it",
            )
        )
    return [*found, *_leaks(name, type_, profile, spec)]


def _id_like(seen: ColumnProfile, rows: int) -> bool:
    return rows >= 200 and len(seen.values) > 0.9 * seen.present


def _leaks(name: str, type_: pa.DataType, profile: Profile, spec: Spec) -> list[Finding]:
    """A column, or its missingness, that alone all but tells the label: by AUC, or by rank correlation for a number."""
    if spec.task == "multiclass" or profile.sample.num_rows < 100:
        return []
    label = profile.sample[LABEL].to_numpy()
    missing = pc.is_null(profile.sample[name], nan_is_null=True).to_numpy()
    found = []
    strength = _strength(_as_number(profile.sample[name], type_, label), label, ~missing, spec)
    if strength >= SUSPECT:
        what = "an AUC" if spec.task == "binary" else "a rank correlation"
        found.append(
            Finding(
                "leakage",
                "high" if strength >= LEAK else "medium",
                name,
                int((~missing).sum()),
                f"{name} alone predicts the label with {what} of {strength:.4f} ({(~missing).sum():,} sampled rows)",
                "leave it out if it is known only after the fact",
            )
        )
    told = _strength(missing.astype(float), label, np.ones(len(label), bool), spec) if missing.any() and not missing.all() else 0.0
    if told >= SUSPECT:
        found.append(
            Finding(
                "leakage",
                "high" if told >= LEAK else "medium",
                name,
                int(missing.sum()),
                f"whether {name} is missing alone predicts the label with {told:.4f}",
                "leave it out if it is filled in after the fact",
            )
        )
    return found


def _strength(values: Any, label: Any, use: Any, spec: Spec) -> float:
    values, label = values[use], label[use]
    if len(label) < 100 or len(np.unique(values)) < 2:
        return 0.0
    if spec.task == "binary":
        area = AUC()(label, values, np.ones(len(label)))
        return max(area, 1 - area) if np.isfinite(area) else 0.0
    ranks = [np.unique(x, return_inverse=True)[1].astype(float) for x in (values, label)]
    return abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) if ranks[1].std() else 0.0


def _as_number(values: pa.ChunkedArray, type_: pa.DataType, label: Any) -> Any:
    """Numbers as they are; categories as the label's mean over the other half of the sample (so that a rare value does not predict itself)."""
    kind = kind_of(type_)
    if kind == "time":
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    if kind != "category":
        return values.cast(pa.float64(), safe=False).to_numpy()
    codes = pc.index_in(values.cast(pa.string()), pc.unique(values.cast(pa.string()))).to_numpy()
    half = np.arange(len(codes)) % 2
    means = np.full(len(codes), label.mean())
    for this in (0, 1):
        other = half != this
        total, count = np.bincount(codes[other], label[other], codes.max() + 1), np.bincount(codes[other], minlength=codes.max() + 1)
        with np.errstate(invalid="ignore"):
            mean = np.where(count > 0, total / count, label.mean())
        means[half == this] = mean[codes[half == this]]
    return means
