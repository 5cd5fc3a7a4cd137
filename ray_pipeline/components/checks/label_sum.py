"""Columns that add up to the label."""

import numpy as np

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS, numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import LABEL, LABEL_INPUT, TIME
from ray_pipeline.errors import listed
from ray_pipeline.values import Vector

MAX_ROWS, MAX_COLUMNS, MAX_PARTS = 2_000, 300, 6
EXACT = 1e-6


class LabelSum(Check):
    """A weighted sum of up to six columns is the label, or the number that the label is computed from.

    Such columns are parts of the outcome. They are found by orthogonal matching pursuit (Pati, Rezaiifar &
    Krishnaprasad, 1993) on the sample: it takes the column that explains most of the remainder, again and again, until
    nothing remains.
    """

    fix = "leave all of them out: they are parts of the outcome"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column that belongs to a sum."""
        outcomes = {
            name.removeprefix(LABEL_INPUT): name for name in profile.sample.column_names if name.startswith(LABEL_INPUT)
        }
        if spec.task == "regression":
            outcomes = {spec.features.labels.label: LABEL, **outcomes}
        names = varying(profile, "number", "time")[:MAX_COLUMNS]
        sample = profile.sample.slice(0, MAX_ROWS)
        if not names or sample.num_rows < MIN_ROWS:
            return
        columns = np.stack([numbers(sample[name]) for name in names], axis=1)
        if TIME in sample.column_names:  # how long something took is its end less the moment of prediction
            columns, names = np.column_stack([columns, numbers(sample[TIME])]), [*names, str(spec.features.labels.time)]
        reported: set[str] = set()
        for written, column in outcomes.items():
            if kind_of(sample.schema.field(column).type) != "number":
                continue
            parts = _sum(columns, numbers(sample[column]))
            summands = [names[index] for index, _ in parts]
            shown = " + ".join(
                f"{'' if round(weight, 6) == 1 else f'{weight:.6g} x '}{names[index]}" for index, weight in parts
            )
            for index, _ in parts:
                if names[index] not in reported and names[index] in profile.columns:
                    reported.add(names[index])
                    yield self.finding(
                        "high",
                        names[index],
                        sample.num_rows,
                        f"{written} = {shown} in all {sample.num_rows:,} sampled rows; parts: {listed(summands)}",
                    )


def _sum(columns: Vector, outcome: Vector) -> list[tuple[int, float]]:
    """Two to six columns and their weights whose sum plus a constant is the outcome in every complete row; or none.

    `columns` has shape (rows, columns), `outcome` shape (rows,).
    """
    usable = np.flatnonzero(np.isfinite(columns).mean(0) > 0.5)
    complete = np.isfinite(columns[:, usable]).all(1) & np.isfinite(outcome)
    if not len(usable) or complete.sum() < MIN_ROWS:
        return []
    values, target = columns[np.ix_(complete, usable)], outcome[complete] - outcome[complete].mean()
    values = values - values.mean(0)
    scale = np.linalg.norm(values, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(scale > 0, values / scale, 0)
    remainder, chosen = target, list[int]()
    for _ in range(MAX_PARTS):
        fit = np.abs(remainder @ unit)
        fit[chosen] = 0
        chosen.append(int(fit.argmax()))
        weights = np.linalg.lstsq(values[:, chosen], target, rcond=None)[0]
        remainder = target - values[:, chosen] @ weights
        if np.abs(remainder).max() <= EXACT * max(np.abs(target).max(), 1e-300):
            parts = [
                (int(usable[index]), float(weight))
                for index, weight in zip(chosen, weights, strict=True)
                if abs(weight) > 1e-9
            ]
            return sorted(parts) if len(parts) > 1 else []
    return []
