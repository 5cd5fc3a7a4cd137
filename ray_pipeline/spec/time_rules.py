"""What the keys about times and parts decide together: joins, steps and moments, ranges, cuts, gaps and shares."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ray_pipeline.components.splitters.time import Time, as_datetime64
from ray_pipeline.duration import as_timedelta, write_duration
from ray_pipeline.spec.source_map import Place

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

Finding = tuple[Place, str, str]
"""Place, what was found, what would do."""


def time_findings(spec: "Spec") -> Iterator[Finding]:
    """Everything about times that the keys of the spec forbid each other."""
    yield from _times(spec)
    steps = list(_steps(spec))
    yield from steps or _split(spec)


def _times(spec: "Spec") -> Iterator[Finding]:
    labels, select = spec.features.labels, spec.select
    give = "name the moment of prediction: `features.labels.time: COLUMN`"
    for name, table in spec.features.tables.items():
        if table.time and not labels.time:
            yield ("features", name, "time"), f"{name} is joined as of features.labels.time, which is not given", give
        for role in ("known_at", "max_age"):
            if getattr(table, role) is not None and not table.time:
                yield (
                    ("features", name, role),
                    f"{role} needs features.{name}.time, which is not given",
                    f"add `time:` to {name}, or remove {role}",
                )
        if table.known_at and table.known_at == table.time:
            yield (
                ("features", name, "known_at"),
                f"{table.known_at!r} is both time and known_at",
                "leave known_at out where a row is known at its time",
            )
    for key, moment in (("from", select.from_), ("to", select.to)):
        if moment is not None and not labels.time:
            yield ("select", key), f"select.{key} is on features.labels.time, which is not given", give
    if _backwards(spec):
        yield (
            ("select", "to"),
            f"to ({_day(select.to)}) must be after from ({_day(select.from_)})",
            "correct one of them",
        )
    if isinstance(spec.split, Time) and not labels.time:
        yield ("split", "by"), "a time split needs features.labels.time, which is not given", give


def _steps(spec: "Spec") -> Iterator[Finding]:
    """Steps and moments are not compared with each other."""
    labels, split = spec.features.labels, spec.split
    steps = labels.time_unit == "step"
    for name, table in spec.features.all.items():
        if table.time_unit and table.time is None:
            yield (
                ("features", name, "time_unit"),
                f"time_unit is for features.{name}.time, which is not given",
                "name the time, or remove it",
            )
        elif table.time is not None and (table.time_unit == "step") != steps:
            found = f"the times of labels are {'steps' if steps else 'moments'}, those of {name} are not"
            yield ("features", name, "time_unit"), found, "write both tables' times in one way"
    ages: list[tuple[Place, object]] = [
        (("features", name, "max_age"), table.max_age) for name, table in spec.features.tables.items()
    ]
    lengths: list[tuple[Place, object]] = [(("select", "from"), spec.select.from_), (("select", "to"), spec.select.to)]
    if isinstance(split, Time):
        lengths += [(("split", key), getattr(split, key)) for key in ("validation", "test")]
        lengths += [(("split", "gap"), split.gap or None)]
    for place, value in (*ages, *lengths):
        if value is not None and isinstance(value, int) != steps:
            found = f"{value} is {'no step' if steps else 'a number of steps'}"
            fix = (
                "write a whole number, as the times are steps"
                if steps
                else "write a date or a length, or `time_unit: step`"
            )
            yield place, found, fix


def _backwards(spec: "Spec") -> bool:
    """Whether the range ends before it begins."""
    first, last = spec.select.from_, spec.select.to
    return first is not None and last is not None and bool(as_datetime64(first) >= as_datetime64(last))


def _split(spec: "Spec") -> Iterator[Finding]:
    split, select = spec.split, spec.select
    if isinstance(split, Time):
        backwards = _backwards(spec)
        for key, cut in (("validation", split.validation), ("test", split.test)):
            if not backwards and select.from_ is not None and as_datetime64(cut) <= as_datetime64(select.from_):
                yield (
                    ("split", key),
                    (
                        f"the cut {_day(cut)} is not after select.from ({_day(select.from_)}), so that the part before"
                        " it is empty"
                    ),
                    "move the cut into the range",
                )
            if not backwards and select.to is not None and as_datetime64(cut) >= as_datetime64(select.to):
                yield (
                    ("split", key),
                    (
                        f"the cut {_day(cut)} is not before select.to ({_day(select.to)}), so that the part after it is"
                        " empty"
                    ),
                    "move the cut into the range",
                )
        length = (as_datetime64(split.test) - as_datetime64(split.validation)).astype(timedelta)
        if as_timedelta(split.gap) >= length:
            yield (
                ("split", "gap"),
                (
                    f"the gap of {write_duration(as_timedelta(split.gap))} swallows validation, which lasts"
                    f" {write_duration(length)}"
                ),
                "shorten the gap",
            )
    elif split.by == "random":
        shares = float(getattr(split, "validation", 0)) + float(getattr(split, "test", 0))
        if shares >= 1:
            yield (
                ("split", "validation"),
                f"validation and test sum to {shares:g}, which leaves nothing to train on",
                "make them sum to less than 1",
            )
        if getattr(split, "stratify", False) and spec.task == "regression":
            yield ("split", "stratify"), "stratify needs classes, but the task is regression", "remove it"


def _day(moment: datetime | int | None) -> str:
    return str(moment).removesuffix(" 00:00:00")
