"""The sections of the spec: what each key takes, and its default. What only several keys together decide stands in
`rules.py`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from ray_pipeline.components.choice import UnknownChoice, Untrusted, files, find
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.sources import DEFAULT
from ray_pipeline.components.splitters.time import Moment
from ray_pipeline.duration import Duration, parse_duration, write_duration
from ray_pipeline.errors import nearest
from ray_pipeline.spec.choices import (
    CalibratorName,
    CheckName,
    EncodingName,
    MetricName,
    Reading,
    SliceField,
    choice_schema,
    refusals,
)
from ray_pipeline.spec.field_types import (
    Column,
    Columns,
    Path,
    Real,
    Section,
    Seed,
    Truth,
    Value,
    Whole,
    columns,
    distinct,
    names,
)
from ray_pipeline.spec.messages import Message, Refusal, keys, refuse

MIN_TRIALS, MAX_TRIALS = 1, 100_000
PARAMETERS = "(parameters)"
"""The key under which a source's parameters are kept; no user writes it."""


def _seconds(written: object) -> float:
    if isinstance(written, int | float) and not isinstance(written, bool):
        seconds = float(written)
    else:
        seconds = parse_duration(written).total_seconds()
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"expected a length of time above 0 and at most a year, got {written!r}")
    return seconds


