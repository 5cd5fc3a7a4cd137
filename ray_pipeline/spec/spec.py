"""The spec: WHAT is to be made. One strict YAML file, checked as a whole, frozen, and fingerprinted."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
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
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.field_types import Name, Section, Seed, shown, stray_environment
from ray_pipeline.spec.gate import COSTS, Gate
from ray_pipeline.spec.installed import absent
from ray_pipeline.spec.messages import refuse
from ray_pipeline.spec.overrides import Overrides
from ray_pipeline.spec.render import render
from ray_pipeline.spec.repair import Mistake, can_judge, repaired
from ray_pipeline.spec.sections import (
    Bias,
    Checks,
    Encode,
    Evaluate,
    Explain,
    Features,
    FeatureTable,
    Fit,
    Register,
    Search,
    Select,
)
from ray_pipeline.spec.source_map import Place, Text, dotted, parse_text, read_text
from ray_pipeline.values import Task

EXPECTED = "name, task, features, split, model"
NOT_IDENTITY = ("name", "register")
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
    """What a run is to make; read it with `from_file`."""

    name: Name
    task: Task
    features: Features
    select: Select = Select()
    split: SplitField
    encode: dict[str, Encode] = Field(default_factory=dict)
    model: ModelsField
    search: Search
    fit: Fit = Fit()
    evaluate: Evaluate
    bias: Bias
    gates: tuple[GateText, ...] = ()
    # Under another name than its key, since every class has a method `register` (of ABCMeta) that a field would hide.
    registration: Annotated[Register | Literal[False], BeforeValidator(_register)] = Field(
        default=Register(), alias="register"
    )
    checks: Checks = Checks()
    explain: Explain = Explain()
    seed: Seed

    _text: Text = PrivateAttr(default=Text("spec", {}, {}))
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
        text, overrides = read_text(Path(path), EXPECTED), Overrides.parse(sets)
        return cls._read(text, overrides, Path(path).resolve().parent, trust)

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
        return cls._read(parse_text(text, file, EXPECTED), Overrides.parse(sets), folder or Path.cwd(), trust)

    @classmethod
    def _read(cls, text: Text, overrides: Overrides, folder: Path, trust: Sequence[str] | None) -> Self:
        if trust is not None:
            choice.trust(trust)
        return cls._checked(overrides.applied(text), folder, overrides.problems, may_wait=trust is None)

    @classmethod
    def _checked(cls, text: Text, folder: Path, found: Sequence[Problem] = (), *, may_wait: bool) -> Self:
        """The spec of a text, checked as a whole; `found` are problems that are known already."""
        problems = [*found, *_environment(text)]
        content, mistakes, reading = text.data, list[Mistake](), Reading(may_wait)
        for _ in range(GUESSES):
            try:
                spec = cls.model_validate(filled(content), context=reading)
            except ValidationError as error:
                known = {problem.key for problem in problems} if mistakes else set()
                problems += [
                    one
                    for one in messages.problems(error, cls, text)
                    if one.key not in known and can_judge(re.split(r"[.\[]", one.key or "")[0], mistakes)
                ]
                mistakes += messages.mistakes(error, cls)
                content = repaired(content, mistakes)
            else:
                # What several keys decide together is judged once every choice is known.
                findings = () if reading.waiting else rules.findings(spec)
                problems += [_problem(text, *one) for one in findings if can_judge(str(one[0][0]), mistakes)]
                break
        if problems:
            raise SpecError(sorted(problems, key=lambda problem: problem.line or 0))
        spec._text, spec._folder, spec._dotted = text, folder, tuple(reading.dotted)
        spec._packages = tuple(sorted(reading.packages - {PACKAGE}))
        return spec

    def __eq__(self, other: object) -> bool:
        """Whether both ask for the same, wherever they were read."""
        return isinstance(other, Spec) and self.as_data() == other.as_data()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def folder(self) -> Path:
        """The folder of the file: relative data paths start here."""
        return self._folder

    @property
    def external_packages(self) -> tuple[str, ...]:
        """The packages, besides this one, whose classes it uses; sorted."""
        return self._packages

    def place(self, key: str) -> tuple[str, int | None]:
        """File and line of a dotted key, or of the nearest key around it, for problems that only the data shows."""
        step = max(
            (
                place
                for place in self._text.lines
                if f"{key}.".startswith(f"{dotted(place)}.") or f"{key}[".startswith(f"{dotted(place)}[")
            ),
            key=len,
            default=(),
        )
        return self._text.file, self._text.line(step)

    @property
    def register(self) -> Register | Literal[False]:
        """Under which alias the model is registered; False for not at all."""
        return self.registration

    @property
    def needs_registry(self) -> bool:
        """Whether the run registers its model, or a gate compares it with the champion."""
        return bool(self.registration) or any(gate.champion for gate in self.gates)

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Every slice that is measured, audited or explained."""
        return (*self.evaluate.slices, *self.bias.groups, *self.explain.slices)

    @cached_property
    def label_expression(self) -> Expression:
        """What makes the label of a row."""
        return Expression.parse(self.features.labels.label)

    @cached_property
    def where_expression(self) -> Expression | None:
        """Which rows are kept; None for all."""
        return Expression.parse(self.select.where) if self.select.where else None

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders that its model families need, each once."""
        return tuple(dict.fromkeys(getattr(model, "encoder") for model in self.model.values()))  # noqa: B009

    def with_tables(self, tables: Mapping[str, FeatureTable]) -> Self:
        """The spec with these feature tables in place of its repositories. Raises `SpecError` where they do not go with
        the rest of it."""
        features = self.features.model_copy(update={"tables": {**self.features.tables, **tables}, "repositories": {}})
        spec = self.model_copy(update={"features": features})
        if problems := [_problem(self._text, *finding) for finding in rules.findings(spec)]:
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
        return self._checked(self._text, self._folder, may_wait=False) if self._dotted else self

    def not_installed(self) -> tuple[Problem, ...]:
        """What the spec asks for and this installation lacks."""
        return tuple(_problem(self._text, place, found, fix) for place, found, fix in absent(self))

    def as_data(self) -> dict[str, Any]:
        """The spec as plain values, with every default filled in."""
        return self.model_dump(mode="json", by_alias=True)

    def render(self) -> str:
        """The spec as YAML with every default filled in; it parses back to an equal spec."""
        return render(self.as_data())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rendered spec as canonical JSON, without `name` and `register`: the experiment's identity."""
        identity = {key: value for key, value in self.as_data().items() if key not in NOT_IDENTITY}
        return hashlib.sha256(
            json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        ).hexdigest()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of a spec file, for editors."""
        from ray_pipeline.spec.schema import json_schema

        return json_schema(cls)


def _environment(text: Text) -> list[Problem]:
    """`${…}` outside paths and URIs."""

    def strays(value: object, place: Place) -> list[Problem]:
        if isinstance(value, dict):
            return [problem for key, item in value.items() for problem in strays(item, (*place, key))]
        if isinstance(value, tuple):
            return [problem for number, item in enumerate(value) for problem in strays(item, (*place, number))]
        found = (
            stray_environment(value)
            if isinstance(value, str) and not (len(place) == 3 and place[0] == "features" and place[2] == "path")
            else None
        )
        return [_problem(text, place, found, "write the value itself")] if found else []

    return strays(text.data, ())


def _problem(text: Text, place: Place, found: str, fix: str) -> Problem:
    line = text.line(place)
    return Problem(file=text.file, line=line, key=dotted(place), found=found, fix=fix)
