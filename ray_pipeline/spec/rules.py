"""What only several keys together decide: metrics against the task, columns against their roles, times, cuts, gates."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from operator import eq
from typing import TYPE_CHECKING

from ray_pipeline.components.choice import each, files, find, menu, name_of, unknown
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.metrics import metric_of, metrics_without_parameters
from ray_pipeline.components.slices._base import clash
from ray_pipeline.components.splitters.time import Time, as_datetime64
from ray_pipeline.duration import as_timedelta, write_duration
from ray_pipeline.errors import nearest
from ray_pipeline.spec.gate import misfits
from ray_pipeline.spec.sections import Maximize
from ray_pipeline.spec.source_map import Place, dotted

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

Finding = tuple[Place, str, str]
"""Place, what was found, what would do."""


def findings(spec: "Spec") -> Iterator[Finding]:
    """Everything in the spec that its keys forbid each other."""
    yield from _metrics(spec)
    yield from _roles(spec)
    yield from _features(spec)
    yield from _times(spec)
    steps = list(_steps(spec))
    yield from steps or _split(spec)
    yield from _task(spec)
    yield from _ignored(spec)
    yield from _encode(spec)
    yield from _monotone(spec)
    for place, found in misfits(
        spec.gates, spec.task, [one.columns for one in (*spec.evaluate.slices, *spec.bias.groups)]
    ):
        yield ("gates", place), found, "correct the gate"
    if why := clash(spec.slices):
        yield ("evaluate", "slices"), why, "drop one of them"
    if spec.explain.slices and not spec.explain.rows:
        yield (
            ("explain", "slices"),
            "explain.rows is 0, so nothing is explained, in no slice either",
            "set explain.rows, to 1000 say",
        )


def _metrics(spec: "Spec") -> Iterator[Finding]:
    named: list[tuple[Place, str]] = [(("search", "metric"), spec.search.metric)]
    named += [(("evaluate", "metrics", place), name) for place, name in enumerate(spec.evaluate.metrics)]
    named += [(("bias", "measures", place), name) for place, name in enumerate(spec.bias.measures)]
    if isinstance(spec.evaluate.threshold, Maximize):
        named.append((("evaluate", "threshold", "maximize"), spec.evaluate.threshold.maximize))
    for place, name in named:
        metric = metric_of(name)
        if not metric.fits(spec.task):
            fitting = ", ".join(other.name for other in metrics_without_parameters() if other.fits(spec.task))
            yield place, f"{name!r} is not a {spec.task} metric; one of {fitting}", "take one of these"
        elif place[-1] == "maximize" and not (metric.decides and metric.objective):
            deciding = ", ".join(
                other.name
                for other in metrics_without_parameters()
                if other.decides and other.objective and other.fits(spec.task)
            )
            yield (
                place,
                f"{name!r} does not depend on the threshold or has no best; one of {deciding}",
                "take one of these",
            )
        elif place == ("search", "metric") and not metric.objective:
            yield place, f"{name!r} has no better or worse, so nothing can be searched by it", "take another metric"


def _roles(spec: "Spec") -> Iterator[Finding]:
    labels = spec.features.labels
    label = spec.label_expression
    tables = spec.features.tables
    for name in label.columns:
        if "." in name and name.partition(".")[0] in tables:
            yield (
                ("features", "labels", "label"),
                f"{name!r} is a column of a feature table; a label comes from the label table",
                "name a column of features.labels",
            )
    # A column has one role: those of the label can have no other.
    taken: dict[str, str] = dict.fromkeys(label.columns, "the label")
    roles: list[tuple[Place, str | None]] = [
        (("features", "labels", role), getattr(labels, role)) for role in ("key", "time", "weight")
    ]
    for place, column in [*roles, (("split", "column"), getattr(spec.split, "column", None))]:
        if column and column in taken:
            found = f"{column!r} is both {dotted(place)} and {taken[column]}"
            yield place, found, "give each role a column of its own"
        elif column:
            taken[column] = dotted(place)
    for position, name in enumerate(labels.slice_only):
        if name in label.columns:
            yield (
                ("features", "labels", "slice_only", position),
                f"{name!r} is both slice_only and the label",
                "a slice by the label says nothing; remove it",
            )
        taken.setdefault(name, "slice_only")
    for position, name in enumerate(labels.columns or ()):
        if name in taken:
            yield (
                ("features", "labels", "columns", position),
                f"{name!r} is both a feature (columns[{position}]) and {taken[name]}",
                "remove it from one of them",
            )


def _features(spec: "Spec") -> Iterator[Finding]:
    """Times of feature tables that are features as well, and encodings of columns that are no features."""
    labels, tables = spec.features.labels, spec.features.tables
    for table_name, table in tables.items():
        for role, moment in (("time", table.time), ("known_at", table.known_at)):
            if moment and moment in (table.columns or ()):
                place = (table.columns or ()).index(moment)
                yield (
                    ("features", table_name, "columns", place),
                    f"{moment!r} is both a feature (columns[{place}]) and features.{table_name}.{role}",
                    "remove it from one of them",
                )
    for name in spec.encode:
        listed = labels.columns if "." not in name else None
        if listed is not None and not tables and not any(fnmatchcase(name, one) for one in listed):
            yield (
                ("encode", name),
                f"{name!r} is no feature; {nearest(name, listed)}Known: {', '.join(listed)}",
                "name a column of features.labels.columns",
            )


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


def _encode(spec: "Spec") -> Iterator[Finding]:
    for name, chosen in spec.encode.items():
        if not chosen.given and chosen.type_ is None:
            yield (
                ("encode", name),
                "it says nothing about how to encode the column",
                "write for example `{impute: median}`, or remove it",
            )
        if chosen.encoding and spec.task not in chosen.encoding.tasks:
            fitting = [other for other in each("column_encodings") if spec.task in other.tasks]
            yield (
                ("encode", name, "as"),
                f"`as: {chosen.as_}` has no meaning for a {spec.task} task",
                f"use one of {', '.join(name_of(other) for other in fitting)}",
            )
        given = {option for option in chosen.given if option != "encode"}
        takers = [chosen.encoding] if chosen.encoding else each("column_encodings")
        if not any(given <= {*encoding.takes} for encoding in takers):
            yield (
                ("encode", name),
                f"{', '.join('as' if option == 'encode' else option for option in chosen.given)} do not go together",
                "; ".join(f"`as: {name_of(one)}` takes {', '.join(one.takes)}" for one in each("column_encodings")),
            )


def _monotone(spec: "Spec") -> Iterator[Finding]:
    if not spec.monotone:
        return
    if spec.task == "multiclass":
        yield ("monotone",), "constraints are on one score, but the task is multiclass", "remove `monotone`"
    takers = ", ".join(name for name in menu("models") if find("models", name).takes_monotone)
    for name, family in spec.model.items():
        if not getattr(family, "takes_monotone", False):
            yield ("model", name), f"{name!r} takes no monotone constraints", f"use {takers}, or remove `monotone`"


def _ignored(spec: "Spec") -> Iterator[Finding]:
    extra = {read_choice(check)[0] for check in spec.checks.extra}
    for place, written in enumerate(spec.checks.ignore):
        name = written.partition(":")[0]
        if name not in extra and name not in files("checks") and name not in menu("checks"):
            error = unknown("checks", name, (*menu("checks"), *extra))
            yield ("checks", "ignore", place), str(error), "name a check, or `check:column`"


def _task(spec: "Spec") -> Iterator[Finding]:
    applies: list[tuple[Place, bool, str, Callable[[str], bool]]] = [
        (
            ("evaluate", "threshold"),
            spec.evaluate.threshold is not None,
            "a threshold separates two classes",
            lambda task: task == "binary",
        ),
        (
            ("evaluate", "calibrate"),
            spec.evaluate.calibrate not in ("none", "auto"),
            "calibration is of probabilities",
            lambda task: task != "regression",
        ),
        (
            ("fit", "class_weight"),
            spec.fit.class_weight is not None,
            "class weights need classes",
            lambda task: task != "regression",
        ),
    ]
    for family, model in spec.model.items():
        for name, task in getattr(model, "only_for", {}).items():
            given = getattr(model, name) is not None
            applies.append((("model", family, name), given, f"{name} is for a {task}", partial(eq, task)))
    for place, given, why, fits in applies:
        if given and not fits(spec.task):
            yield place, f"{why}, but the task is {spec.task}", "remove it, or change the task"
    if spec.label_expression.is_boolean and spec.task != "binary":
        yield (
            ("task",),
            f"the label {spec.features.labels.label!r} is true or false, but the task is {spec.task}",
            "write `task: binary`, or a label with more values",
        )


def _day(moment: datetime | int | None) -> str:
    return str(moment).removesuffix(" 00:00:00")
