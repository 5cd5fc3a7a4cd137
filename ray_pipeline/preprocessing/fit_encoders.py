"""Encoders are fitted from the profile by arithmetic; no row is read again."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.column_encodings._base import ColumnSummary
from ray_pipeline.components.column_encodings._columns import kind_of, numbers, offset_of
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.duration import DAY_US
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.profiling.profile import Profile


def fit_encoders(
    profile: Profile, names: Iterable[str], chosen: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Encoder]:
    """Fit an encoder for each name that some model family asks for.

    Columns without information are left out: those that are null in every training row, and those with one value.

    Parameters
    ----------
    profile
        The profile of the rows.
    names
        The encoders to fit; repeated names count once.
    chosen
        The options of single columns, by their canonical names.

    Raises
    ------
    DataError
        No column varies.
    """
    sampled = set(profile.sample.column_names)
    columns = {name: _column_summary(profile, name, name in sampled) for name in profile.types}
    summaries = {name: summary for name, summary in columns.items() if summary is not None}
    if not summaries:
        found = f"none of {len(profile.types)} columns varies in the training rows"
        raise DataError(Problem(stage="encode", found=found, fix="name columns with more than one value"))
    return {name: find("encoders", name).fit(summaries, chosen) for name in dict.fromkeys(names)}


def _column_summary(profile: Profile, name: str, is_sampled: bool) -> ColumnSummary | None:
    """What an encoding is fitted from; None where the column has no information."""
    kind, column = kind_of(profile.types[name]), profile.columns[name]
    if kind is None or column.nulls >= column.rows or column.is_constant:
        return None
    sampled = kind != "category" and is_sampled
    offset = offset_of(profile.sample[name]) if sampled else 0.0
    sample = numbers(profile.sample[name], offset) if sampled else np.empty(0)
    unit = DAY_US if kind == "time" else 1
    return ColumnSummary(
        kind=kind,
        missing=column.nulls + column.infinite,
        counts=column.values,
        sample=sample[~np.isnan(sample)],
        mean=column.mean / unit - offset,
        deviation=float(np.sqrt(column.m2 / max(column.present, 1))) / unit,
        high=None if column.high is None else column.high / unit - offset,
        declared=name in profile.declared,
        offset=offset,
        outcomes=profile.outcomes.get(name, {}),
    )
