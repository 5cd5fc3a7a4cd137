"""Train a registered model again on newer data: the champion's spec with a new range, judged against the champion."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.choice import trust
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.splitters.time import Moment, Time, write_moment
from ray_pipeline.duration import DurationOrSteps
from ray_pipeline.errors import DataError, Problem, RegistryError, SpecError
from ray_pipeline.plain_json import plain
from ray_pipeline.profiling.requirements import EmptyPart
from ray_pipeline.registry.address import NAME
from ray_pipeline.registry.registry import Registry
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.spec.yaml_file import parse_value
from ray_pipeline.suggestion import command

Point = datetime | int
"""A moment in UTC, or a step."""


def retrained(
    name: str, where: Where, *, to: str | None = None, window: str | None = None, registry: str | None = None
) -> Spec:
    """Return the spec that trains a model again.

    It is the champion's, up to `to` (excluded), with cuts that have moved by as much as the end of the range. Its
    search begins with the champion's hyperparameters, and a gate compares with the champion.

    Parameters
    ----------
    name
        The registered model.
    where
        The cluster file.
    to
        The new end of the range: a date, or a step. Default: today in UTC.
    window
        Length of a rolling range such as `365d`; by default the range begins where the champion's does, and grows.
    registry
        The address of the registry; that of `where` unless given.

    Raises
    ------
    RegistryError
        The model has no champion.
    SpecError
        The name is that of one version, or the new range does not fit the spec.
    """
    known, schema = _champion(name, where, registry)
    text, folder = str(schema["spec"]), Path(schema["base"])
    spec = Spec.from_text(text, file=f"{name}@champion", folder=folder, trust=where.trust)
    queries = [table for table, one in spec.features.all.items() if one.kind == "sql"]
    sets = ["search.warm_start=champion", *_gate(spec), *(f"features.{table}.path=null" for table in queries)]
    if spec.features.labels.time:
        sets += _range(spec, _moment("--to", to), window, _times(known, name))
    elif to or window:
        found = "the champion's spec has no features.labels.time, so its rows have no range"
        raise SpecError(Problem(key="--to" if to else "--window", found=found, fix="leave --to and --window out"))
    return Spec.from_text(text, sets, file=f"{name}@champion", folder=folder, trust=where.trust)


@contextmanager
def naming_the_date(
    spec: Spec, name: str, where: Where, *, window: str | None = None, registry: str | None = None
) -> Iterator[None]:
    """Where the range of `retrained` lacks rows in a part, name the command whose range ends after the newest label.

    Parameters
    ----------
    spec
        What `retrained` has returned.
    name, where, window, registry
        What `retrained` was given.

    Raises
    ------
    DataError
        The one of the run, with that command as its fix.
    """
    try:
        yield
    except DataError as error:
        first = error.problems[0]
        if spec.select.to is None or not (isinstance(error, EmptyPart) or (first.stage, first.rows) == ("read", 0)):
            raise
        if isinstance(error, EmptyPart) and error.newest:
            why, to = f"the newest label is of {error.newest}", _after(error.newest, spec)
        else:
            known, schema = _champion(name, where, registry)
            before = Spec.from_text(str(schema["spec"]), folder=Path(schema["base"]), trust=where.trust)
            end = _end(before, _times(known, name))
            why, to = f"the champion's rows end before {_text(end)}", end
        if to == spec.select.to:
            raise
        options = {"--to": _text(to), "--window": window, "--registry": registry}
        given = [word for option, value in options.items() if value is not None for word in (option, value)]
        fix = f"{why}: `{command('retrain', name, *given, on=where.on)}`"
        error.problems = (replace(first, fix=fix), *error.problems[1:])
        raise


def _champion(name: str, where: Where, registry: str | None) -> tuple[Registry, dict[str, Any]]:
    """The registry, and the schema of the champion's bundle, which may name classes of trusted packages."""
    trust(where.trust)
    known = Registry(registry or where.registry_uri(Path.cwd()), trust_keys=where.key_files())
    if (bare := re.fullmatch(rf"(?:models:/)?({NAME})[@/].*", name)) is not None:
        found = f"{name!r} is one version of a model, and its champion is retrained"
        raise SpecError(Problem(key="NAME", found=found, fix=f"write {bare[1]}"))
    champion = known.champion(name)
    if champion is None:
        fix = f"run its spec, then `{command('models promote', f'{name}/VERSION', on=where.on)}`"
        raise RegistryError(Problem(key="NAME", found=f"model {name!r} has no champion to start from", fix=fix))
    return known, dict(Bundle.load(champion[1]).schema)


