"""The other sections of the spec: what each key takes, and its default. `rules.py` checks keys against each other."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
)

from ray_pipeline.components.choice import Untrusted, find
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.duration import parse_duration, write_duration
from ray_pipeline.errors import nearest
from ray_pipeline.spec.choices import CalibratorName, CheckName, EncodingName, MetricName, SliceField
from ray_pipeline.spec.field_types import Column, Columns, Real, Section, Seed, Whole, as_list, columns, distinct, path
from ray_pipeline.values import Task

MIN_TRIALS, MAX_TRIALS = 1, 100_000


def _seconds(written: object) -> float:
    if isinstance(written, int | float) and not isinstance(written, bool):
        seconds = float(written)
    else:
        seconds = parse_duration(written).total_seconds()
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"expected a length of time above 0 and at most a year, got {written!r}")
    return seconds


def _alias(written: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", written) or re.fullmatch(r"(?i)v\d+|latest", written):
        raise ValueError(
            "an alias has 1 to 100 characters out of A-Z a-z 0-9 _ -, and is neither `latest` nor `v1`, got"
            f" {written!r}"
        )
    return written


def _key_file(written: str) -> str:
    if "://" in path(written):
        raise ValueError(f"expected the path of a file on this machine, got {written!r}")
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
MetricNames = Annotated[tuple[MetricName, ...], Field(min_length=1), BeforeValidator(as_list), AfterValidator(distinct)]


class Encode(Section):
    """How one column is encoded. What is not given stays as the family does it."""

    impute: Annotated[str | float | None, BeforeValidator(_impute)] = None
    """What stands in place of a missing value: a statistic, `none`, or the value itself."""
    flag: bool | None = None
    """Whether one more column says that the value is missing."""
    scale: Literal["none", "standard", "robust", "quantile", "log"] | None = None
    """How a number is scaled."""
    as_: EncodingName | None = Field(default=None, alias="as")
    """How a text is encoded."""
    rare: Annotated[float | None, BeforeValidator(_rare)] = None
    """Values with fewer rows than this (below 1: a smaller share) count as unseen."""
    parts: Annotated[
        tuple[Literal["year", "month", "day", "weekday", "hour", "minute", "yearday"], ...] | None,
        BeforeValidator(columns),
    ] = None
    """The parts of a time that become columns."""
    cycles: bool | None = None
    """Whether the parts of a time become sine and cosine."""
    type_: Literal["category", "number"] | None = Field(default=None, alias="type")
    """What the column is, where its type in the files does not say it."""

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
        """The options that are given, by the names that encodings know; `type` is none of them."""
        names = [name for name in type(self).model_fields if name != "type_"]
        named = {"encode" if name == "as_" else name: getattr(self, name) for name in names}
        return {name: value for name, value in named.items() if value is not None}

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class Search(Section):
    """How hyperparameters are searched, and what ends the search: trials, time or target, whichever comes first."""

    trials: Annotated[int, Whole(MIN_TRIALS, MAX_TRIALS)]
    """Trials of all families together. The default is 32, or 1000 if `time` or `target` is given."""
    time: Seconds | None = None
    """Search and final fit together end after this time."""
    target: Annotated[float, Real()] | None = None
    """The search ends when the metric reaches this value."""
    metric: MetricName
    """The metric on validation by which trials are compared."""
    seed: Seed
    """Seed of the sampler. By default the `seed` of the spec."""
    trial_seconds: Annotated[float, Real(low=0, open=True)] | None = None
    """A trial that trains longer than this has failed."""
    latency_ms: Annotated[float, Real(low=0, open=True)] | None = None
    """A trial whose model takes longer to score one row cannot win."""
    scheduler: Literal["asha", "none"] = "asha"
    """Whether weak trials are stopped early."""
    searcher: Literal["tpe", "random"] = "tpe"
    """How the next hyperparameters are chosen."""
    deterministic: bool
    """Whether decisions do not depend on how many trials run at once. False by default with `time`."""
    warm_start: str | None = None
    """A run, or `champion`: its winning hyperparameters are tried right after the default."""


class Ensemble(Section):
    """How many models are scored together as one, and what they may cost together."""

    members: Annotated[int, Whole(2, 64)] = 8
    """How many models at most."""
    latency_ms: Annotated[float, Real(low=0, open=True)] | None = None
    """Milliseconds to score one encoded row."""
    size_mb: Annotated[float, Real(low=0, open=True)] | None = None
    """Megabytes of the files of all members."""


def _ensemble(written: object, info: ValidationInfo) -> object:
    if isinstance(written, Mapping):
        return Ensemble.model_validate(written, context=info.context)
    if written != "off" and not isinstance(written, Ensemble):
        raise ValueError(f"expected off or a mapping such as {{members: 8}}, got {written!r}")
    return written


EnsembleField = Annotated[Ensemble | Literal["off"], BeforeValidator(_ensemble)]


BINARY_CLASSES = {"0": "0", "1": "1", "false": "0", "true": "1"}
"""The classes of a binary task, by every name that a spec may give them."""


def _class_weight(written: object) -> object:
    if isinstance(written, Mapping):
        return {str(name): Real(low=0, open=True).read(weight) for name, weight in written.items()}
    if written not in (None, "balanced"):
        raise ValueError(f"expected `balanced` or a weight for each class, got {written!r}")
    return written


class Fit(Section):
    """What the registered model is fitted on; `auto` decides by backtests between the trial's own model and a refit."""

    on: Literal["auto", "train", "train+validation", "folds"] = "auto"
    """The parts that the registered model is trained on, or the mean of the models of the folds."""
    class_weight: Annotated[Literal["balanced"] | dict[str, float] | None, BeforeValidator(_class_weight)] = None
    """A factor for the weight of the rows of each class."""

    def class_weight_of(self, task: Task) -> Literal["balanced"] | dict[str, float] | None:
        """The same, with the two classes of a binary task as `0` and `1`."""
        if task != "binary" or not isinstance(self.class_weight, dict):
            return self.class_weight
        return {BINARY_CLASSES[name]: weight for name, weight in self.class_weight.items()}


