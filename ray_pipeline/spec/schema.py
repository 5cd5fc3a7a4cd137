"""The JSON schema of a spec file: pydantic's, with the choices that it cannot see, and only what a user must write
required."""

from typing import TYPE_CHECKING, Any

from ray_pipeline.components.choice import menu
from ray_pipeline.spec.choices import model_schema, split_schema

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

REQUIRED = ("name", "task", "features", "split", "model")
FILLED_IN = ("Search", "Evaluate", "Bias")


def json_schema(spec: type["Spec"]) -> dict[str, Any]:
    """Draft 2020-12, for editors; the spec's own checks say more than a schema can."""
    schema = spec.model_json_schema(by_alias=True)
    schema["title"], schema["required"] = "ray-pipeline spec", list(REQUIRED)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    properties, parts = schema["properties"], schema["$defs"]
    choices = {"split": split_schema(), "model": model_schema()}
    for key, choice in choices.items():
        parts |= _definitions_of(choice)
        properties[key] = choice
    features = parts["Features"]
    for kind in ("tables", "repositories"):
        features["properties"].pop(kind, None)
    features["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/FeatureTable"}, {"$ref": "#/$defs/Repository"}]}
    for section in FILLED_IN:
        parts[section].pop("required", None)
    words = {"enum": list(menu("metrics"))}
    parts["Search"]["properties"]["metric"] |= words
    parts["Evaluate"]["properties"]["metrics"] |= {"items": words}
    parts["Bias"]["properties"]["measures"] |= {"items": words}
    return schema


def _definitions_of(choice: dict[str, Any]) -> dict[str, Any]:
    """Takes the definitions out of the schemas within, since they belong at the root."""
    found: dict[str, Any] = {}
    for one in [
        *choice.get("oneOf", []),
        *(family for option in choice.get("anyOf", []) for family in option.get("properties", {}).values()),
    ]:
        found |= one.pop("$defs", {})
    return found
