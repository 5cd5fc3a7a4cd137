"""The JSON schema of a spec file: pydantic's, with the choices that it cannot see, and only what a user must write
required."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ray_pipeline.components.choice import Choice, each, find, menu, name_of
from ray_pipeline.components.metrics import metrics_without_parameters
from ray_pipeline.spec.choices import MARK
from ray_pipeline.spec.defaults import AUTO
from ray_pipeline.spec.features import PARAMETERS
from ray_pipeline.spec.field_docs import field_docs
from ray_pipeline.spec.field_types import Section

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

Schema = dict[str, Any]
REQUIRED = ("name", "task", "features", "split", "model")
FILLED_IN = ("Search", "Evaluate", "Bias")
TABLES = ("Labels", "FeatureTable")
DOTTED = {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(.*\))?$"}


def json_schema(spec: type["Spec"]) -> Schema:
    """Draft 2020-12, for editors; the spec's own checks say more than a schema can."""
    schema = spec.model_json_schema(by_alias=True)
    schema["title"], schema["required"] = "ray-pipeline spec", list(REQUIRED)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    parts = schema["$defs"]
    for kind in _sections(Section):
        _describe(schema if kind is spec else parts.get(kind.__name__, {}), kind)
    schema["properties"] |= {"split": _split(parts), "model": _model(parts)}
    features = parts["Features"]
    for hidden in ("tables", "repositories"):
        features["properties"].pop(hidden, None)
    features["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/FeatureTable"}, {"$ref": "#/$defs/Repository"}]}
    for section in FILLED_IN:
        parts[section].pop("required", None)
    for table in TABLES:
        _open_to_sources(parts[table])
    properties = _with_choices(schema["properties"], parts)
    definitions = {name: _with_choices(part, parts) for name, part in [*parts.items()]}
    return schema | {"properties": properties, "$defs": parts | definitions}


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _describe(schema: Schema, kind: type[BaseModel]) -> None:
    """Adds the meaning of each key, which editors show."""
    for key, text in field_docs(kind).items():
        if key in schema.get("properties", {}):
            schema["properties"][key].setdefault("description", text)


def _split(parts: Schema) -> Schema:
    """One form for each splitter, and one for those of the user's own."""
    forms = []
    for word in menu("splitters"):
        form = _of_class(find("splitters", word), parts)
        form["properties"]["by"] = {"const": word}
        forms.append(form)
    return {"anyOf": [*forms, {"type": "object", "properties": {"by": DOTTED}, "required": ["by"]}]}


def _model(parts: Schema) -> Schema:
    words = list(menu("models"))
    families = {word: _of_class(find("models", word), parts) for word in words}
    return {
        "anyOf": [
            {"type": "string", "examples": [AUTO, *words]},
            {"type": "array", "items": {"type": "string", "examples": words}, "minItems": 1, "uniqueItems": True},
            {"type": "object", "properties": families, "minProperties": 1},
        ]
    }


def _open_to_sources(table: Schema) -> None:
    """Lets a table carry the parameters of any source; of one of the user's own, any keys."""
    table["properties"].pop(PARAMETERS)
    table.pop("additionalProperties")
    names = {*table["properties"], *(name for kind in each("sources") for name in kind.parameters().model_fields)}
    without_path = [name_of(kind) for kind in each("sources") if kind.path_when_missing is not None]
    table["required"].remove("path")
    table["anyOf"] = [
        {"required": ["path"]},
        {"properties": {"kind": {"enum": without_path}}, "required": ["kind"]},
    ]
    table["if"] = {"properties": {"kind": DOTTED}, "required": ["kind"]}
    table["else"] = {"propertyNames": {"enum": sorted(names)}}


def _with_choices(schema: Any, parts: Schema) -> Any:
    """The schema with the forms of each choice in place of its mark."""
    if isinstance(schema, dict):
        rest = {key: _with_choices(value, parts) for key, value in schema.items() if key != MARK}
        return {**rest, **_named(*schema[MARK], parts=parts)} if MARK in schema else rest
    return [_with_choices(value, parts) for value in schema] if isinstance(schema, list) else schema


def _named(folder: str, *others: str, parts: Schema) -> Schema:
    """A word, a text with parameters, or a mapping of the word to its parameters."""
    kinds: dict[str, type[Choice]] = {name_of(kind): kind.parameters() for kind in each(folder)}
    if folder == "metrics":
        words = [metric.name for metric in metrics_without_parameters()]
    else:
        words = [*others, *kinds]
    with_parameters = {word: _of_class(kind, parts) for word, kind in kinds.items() if kind.model_fields}
    return {
        "type": ["string", "object"],
        "anyOf": [
            {"enum": words},
            DOTTED,
            {"type": "string", "pattern": r"^\w+\(.*\)$"},
            {"type": "object", "properties": with_parameters, "minProperties": 1, "maxProperties": 1},
        ],
    }


def _of_class(kind: type[Choice], parts: Schema) -> Schema:
    """The schema of a choice; its definitions go to the root, where they belong."""
    schema = kind.model_json_schema()
    _describe(schema, kind)
    parts |= schema.pop("$defs", {})
    return schema
