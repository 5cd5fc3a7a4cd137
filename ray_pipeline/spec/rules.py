"""What only several keys together decide: metrics against the task, columns against their roles, gates."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from operator import eq
from typing import TYPE_CHECKING

from ray_pipeline.components.choice import each, files, find, menu, name_of, unknown
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.metrics import metric_of, metrics_without_parameters
from ray_pipeline.components.models._base import Model
from ray_pipeline.components.slices._base import clash
from ray_pipeline.components.space import Space
from ray_pipeline.errors import nearest
from ray_pipeline.spec.gate import COSTS, misfits
from ray_pipeline.spec.sections import BINARY_CLASSES, Maximize, Minimize
from ray_pipeline.spec.source_map import Place, dotted
from ray_pipeline.spec.time_rules import Finding, time_findings

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

BEST = {"higher": "maximize", "lower": "minimize"}


def findings(spec: "Spec") -> Iterator[Finding]:
    """Everything in the spec that its keys forbid each other."""
    yield from _metrics(spec)
    yield from _roles(spec)
    yield from _features(spec)
    yield from time_findings(spec)
    yield from _task(spec)
    yield from _class_weight(spec)
    yield from _ignored(spec)
    yield from _encode(spec)
    yield from _constraints(spec)
    yield from _intervals(spec)
    yield from _objectives(spec)
    if spec.fit.on == "folds" and spec.split.folds == 0:
        yield ("fit", "on"), "the models of folds are asked for, but `split.folds` is 0", "write split.folds, 5 say"
    if spec.ensemble != "off" and spec.search.trials == 1:
        found = "an ensemble has several models, and search.trials is 1"
        yield ("ensemble",), found, "search at least 2 trials, or write `ensemble: off`"
    if spec.ensemble != "off" and (spec.fit.on == "folds" or spec.split.folds not in ("auto", 0)):
        found = "folds are of one winner, and an ensemble has several"
        yield ("ensemble",), found, "write `ensemble: off`, or leave out `split.folds` and `fit.on: folds`"
    for place, found in misfits(
        spec.gates, spec.task, [one.columns for one in (*spec.evaluate.slices, *spec.bias.groups)]
    ):
        yield ("gates", place), found, "correct the gate"
    promotes = spec.registration and spec.registration.promote == "if_better"
    if promotes and not any(gate.champion and gate.reduction is None for gate in spec.gates):
        yield (
            ("register", "promote"),
            "if_better compares with the champion, and no gate does",
            f"add a gate such as `{spec.search.metric} >= champion`",
        )
    for place, gate in enumerate(spec.gates):
        if spec.intervals is None and gate.metric not in COSTS and metric_of(gate.metric).of_regions:
            found = f"{gate.metric!r} is of intervals or sets, but there are none"
            yield ("gates", place), found, "add `intervals: {coverage: 0.9}`"
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
    if isinstance(rule := spec.evaluate.threshold, Maximize | Minimize):
        named += [(("evaluate", "threshold", goal), name) for goal, name in rule.model_dump().items()]
    for place, name in named:
        metric = metric_of(name)
        if not metric.fits(spec.task):
            fitting = ", ".join(other.name for other in metrics_without_parameters() if other.fits(spec.task))
            yield place, f"{name!r} is not a {spec.task} metric; one of {fitting}", "take one of these"
        elif metric.of_regions and spec.intervals is None:
            yield place, f"{name!r} is of intervals or sets, but there are none", "add `intervals: {coverage: 0.9}`"
        elif metric.of_regions and place == ("search", "metric"):
            yield place, f"{name!r} is measured after the search", "take another metric"
        elif place[1] == "threshold" and not (metric.decides and metric.objective):
            deciding = ", ".join(
                other.name
                for other in metrics_without_parameters()
                if other.decides and other.objective and other.fits(spec.task) and BEST[other.better] == place[2]
            )
            yield (
                place,
                f"{name!r} does not depend on the threshold or has no best; one of {deciding}",
                "take one of these",
            )
        elif place[1] == "threshold" and place[2] != BEST[metric.better]:
            yield place, f"{metric.better} values of {name!r} are better", f"write {{{BEST[metric.better]}: {name}}}"
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


def _constraints(spec: "Spec") -> Iterator[Finding]:
    """Monotone and interaction constraints, and the families that follow them."""
    if spec.monotone and spec.task == "multiclass":
        yield ("monotone",), "constraints are on one score, but the task is multiclass", "remove `monotone`"
    if spec.monotone:
        yield from _not_taken(spec, "takes_monotone", "takes no monotone constraints", "remove `monotone`")
    for place, group in enumerate(spec.interactions):
        if len(group) == 1:
            found, fix = f"{group[0]!r} is alone in its group", "write groups such as `[[a, b], [c, d]]`, or remove it"
            yield ("interactions", place), f"{found}, as every column in no group is", fix
    if spec.interactions:
        yield from _not_taken(spec, "takes_interactions", "takes no interaction constraints", "remove `interactions`")


def _not_taken(spec: "Spec", what: str, found: str, fix: str) -> Iterator[Finding]:
    """The families of the spec that do not take something, and those that do."""
    takers = ", ".join(name for name in menu("models") if getattr(find("models", name), what))
    for name, family in spec.model.items():
        if not getattr(family, what, False):
            yield ("model", name), f"{name!r} {found}", f"use {takers}, or {fix}"


def _intervals(spec: "Spec") -> Iterator[Finding]:
    """Intervals that the model itself predicts."""
    if spec.intervals is None or not spec.intervals.quantiles:
        return
    if spec.task != "regression":
        found = f"quantiles are of numbers, but the task is {spec.task}"
        yield ("intervals", "method"), found, "write `method: conformal`"
        return
    if spec.ensemble != "off" or spec.fit.on == "folds" or spec.split.folds not in ("auto", 0):
        found = "`intervals.method: quantile` is of one model, and an ensemble or folds have several"
        yield ("intervals", "method"), found, "write `method: conformal`, or leave out folds and ensemble"
    yield from _not_taken(spec, "takes_quantiles", "does not predict several quantiles", "write `method: conformal`")
    for name, family in _families(spec):
        if family.takes_quantiles and getattr(family, family.objective_name) is not None:
            found = f"`intervals.method: quantile` decides what {name!r} minimizes"
            yield ("model", name, family.objective_name), found, "remove it, or write `method: conformal`"


def _families(spec: "Spec") -> list[tuple[str, Model]]:
    """The families whose classes are known already."""
    return [(name, family) for name, family in spec.model.items() if isinstance(family, Model)]


def _objectives(spec: "Spec") -> Iterator[Finding]:
    """Hyperparameters of an objective that the family cannot choose."""
    for name, family in _families(spec):
        objective = getattr(family, family.objective_name, None)
        chosen = objective.ends if isinstance(objective, Space) else (objective,)
        for parameter, objectives in family.of_objective.items():
            if getattr(family, parameter) is not None and not {*objectives} & {*chosen}:
                found = f"{parameter} is a parameter of {' and '.join(objectives)}, which is not chosen"
                fix = f"write `{family.objective_name}: {objectives[0]}`, or remove it"
                yield ("model", name, parameter), found, fix


def _ignored(spec: "Spec") -> Iterator[Finding]:
    extra = {read_choice(check)[0] for check in spec.checks.extra}
    for place, written in enumerate(spec.checks.ignore):
        name = written.partition(":")[0]
        if name not in extra and name not in files("checks") and name not in menu("checks"):
            error = unknown("checks", name, (*menu("checks"), *extra))
            yield ("checks", "ignore", place), str(error), "name a check, or `check:column`"


def _class_weight(spec: "Spec") -> Iterator[Finding]:
    """Weights of classes that a binary task does not have; the classes of a multiclass task are known from rows."""
    if spec.task != "binary" or not isinstance(spec.fit.class_weight, dict):
        return
    named = dict[str, str]()
    for name in spec.fit.class_weight:
        place, known = ("fit", "class_weight", name), BINARY_CLASSES.get(name)
        if known is None:
            found = f"there is no class {name!r} in a binary task; known: 0 (or false), 1 (or true)"
            yield place, found, "write 1 for the rows whose label is 1 or true, 0 for the others"
        elif known in named:
            found = f"class {known} has two weights, as {named[known]!r} and as {name!r}"
            yield place, found, "remove one"
        else:
            named[known] = name


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
