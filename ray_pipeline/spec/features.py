"""The sections `features` and `select`: which tables are read, and which rows of them."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from ray_pipeline.components.choice import UnknownChoice, files, find
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.sources import DEFAULT
from ray_pipeline.components.splitters.time import Moment
from ray_pipeline.duration import DurationOrSteps, as_timedelta
from ray_pipeline.errors import nearest
from ray_pipeline.spec.choices import Reading, choice_schema, refusals
from ray_pipeline.spec.field_types import Column, Columns, ConditionText, ExpressionText, Path, Section
from ray_pipeline.spec.messages import Message, Refusal, keys, refuse, unknown_key

PARAMETERS = "(parameters)"
"""The key under which a source's parameters are kept; no user writes it."""


def _positive(length: timedelta | int) -> timedelta | int:
    if as_timedelta(length) <= timedelta(0):
        raise ValueError("expected a length of time above 0")
    return length


MaxAge = Annotated[DurationOrSteps, AfterValidator(_positive)]


class SourceTable(Section):
    """A table that a source reads. The source's own parameters stand beside `kind` in the file."""

    path: Path
    """A file, a folder (hive partitions too), a glob or a URI (`s3://`, `gs://`, `abfs://`)."""
    kind: Annotated[str, choice_schema("sources")] = DEFAULT
    """The format of the table."""
    time_unit: Literal["s", "ms", "us", "ns", "step"] | None = None
    """What an integer in `time` or `known_at` counts: units since 1970, or steps."""
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
            strange = [name for name in written if kind is not None and name not in (*own, *known)]
            unknown = [
                Refusal(place=(name,), message=unknown_key(name, (*own, *known)), written=written[name])
                for name in strange
            ]
            refuse([*refusals(error, kind, ("kind",) if kind is None else (), written.get("kind")), *unknown])
        table = {name: value for name, value in written.items() if name not in known}
        if kind is not None and kind.path_when_missing is not None and table.get("path") is None:
            table["path"] = kind.path_when_missing
        return {**table, "kind": word, PARAMETERS: parameters}

    @classmethod
    def keys_of_kind(cls, written: object) -> tuple[str, ...]:
        """The further keys that a table of this kind may have: the parameters of its source."""
        try:
            word, _ = read_choice(written.get("kind", DEFAULT) if isinstance(written, Mapping) else DEFAULT)
            return keys(find("sources", word).parameters())
        except (UnknownChoice, ValueError):
            return ()

    @model_serializer(mode="wrap")
    def _with_parameters(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = {**dump(self), **self.parameters}
        if self.path.startswith("("):  # that of a query that no run has read
            del written["path"]
        return {name: value for name, value in written.items() if name != "time_unit" or value is not None}


class Labels(SourceTable):
    """The spine: one row for each prediction to make."""

    label: ExpressionText
    """The column to predict, or an expression."""
    key: Column | None = None
    """A unique row id without nulls. Without it, a hash of the row's content."""
    time: Column | None = None
    """The moment of prediction."""
    weight: Column | None = None
    """The sample weight of each row, at least 0."""
    columns: Columns | None = None
    """The features: names or globs. By default all columns that have no other role."""
    slice_only: Columns = ()
    """Columns that may join and slice, but never reach the model."""


class FeatureTable(SourceTable):
    """A table joined to the spine: as of `labels.time` where it has a `time`, else a plain lookup."""

    on: Annotated[Columns, Field(min_length=1)]
    """The join keys: columns of both tables."""
    time: Column | None = None
    """The time of the event. Without it, the join is a plain lookup."""
    known_at: Column | None = None
    """When the row became known."""
    max_age: MaxAge | None = None
    """A row older than this counts as missing."""
    columns: Columns | None = None
    """The features: names or globs. By default all columns but keys and times."""


class Repository(Section):
    """A Feast repository: each view of a service, or each view that is named, is a feature table."""

    path: Path
    """The folder of the Feast repository."""
    kind: Literal["feast"]
    """Says that the table is a Feast repository."""
    service: Column | None = None
    """The feature service whose views are read."""
    views: Annotated[Columns, Field(min_length=1)] | None = None
    """The views that are read, in place of a service."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.service is None) == (self.views is None):
            raise ValueError("a Feast repository takes either `service: NAME` or `views: [NAME, ...]`")
        return self


class Features(Section):
    """The label table and, under any other name, the feature tables and Feast repositories, in the order of the
    file."""

    labels: Labels
    """The label table: one row for each prediction to make."""
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
    """The first moment of `labels.time` that is used."""
    to: Moment | None = None
    """The moment of `labels.time` before which rows are used."""
    where: ConditionText | None = None
    """A condition; only rows for which it is true are used."""