class Maximize(Section):
    """The threshold with the best value of a metric of decisions, on validation."""

    maximize: MetricName
    """The metric of decisions whose best threshold on validation is taken."""


class Minimize(Section):
    """The threshold with the least value of a metric of decisions, on validation."""

    minimize: MetricName
    """The metric of decisions whose threshold of the least value on validation is taken."""


class Costs(Section):
    """What each kind of mistake costs."""

    false_positive: Annotated[float, Real(low=0)]
    """What a wrongly selected row costs."""
    false_negative: Annotated[float, Real(low=0)]
    """What a wrongly rejected row costs."""


class Cost(Section):
    """The threshold with the least cost, on validation."""

    cost: Costs
    """The cost of each kind of mistake. The threshold with the least cost on validation is taken."""


RULES: Mapping[str, type[Section]] = {"maximize": Maximize, "minimize": Minimize, "cost": Cost}


def _threshold(written: object, info: ValidationInfo) -> object:
    if isinstance(written, Mapping):
        if len(written) != 1 or not set(written) <= set(RULES):
            key = next((str(key) for key in written if key not in RULES), "")
            raise ValueError(
                f"there is no rule {key!r}; {nearest(key, RULES)}write a number, {{maximize: METRIC}}, {{minimize:"
                " METRIC} or {cost: {false_positive: 1, false_negative: 5}}"
            )
        return RULES[next(iter(written))].model_validate(written, context=info.context)
    return written if written is None or isinstance(written, Section) else Real(0, 1).read(written)


class Evaluate(Section):
    """What is measured on the test part, overall and by slice, and at which score a row is selected."""

    metrics: MetricNames
    """What is measured on the test part."""
    slices: tuple[SliceField, ...] = ()
    """Columns, bins of a number, or crossings of columns, on each value of which the metrics are measured."""
    calibrate: CalibratorName = "auto"
    """How scores become probabilities; `auto` chooses on validation."""
    threshold: Annotated[float | Maximize | Minimize | Cost | None, BeforeValidator(_threshold)]
    """From which score a row is selected: a number, or a rule. By default 0.5 for a binary task."""
    confidence: Annotated[float, Real(0.5, 1, open=True)] = 0.95
    """The confidence of the intervals."""
    draws: Annotated[int, Whole(100, 100_000)] = 1000
    """Draws of the bootstrap."""
    cluster: Column | None = None
    """Rows of one value are drawn together. Default: the split's group, else the day under a time split."""
    min_rows: Annotated[int, Whole(1, 10**9)] = 200
    """Smaller slices are shown, but not judged."""


class Bias(Section):
    """The groups between which the model is compared, and the measures."""

    groups: tuple[SliceField, ...] = ()
    """Columns, bins or crossings whose values are the groups."""
    measures: MetricNames
    """The metrics that are compared between groups."""
    min_rows: Annotated[int, Whole(1, 10**9)] = 200
    """Smaller groups are shown, but not judged."""


class Intervals(Section):
    """Intervals of numbers, or sets of classes, that hold the label of a new row with a given probability."""

    coverage: Annotated[float, Real(0, 1, open=True)] = 0.9
    """The share of new rows whose label should be inside."""
    method: Literal["auto", "conformal", "quantile"] = "auto"
    """From residuals or probabilities (`conformal`, which `auto` means), or by predicted quantiles."""

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles that the model predicts, the score in the middle; none where it predicts the score alone."""
        tail = round((1 - self.coverage) / 2, 12)
        return (tail, 0.5, 1 - tail) if self.method == "quantile" else ()


class Register(Section):
    """The alias of a registered model. `when: always` registers a refused model too, marked and without the alias.

    `promote: if_better` makes a version champion that is better than the champion in every metric that gates compare.
    """

    alias: Annotated[str, AfterValidator(_alias)] | None = None
    """The alias that the new version gets."""
    when: Literal["passed", "always"] = "passed"
    """Whether a refused model is registered, too, marked as refused and without the alias."""
    promote: Literal["never", "if_better"] = "never"
    """Whether a version that is better than the champion becomes champion."""
    sign: Annotated[str, AfterValidator(_key_file)] | None = None
    """The PEM file of a private key by which the bundle is signed; relative to the spec's folder."""


class Checks(Section):
    """The severity at which a finding in the data ends the run, which checks are added, and which are not made."""

    fail_on: Literal["low", "medium", "high", "never"] = "high"
    """Findings of this severity or above end the run."""
    ignore: Columns = ()
    """Checks that are not made."""
    extra: Annotated[tuple[CheckName, ...], BeforeValidator(as_list), AfterValidator(distinct)] = ()
    """Checks of the user's own, and other parameters for known ones."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name != "extra" or value}


class Explain(Section):
    """On how many test rows the model is explained, overall and within each slice; 0 for none."""

    rows: Annotated[int, Whole(0, 1_000_000)] = 0
    """Test rows on which the model is explained; 0 for none."""
    slices: tuple[SliceField, ...] = ()
    """Slices within which the model is explained, too."""
