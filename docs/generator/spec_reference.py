"""The reference of the spec and of the cluster file, from the classes that read them.

Keys, types, defaults and meanings are those of the classes; the examples are in `examples.yaml`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from ray_pipeline.components.choice import each, find, menu, name_of
from ray_pipeline.components.space import Space
from ray_pipeline.duration import write_duration
from ray_pipeline.spec import Spec
from ray_pipeline.spec.defaults import filled
from ray_pipeline.spec.field_docs import field_docs
from ray_pipeline.spec.field_types import Section
from ray_pipeline.spec.hooks import EVENTS
from ray_pipeline.spec.where import Where

EVENT = dict.fromkeys(EVENTS, "EVENT")
PLACEHOLDERS = {"tables": "TABLE", "repositories": "REPOSITORY", "encode": "encode.COLUMN", **EVENT}
"""Fields whose keys are names that the user gives, or that have the same keys below them."""
INNER = ("(parameters)", "tables", "repositories")
"""Fields that no file writes under their name."""
FOLDERS = {
    "metrics": "Metrics",
    "checks": "Checks",
    "column_encodings": "Encodings of texts",
    "slices": "Slices",
    "calibrators": "Calibrators",
}
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "none"}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a file, as the reference shows it."""

    name: str
    type: str
    default: str
    meaning: str

    def row(self, example: str) -> str:
        """The line of a table."""
        cells = (f"`{self.name}`", self.type, self.default, self.meaning, example)
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def sections(kind: type[BaseModel] = Spec, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of a spec: its dotted key and the class that reads it."""
    yield prefix, kind
    for name, field in kind.model_fields.items():
        inner = PLACEHOLDERS.get(name, field.alias or name)
        for section in _sections_in(field.annotation):
            yield from sections(section, f"{prefix}.{inner}" if prefix else inner)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)


def keys(kind: type[BaseModel], prefix: str = "", documented: type[BaseModel] | None = None) -> Iterator[Key]:
    """Every key that a class reads, in its order, by the name under which a file writes it."""
    meanings = field_docs(documented or kind)
    schema = kind.model_json_schema(by_alias=True)
    properties, parts = schema["properties"], schema.get("$defs", {})
    for name, field in kind.model_fields.items():
        key = field.alias or name
        if key not in INNER:
            yield Key(
                name=f"{prefix}.{key}" if prefix else key,
                type=_type(properties.get(key, {}), parts),
                default=_default(field, f"{prefix}.{key}"),
                meaning=meanings.get(key, ""),
            )


def all_keys() -> list[Key]:
    """Every key of a spec: of its sections, splitters and sources."""
    found = [key for prefix, kind in sections() for key in keys(kind, prefix)]
    return [*found, *(key for kind in each("splitters") for key in keys(kind, "split")), *source_keys()]


def cluster_keys() -> list[Key]:
    """Every key of a cluster file; those of a hook once for all events."""
    return list(dict.fromkeys(key for prefix, kind in sections(Where) for key in keys(kind, prefix)))


def source_keys() -> list[Key]:
    """The keys that a table may have because of its format."""
    return [key for kind in each("sources") for key in keys(kind.parameters(), "features.TABLE", kind)]


@cache
def examples() -> Mapping[str, Any]:
    """The example of each key."""
    return YAML(typ="safe").load((Path(__file__).parent / "examples.yaml").read_text())  # type: ignore[no-any-return]


def spec_page() -> str:
    """The page of the spec."""
    lines, by_prefix = [HEAD], defaultdict[str, list[type[BaseModel]]](list)
    for prefix, kind in sections():
        by_prefix[prefix].append(kind)
    for prefix, kinds in by_prefix.items():
        lines += [f"## {prefix or 'The top level'}", ""]
        for kind in kinds:
            lines += [_sentence(kind), "", *_table(keys(kind, prefix))]
        if prefix == "features.TABLE":
            lines += ["## Keys of one format", "", *_formats()]
        if prefix == "select":
            lines += _splitters()
    lines += _families()
    for folder, title in FOLDERS.items():
        lines += _choices(folder, title)
    return "\n".join(lines)


def cluster_page() -> str:
    """The page of the cluster file."""
    return "\n".join([CLUSTER_HEAD, *_table(iter(cluster_keys()))])


def _table(found: Iterator[Key]) -> list[str]:
    head = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    return [*head, *(key.row(_example(key.name)) for key in found), ""]


def _example(key: str) -> str:
    value = examples().get(key)
    return f"`{_flow({key.rpartition('.')[2]: value})[1:-1]}`" if key in examples() else ""


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    odd = isinstance(value, str) and re.search(r"^$|[,\[\]{}]|: ", value)
    return f"'{value}'" if odd else f"{value}"


def _type(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    if "x-choice" in schema:
        return f"a {schema['x-choice'][0].rstrip('s').replace('_', ' ')}"
    if "$ref" in schema:
        return _referred(schema["$ref"].rpartition("/")[2], parts)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kinds = dict.fromkeys(_type(one, parts) for one in schema["anyOf"] if one.get("type") != "null")
        return " or ".join(kinds)
    if isinstance(schema.get("type"), list):
        return " or ".join(TYPES[one] for one in schema["type"])
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return f"list of {_type(items, parts)}" if items else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"mapping to {_type(values, parts)}" if isinstance(values, dict) else "mapping"
    return TYPES.get(str(schema.get("type")), "text, list or mapping") + _bounds(schema)


def _referred(name: str, parts: Mapping[str, Any]) -> str:
    part = parts.get(name, {})
    if "enum" in part:
        return _type(part, parts)
    return "slice" if name == "Slice" else "mapping"


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
    told = [f"{word} {schema[name]:,}" for name, word in words.items() if name in schema]
    return f", {' and '.join(told)}" if told else ""


def _default(field: FieldInfo, key: str) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return _filled_in(key)
    value = field.get_default(call_default_factory=True)
    if isinstance(value, timedelta):
        value = write_duration(value)
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or (isinstance(value, tuple | dict) and not value):
        return "none"
    if isinstance(value, tuple):
        return f"`{_flow(list(value))}`"
    return f"`{_flow(value)}`"


def _filled_in(key: str) -> str:
    """The default that depends on the task or on other keys; `required` where there is none."""
    value: Any = filled({"task": "binary"})
    for step in key.strip(".").split("."):
        if not isinstance(value, dict) or step not in value or step == "task":
            return "see below" if key.strip(".") in ("search", "evaluate", "bias") else "**required**"
        value = value[step]
    return "see below" if isinstance(value, dict) else f"`{_flow(list(value) if isinstance(value, tuple) else value)}`"


def _sentence(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _formats() -> list[str]:
    lines = []
    for word in menu("sources"):
        kind = find("sources", word)
        lines += [f"**`kind: {word}`.** {_sentence(kind)}", ""]
        if kind.parameters().model_fields:
            lines += _table(keys(kind.parameters(), "features.TABLE", kind))
    return lines


def _splitters() -> list[str]:
    lines = ["## split", "", "The keys depend on `by`.", ""]
    for word in menu("splitters"):
        kind = find("splitters", word)
        lines += [f"### split: by {word}", "", _sentence(kind), "", *_table(keys(kind, "split"))]
    return lines


def _families() -> list[str]:
    lines = ["## model", "", MODEL, ""]
    for word in menu("models"):
        kind = find("models", word)
        extra = f" Needs the extra `ray-pipeline[{kind.extra}]`." if kind.extra else ""
        lines += [
            f"### model: {word}",
            "",
            _sentence(kind) + extra,
            "",
            "| hyperparameter | default | starts with |",
            "|---|---|---|",
        ]
        for name, field in kind.model_fields.items():
            start = f"`{kind.start[name]}`" if name in kind.start else ""
            lines.append(f"| `{name}` | {_space(field.default)} | {start} |")
        lines.append("")
    return lines


def _space(value: Any) -> str:
    if not isinstance(value, Space):
        return "the family's own" if value is None else f"`{_flow(value)}`"
    return f"`{_flow(value.written())}`"


def _choices(folder: str, title: str) -> list[str]:
    lines = [f"## {title}", "", "| name | parameters | what it is |", "|---|---|---|"]
    for kind in each(folder):
        fields = ", ".join(f"`{name}`" for name in kind.parameters().model_fields)
        sentence = _sentence(kind).replace("|", "\\|")
        lines.append(f"| `{name_of(kind)}` | {fields} | {sentence} |")
    return [*lines, ""]


HEAD = """# Reference: the spec

Every key of a spec file. This page is made from the classes that read the file. [The spec](../spec.md) is the guide
with whole examples; `ray-pipeline render SPEC` prints your spec with all defaults, and `ray-pipeline schema` the JSON
schema for your editor. Defaults that depend on the task are those of a binary task.
"""
CLUSTER_HEAD = """# Reference: the cluster file

Every key of a cluster file (`--on`). It says where a spec runs, and never changes what is computed. No key is required.
See [Running](../running.md#the-cluster-file).
"""
MODEL = """One family (`model: xgboost`), a list of families, or a mapping of families to hyperparameters. A
hyperparameter is a value, or a space: `{int: [1, 9]}`, `{float: [0.5, 1]}`, `{log: [0.01, 1]}`, `{any: [a, b]}`. What
is not written keeps the default of the family. The first trial of a family uses the values of *starts with*."""
