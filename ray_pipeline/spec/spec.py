"""The spec: what a run makes. One strict YAML file, checked as a whole, frozen, and fingerprinted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from ray_pipeline.components import choice
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.slices._base import Slice
from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.spec import messages, rules
from ray_pipeline.spec.choices import ModelsField, Reading, SplitField, refusals
from ray_pipeline.spec.defaults import filled
from ray_pipeline.spec.environment import stray_variables
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.features import Features, FeatureTable, Select
from ray_pipeline.spec.field_types import Columns, Name, Section, Seed, shown
from ray_pipeline.spec.fingerprint import fingerprint
from ray_pipeline.spec.from_python import source_of
from ray_pipeline.spec.gate import COSTS, Gate
from ray_pipeline.spec.installed import missing_libraries
from ray_pipeline.spec.messages import refuse
from ray_pipeline.spec.overrides import Overrides
from ray_pipeline.spec.render import render
from ray_pipeline.spec.repair import Mistake, can_judge, repaired
from ray_pipeline.spec.sections import (
    Bias,
    Checks,
    Encode,
    EnsembleField,
    Evaluate,
    Explain,
    Fit,
    Intervals,
    Register,
    Search,
)
from ray_pipeline.spec.source_map import SourceMap, dotted, problem_at
from ray_pipeline.spec.yaml_file import parse_yaml, read_yaml
from ray_pipeline.values import Task

EXPECTED = "name, task, features, split, model"
GUESSES = 3
PACKAGE = "ray_pipeline"


def _gate(written: object, info: ValidationInfo) -> object:
    if not isinstance(written, str):
        raise ValueError(f"expected a gate such as `auc >= 0.7`, got {written!r}")
    gate = Gate.parse(written)
    if gate.metric not in COSTS:
        try:
            Reading.of(info).find("metrics", read_choice(gate.metric)[0])
        except choice.UnknownChoice as error:
            refuse(refusals(error, None, (), written))
    return gate


def _register(written: object) -> object:
    if isinstance(written, Mapping):
        return Register.model_validate(written)
    if written is not False and not isinstance(written, Register):
        raise ValueError(f"expected false or a mapping such as {{alias: challenger}}, got {shown(written)}")
    return written


GateText = Annotated[
    Gate,
    BeforeValidator(_gate),
    PlainSerializer(lambda gate: gate.text, return_type=str),
    WithJsonSchema({"type": "string"}),
]


class Spec(Section):
    """What a run makes; read it with `from_file`."""

    name: Name
    """Name of the run and of the registered model."""
    task: Task
    """What is predicted: one of two values, one of several classes, or a number."""
    features: Features
    """The label table, and the feature tables that are joined to it."""
    select: Select = Select()
    """The range of data: which rows of the label table are used."""
    split: SplitField
    """How rows are divided into train, validation and test."""
    encode: dict[str, Encode] = Field(default_factory=dict)
    """How single columns are encoded, where the family's own way does not fit."""
    model: ModelsField
    """One family, a list of families that compete, or families with hyperparameters."""
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(default_factory=dict)
    """Columns with which the score only rises or only falls."""
    interactions: tuple[Annotated[Columns, Field(min_length=1)], ...] = ()
    """Groups of columns that may be in one path of a tree."""
    search: Search
    """How hyperparameters are searched, and what ends the search."""
    ensemble: EnsembleField = "off"
    """Whether the best trials are registered together, as one model."""
    fit: Fit = Fit()
    """On which rows the winner is fitted again."""
    evaluate: Evaluate
    """What is measured on the test part."""
    intervals: Intervals | None = None
    """Whether a prediction comes with an interval, or a set of classes."""
    bias: Bias
    """Between which groups the model is compared."""
    gates: tuple[GateText, ...] = ()
    """Conditions that must all hold before the model is registered."""
    # Under another name than its key, since every class has a method `register` (of ABCMeta) that a field would hide.
    registration: Annotated[Register | Literal[False], BeforeValidator(_register)] = Field(
        default=Register(), alias="register"
    )
    """The alias that the registered model gets; `false` registers nothing."""
    checks: Checks = Checks()
    """Which findings in the data end the run."""
    explain: Explain = Explain()
    """On how many test rows the model is explained."""
    seed: Seed
    """Seed of everything that has no seed of its own."""

    _source: SourceMap = PrivateAttr(default=SourceMap(file="spec", data={}, lines={}))
    _folder: Path = PrivateAttr(default=Path())
    _dotted: tuple[str, ...] = PrivateAttr(default=())
    _packages: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def from_file(cls, path: str | Path, sets: Sequence[str] = (), trust: Sequence[str] | None = None) -> Self:
        """The spec in the file.

        Parameters
        ----------
        path
            The YAML file. Relative data paths start at its folder.
        sets
            Overrides, as `--set key=value` gives them.
        trust
            The packages whose classes the spec may name, as the cluster file lists them. Unless given, dotted names of
            untrusted packages are kept as written, and checked by `trusting`.

        Raises
        ------
        SpecError
            With every problem, each with file, line and dotted key.
        """
        source, overrides = read_yaml(Path(path), EXPECTED), Overrides.parse(sets)
        source = replace(source, typed=tuple(place for place, _ in overrides.values))
        return cls._read(source, overrides, Path(path).resolve().parent, trust)

    @classmethod
    def from_text(
        cls,
        text: str,
        sets: Sequence[str] = (),
        file: str = "spec.yaml",
        folder: Path | None = None,
        trust: Sequence[str] | None = None,
    ) -> Self:
        """The spec of a text; its paths are relative to `folder` (default: the working directory). See `from_file`."""
        return cls._read(parse_yaml(text, file, EXPECTED), Overrides.parse(sets), folder or Path.cwd(), trust)

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], folder: Path | None = None) -> Self:
        """The spec of a mapping with the keys of a spec file; its paths are relative to `folder`. See `from_text`."""
        return cls._read(source_of(written), Overrides.parse(()), folder or Path.cwd(), None)

    @classmethod
    def _read(cls, source: SourceMap, overrides: Overrides, folder: Path, trust: Sequence[str] | None) -> Self:
        if trust is not None:
            choice.trust(trust)
        return cls._checked(overrides.applied(source), folder, overrides.problems, may_wait=trust is None)

    @classmethod
    def _checked(cls, source: SourceMap, folder: Path, found: Sequence[Problem] = (), *, may_wait: bool) -> Self:
        """The spec, checked as a whole; `found` are problems that are known already."""
        problems = [*found, *stray_variables(source)]
        content, mistakes, reading = source.data, list[Mistake](), Reading(may_wait)
        for _ in range(GUESSES):
            try:
                spec = cls.model_validate(filled(content), context=reading)
            except ValidationError as error:
                known = {problem.key for problem in problems} if mistakes else set()
                problems += [
                    one
                    for one in messages.problems(error, cls, source, content)
                    if one.key not in known and can_judge(re.split(r"[.\[]", one.key or "")[0], mistakes)
                ]
                mistakes += messages.mistakes(error, cls, source)
                content = repaired(content, mistakes)
            else:
                # What several keys decide together is judged once every choice is known.
                findings = () if reading.waiting else rules.findings(spec)
                problems += [problem_at(source, *one) for one in findings if can_judge(str(one[0][0]), mistakes)]
                break
        if problems:
            raise SpecError(sorted(problems, key=lambda problem: problem.line or 0))
        spec._source, spec._folder, spec._dotted = source, folder, tuple(reading.dotted)
        dotted = {word.partition(".")[0] for word in reading.dotted}
        spec._packages = tuple(sorted((reading.packages | dotted) - {PACKAGE}))
        return spec

    def __eq__(self, other: object) -> bool:
        """Whether both have the same content, wherever they were read."""
        return isinstance(other, Spec) and self.as_data() == other.as_data()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def folder(self) -> Path:
        """The folder of the file: relative data paths start here."""
        return self._folder

    @property
    def external_packages(self) -> tuple[str, ...]:
        """The packages, besides this one, whose classes it uses, trusted or not yet; sorted."""
        return self._packages

    def place(self, key: str) -> tuple[str, int | None]:
        """File and line of a dotted key, or of the nearest key around it; for problems that only the data shows."""
        step = max(
            (
                place
                for place in self._source.lines
                if f"{key}.".startswith(f"{dotted(place)}.") or f"{key}[".startswith(f"{dotted(place)}[")
            ),
            key=len,
            default=(),
        )
        return self._source.file, self._source.line(step)

    @property
    def needs_registry(self) -> bool:
        """Whether the run registers its model, or a gate compares it with the champion."""
        return bool(self.registration) or any(gate.champion for gate in self.gates)

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Every slice that is measured, audited or explained, in this order."""
        return (*self.evaluate.slices, *self.bias.groups, *self.explain.slices)

    @cached_property
    def label_expression(self) -> Expression:
        """The expression of the label."""
        return Expression.parse(self.features.labels.label)

    @cached_property
    def where_expression(self) -> Expression | None:
        """The condition for the rows that are kept; None for all."""
        return Expression.parse(self.select.where) if self.select.where else None

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders that its families need, each once."""
        return tuple(dict.fromkeys(getattr(model, "encoder") for model in self.model.values()))  # noqa: B009

    @property
    def uses_gpu(self) -> bool:
        """Whether one of its families trains on a GPU where the cluster has one."""
        return any(getattr(model, "uses_gpu") for model in self.model.values())  # noqa: B009

    def with_tables(self, tables: Mapping[str, FeatureTable]) -> Self:
        """The spec with these feature tables in place of its repositories; raises `SpecError` if they do not fit it."""
        features = self.features.model_copy(update={"tables": {**self.features.tables, **tables}, "repositories": {}})
        spec = self.model_copy(update={"features": features})
        if problems := [problem_at(self._source, *finding) for finding in rules.findings(spec)]:
            raise SpecError(problems)
        return spec

    def trusting(self, packages: Sequence[str]) -> Self:
        """The spec with the choices of the user's own imported from these packages, and from no others.

        Raises
        ------
        SpecError
            A choice is not in them, cannot be imported, or has wrong parameters.
        """
        choice.trust(packages)
        return self._checked(self._source, self._folder, may_wait=False) if self._dotted else self

    def without_range(self) -> Self:
        """The spec that keeps rows of all times: for rows that came later, which `select.where` still chooses from."""
        return self.model_copy(update={"select": self.select.model_copy(update={"from_": None, "to": None})})

    def not_installed(self) -> tuple[Problem, ...]:
        """What the spec needs and this installation lacks."""
        return tuple(problem_at(self._source, place, found, fix) for place, found, fix in missing_libraries(self))

    def as_data(self) -> dict[str, Any]:
        """The spec as plain values, with every default filled in."""
        return self.model_dump(mode="json", by_alias=True)

    def render(self) -> str:
        """The spec as YAML with every default filled in; it parses back to an equal spec."""
        return render(self.as_data())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec with all defaults, without `name` and `register`."""
        return fingerprint(self)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of a spec file, for editors."""
        from ray_pipeline.spec.schema import json_schema

        return json_schema(cls)