def _positive(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise ValueError("expected a length of time above 0")
    return length


def _alias(written: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", written) or re.fullmatch(r"(?i)v\d+|latest", written):
        raise ValueError(
            "an alias has 1 to 100 characters out of A-Z a-z 0-9 _ -, and is neither `latest` nor `v1`, got"
            f" {written!r}"
        )
    return written


def _impute(written: object) -> object:
    if isinstance(written, bool) or not isinstance(written, str | int | float | None):
        raise ValueError(f"expected mean, median, most_frequent, none or the value itself, got {written!r}")
    return float(written) if isinstance(written, int) else written


def _rare(written: object) -> object:
    return written if written is None else Real(low=0).read(written)


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(lambda seconds: write_duration(timedelta(seconds=seconds)), return_type=str),
    Field(json_schema_extra={"type": "string"}),
]
MaxAge = Annotated[Duration, AfterValidator(_positive)]
MetricNames = Annotated[tuple[MetricName, ...], Field(min_length=1), BeforeValidator(names), AfterValidator(distinct)]


class SourceTable(Section):
    """A table that a source reads. The source's own parameters stand beside `kind` in the file."""

    path: Path
    kind: Annotated[str, choice_schema("sources")] = DEFAULT
    parameters: dict[str, Any] = Field(default_factory=dict, exclude=True, alias=PARAMETERS)

    @model_validator(mode="before")
    @classmethod
    def _parameters_apart(cls, written: Any, info: ValidationInfo) -> Any:
        if not isinstance(written, Mapping):
            return written
        own, kind = keys(cls), None
        try:
            word, parameters = read_choice(written.get("kind", DEFAULT))
            if word in files("sources") and not parameters and {*written} <= {*own}:
                return {**written, "kind": word}  # without the source's libraries
            kind = Reading.of(info).find("sources", word)
            known = [name for name in written if name not in own] if kind is None else keys(kind.parameters())
            parameters |= {name: written[name] for name in known if name in written and name not in own}
            if kind is not None:
                checked = kind.parameters().model_validate(parameters)
                parameters = checked.model_dump(mode="json", exclude_defaults=True)
        except (UnknownChoice, ValidationError) as error:
            refuse(refusals(error, kind, ("kind",) if kind is None else (), written.get("kind")))
        table = {name: value for name, value in written.items() if name not in known}
        return {**table, "kind": word, PARAMETERS: parameters}

    @model_serializer(mode="wrap")
    def _with_parameters(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**dump(self), **self.parameters}


class Labels(SourceTable):
    """The spine: one row for each prediction to make."""

    label: Value
    key: Column | None = None
    time: Column | None = None
    weight: Column | None = None
    columns: Columns | None = None
    slice_only: Columns = ()


class FeatureTable(SourceTable):
    """A table joined to the spine: as of `labels.time` where it has a `time`, else a plain lookup."""

    on: Annotated[Columns, Field(min_length=1)]
    time: Column | None = None
    known_at: Column | None = None
    max_age: MaxAge | None = None
    columns: Columns | None = None


class Repository(Section):
    """A Feast repository: each view of a service, or each view that is named, is a feature table."""

    path: Path
    kind: Literal["feast"]
    service: Column | None = None
    views: Annotated[Columns, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.service is None) == (self.views is None):
            raise ValueError("a Feast repository takes either `service: NAME` or `views: [NAME, ...]`")
        return self


class Features(Section):
    """The label table and, under any other name, the feature tables and Feast repositories, in the order of the
    file."""

    labels: Labels
    tables: dict[str, FeatureTable] = Field(default_factory=dict)
    repositories: dict[str, Repository] = Field(default_factory=dict)

    @property
    def all(self) -> dict[str, Labels | FeatureTable]:
        """Every table by its name, `labels` first."""
        return {"labels": self.labels, **self.tables}

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        others = {name: table for name, table in written.items() if name != "labels"}
        for name in others:
            message = None
            if "labels" not in written and nearest(name, ["labels"]):
                message = Message(found=f"unknown key {name!r}; did you mean 'labels'?", fix="write 'labels'")
            elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                found = f"a feature table's name has letters, digits and _ only, got {name!r}"
                message = Message(found=found, fix="rename it")
            if message:
                refuse([Refusal(place=(name,), message=message, written=written[name])])
        repositories = {
            name: table for name, table in others.items() if isinstance(table, Mapping) and table.get("kind") == "feast"
        }
        tables = {name: table for name, table in others.items() if name not in repositories}
        return {
            **{key: written[key] for key in written if key == "labels"},
            "tables": tables,
            "repositories": repositories,
        }

    @model_serializer(mode="wrap")
    def _together(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = dump(self)
        return {"labels": written["labels"], **written["tables"], **written["repositories"]}


class Select(Section):
    """The range of data: [from, to) on `labels.time`, and a condition."""

    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    where: Truth | None = None


class Encode(Section):
    """How one column is encoded, in place of its family's own way; what is not given stays as the family has it."""

    impute: Annotated[str | float | None, BeforeValidator(_impute)] = None
    flag: bool | None = None
    scale: Literal["none", "standard", "robust", "quantile", "log"] | None = None
    as_: EncodingName | None = Field(default=None, alias="as")
    rare: Annotated[float | None, BeforeValidator(_rare)] = None
    parts: Annotated[
        tuple[Literal["year", "month", "day", "weekday", "hour", "minute", "yearday"], ...] | None,
        BeforeValidator(columns),
    ] = None
    cycles: bool | None = None

    @property
    def encoding(self) -> Any:
        """The class that `as` names; None where it names none, or one that waits for trust."""
        try:
            return find("column_encodings", read_choice(self.as_)[0]) if self.as_ else None
        except Untrusted:
            return None

    @property
    def by_label(self) -> bool:
        """Whether the column is encoded by the labels of its rows."""
        return self.encoding is not None and bool(self.encoding.by_label)

    @property
    def given(self) -> dict[str, Any]:
        """The options that are given, by the names that encodings know."""
        named = {"encode" if name == "as_" else name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in named.items() if value is not None}

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class Search(Section):
    """How hyperparameters are looked for, and what ends it: trials, time or target, whichever comes first."""

    trials: Annotated[int, Whole(MIN_TRIALS, MAX_TRIALS)]
    time: Seconds | None = None
    target: Annotated[float, Real()] | None = None
    metric: MetricName
    seed: Seed
    trial_seconds: Annotated[float, Real(low=0, open=True)] | None = None
    latency_ms: Annotated[float, Real(low=0, open=True)] | None = None
    """A trial whose model takes longer to score one row does not compete."""
    scheduler: Literal["asha", "none"] = "asha"
    searcher: Literal["tpe", "random"] = "tpe"
    deterministic: bool
    warm_start: str | None = None


def _class_weight(written: object) -> object:
    if isinstance(written, Mapping):
        return {str(name): Real(low=0, open=True).read(weight) for name, weight in written.items()}
    if written not in (None, "balanced"):
        raise ValueError(f"expected `balanced` or a weight for each class, got {written!r}")
    return written


class Fit(Section):
    """On which parts the winner is fitted once more."""

    on: Literal["train", "train+validation"] = "train+validation"
    class_weight: Annotated[Literal["balanced"] | dict[str, float] | None, BeforeValidator(_class_weight)] = None


class Maximize(Section):
    """The threshold at which a metric of decisions is best on validation."""

    maximize: MetricName


class Costs(Section):
    """What each kind of mistake costs."""

    false_positive: Annotated[float, Real(low=0)]
    false_negative: Annotated[float, Real(low=0)]


class Cost(Section):
    """The threshold of least cost on validation."""

    cost: Costs


def _threshold(written: object, info: ValidationInfo) -> object:
    if isinstance(written, Mapping):
        if len(written) != 1 or not set(written) <= {"maximize", "cost"}:
            key = next((str(key) for key in written if key not in ("maximize", "cost")), "")
            raise ValueError(
                f"there is no rule {key!r}; {nearest(key, ('maximize', 'cost'))}write a number, {{maximize: METRIC}} or"
                " {cost: {false_positive: 1, false_negative: 5}}"
            )
        return (Maximize if "maximize" in written else Cost).model_validate(written, context=info.context)
    return written if written is None or isinstance(written, Section) else Real(0, 1).read(written)


class Evaluate(Section):
    """What is measured on the test part, overall and by slice, and from which score on a row is selected."""

    metrics: MetricNames
    slices: tuple[SliceField, ...] = ()
    calibrate: CalibratorName = "auto"
    threshold: Annotated[float | Maximize | Cost | None, BeforeValidator(_threshold)]
    confidence: Annotated[float, Real(0.5, 1, open=True)] = 0.95
    draws: Annotated[int, Whole(100, 100_000)] = 1000
    cluster: Column | None = None
    min_rows: Annotated[int, Whole(1, 10**9)] = 200


class Bias(Section):
    """Between which groups the model is compared, and by which measures."""

    groups: tuple[SliceField, ...] = ()
    measures: MetricNames
    min_rows: Annotated[int, Whole(1, 10**9)] = 200


class Register(Section):
    """Under which alias a passing model is registered; `when: always` registers a refused one too, marked, without the
    alias."""

    alias: Annotated[str, AfterValidator(_alias)] | None = None
    when: Literal["passed", "always"] = "passed"


class Checks(Section):
    """From which severity on a finding in the data ends the run, which checks are made besides, and which are not."""

    fail_on: Literal["low", "medium", "high", "never"] = "high"
    ignore: Columns = ()
    extra: Annotated[tuple[CheckName, ...], BeforeValidator(names), AfterValidator(distinct)] = ()
    """Checks of the user's own, and other parameters for known ones."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name != "extra" or value}


class Explain(Section):
    """On how many test rows the model is explained, over all and within each slice; 0 for none."""

    rows: Annotated[int, Whole(0, 1_000_000)] = 0
    slices: tuple[SliceField, ...] = ()