def _times(known: Registry, name: str) -> dict[str, Any]:
    """The first and the last time of each part of the champion."""
    return (known.file(f"{name}@champion", "training.json") or {}).get("times") or {}


def _gate(spec: Spec) -> list[str]:
    """A gate against the champion, if the spec has none."""
    if any(gate.champion for gate in spec.gates):
        return []
    metric = spec.search.metric
    operator = ">=" if metric_of(metric).better == "higher" else "<="
    return [f"gates[{len(spec.gates)}]=point {metric} {operator} champion"]


def _range(spec: Spec, to: Point | None, window: str | None, times: dict[str, Any]) -> list[str]:
    """The new `select` and the moved cuts of a split by time."""
    steps = spec.features.labels.time_unit == "step"
    if to is None:
        if steps:
            raise SpecError(Problem(key="--to", found="the times are steps, and today is none", fix="write --to STEP"))
        to = datetime.combine(datetime.now(UTC).date(), datetime.min.time())
    if isinstance(to, int) != steps:
        found = f"{to} is {'no step' if steps else 'a number of steps'}, unlike the times of the label table"
        raise SpecError(Problem(key="--to", found=found, fix="write it as the times are written"))
    sets = [f"select.to={_text(to)}"]
    if window is not None:
        sets.append(f"select.from={_text(_earlier(to, _window(window)))}")
    if isinstance(spec.split, Time):
        end = _end(spec, times)
        sets += [f"split.{cut}={_text(moved(getattr(spec.split, cut), end, to))}" for cut in ("validation", "test")]
    return sets


def _end(spec: Spec, times: dict[str, Any]) -> Point:
    """Where the champion's data ends: at `select.to`, else at the first midnight after its last test row."""
    if spec.select.to is not None:
        return spec.select.to
    last = (times.get("test") or [None, None])[1]
    if last is None:
        found = "the champion's spec has no select.to, and its version does not say when its test rows end"
        raise SpecError(Problem(key="select.to", found=found, fix="run the spec once more with `select: {to: DATE}`"))
    return _after(last, spec)


def _after(last: object, spec: Spec) -> Point:
    """The first midnight after a time in UTC, or the step after a step."""
    if spec.features.labels.time_unit == "step":
        return int(str(last)) + 1
    day = datetime.fromisoformat(str(last)).replace(tzinfo=None)
    return datetime(day.year, day.month, day.day) + timedelta(days=1)


def moved(cut: Point, end: Point, to: Point) -> Point:
    """Return a cut, moved by as much as the end of the range; by whole months where all three begin a month.

    >>> moved(datetime(2013, 9, 1), datetime(2014, 1, 1), datetime(2014, 2, 1))
    datetime.datetime(2013, 10, 1, 0, 0)
    >>> moved(datetime(2013, 9, 1), datetime(2014, 1, 1), datetime(2014, 1, 8)), moved(40, 100, 110)
    (datetime.datetime(2013, 9, 8, 0, 0), 50)
    """
    if isinstance(cut, int) or isinstance(end, int) or isinstance(to, int):
        return int(cut) + int(to) - int(end)  # type: ignore[arg-type]  # the spec has steps, or moments
    if all(one == datetime(one.year, one.month, 1) for one in (cut, end, to)):
        months = 12 * (cut.year + to.year - end.year) + cut.month - 1 + to.month - end.month
        return datetime(months // 12, months % 12 + 1, 1)
    return cut + (to - end)


def _earlier(to: Point, window: timedelta | int) -> Point:
    if isinstance(to, int) and isinstance(window, int):
        return to - window
    if isinstance(to, datetime) and isinstance(window, timedelta):
        return to - window
    found = f"{window} is not as long as the times are written: {'steps' if isinstance(to, int) else 'moments'}"
    raise SpecError(Problem(key="--window", found=found, fix="write a number of steps, or a length such as 365d"))


def _moment(option: str, written: str | None) -> Point | None:
    try:
        return None if written is None else TypeAdapter[Point](Moment).validate_python(parse_value(written))
    except ValueError:
        found = f"expected a date or a time, got {written!r}"
        raise SpecError(Problem(key=option, found=found, fix="write a date such as 2014-01-01")) from None


def _window(written: str) -> timedelta | int:
    try:
        return TypeAdapter[timedelta | int](DurationOrSteps).validate_python(parse_value(written))
    except ValueError:
        found = f"expected a length of time such as 365d, got {written!r}"
        raise SpecError(Problem(key="--window", found=found, fix="write for example --window 365d")) from None


def _text(moment: Point) -> str:
    return str(plain(write_moment(moment)))
