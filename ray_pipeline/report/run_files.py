"""The plain files of a run folder as values. A file that is absent or broken is empty, and `missing` says why."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ray_pipeline.spec.yaml_file import parse_value

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What a run has written, one field for each file."""

    folder: Path
    spec: JsonObject
    spec_text: str
    manifest: JsonObject
    checks: tuple[JsonObject, ...]
    joins: JsonObject
    drift: JsonObject
    trials: tuple[JsonObject, ...]
    families: tuple[JsonObject, ...]
    ensemble: JsonObject
    baselines: tuple[JsonObject, ...]
    evaluation: tuple[JsonObject, ...]
    bias: tuple[JsonObject, ...]
    weak_slices: JsonObject
    explain: JsonObject
    calibration: JsonObject
    scorecard: JsonObject
    model: JsonObject
    model_calibration: JsonObject
    schema: JsonObject
    model_fingerprint: str
    missing: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "RunFiles":
        """Read the files of a run folder; no content of theirs raises an error."""
        missing: dict[str, str] = {}

        def load(name: str, parse: Callable[[str], Any], empty: Any) -> Any:
            try:
                return parse((folder / name).read_text("utf-8"))
            except FileNotFoundError:
                missing[name] = f"{name} is not in the run folder"
            except (OSError, ValueError, RecursionError) as error:
                missing[name] = f"{name} cannot be read: {type(error).__name__}: {error}"
            return empty

        spec_text = load("spec.yaml", str, "")
        manifest = load("manifest.json", _object, {})
        if not manifest:  # it is written last; until then the journal has its content
            manifest = nested(load("journal/manifest.json", _object, {}), "found")
            if manifest:
                missing.pop("manifest.json", None)
        return cls(
            folder=folder,
            spec=load("spec.yaml", _yaml, {}),
            spec_text=spec_text,
            manifest=manifest,
            checks=load("checks.json", _objects, ()),
            joins=load("joins.json", _object, {}),
            drift=load("drift.json", _object, {}),
            trials=load("trials.jsonl", _lines, ()),
            baselines=load("baselines.json", _objects, ()),
            families=load("families.json", _objects, ()),
            ensemble=load("ensemble.json", _object, {}),
            evaluation=load("evaluation.json", _objects, ()),
            bias=load("bias.json", _objects, ()),
            weak_slices=load("weak_slices.json", _object, {}),
            explain=load("explain.json", _object, {}),
            calibration=load("calibration.json", _object, {}),
            scorecard=load("scorecard.json", _object, {}),
            model=load("model/model.json", _object, {}),
            model_calibration=load("model/calibration.json", _object, {}),
            schema=load("model/schema.json", _object, {}),
            model_fingerprint=load("model/SHA256SUMS", lambda text: hashlib.sha256(text.encode()).hexdigest(), ""),
            missing=missing,
        )

    @property
    def run(self) -> str:
        """The run's id: the name of its folder."""
        return self.folder.resolve().name

    @property
    def metric(self) -> str:
        """The metric that the page leads with: that of the search, else the first of `evaluation.json`."""
        searched = nested(self.spec, "search").get("metric") or self.model.get("metric")
        return str(searched or next((row.get("metric") for row in self.evaluation), None) or "metric")

    @property
    def overall(self) -> dict[str, JsonObject]:
        """The rows of `evaluation.json` on the whole test part, by metric."""
        return {str(row.get("metric")): row for row in self.evaluation if not row.get("slice")}

    def why_missing(self, *names: str) -> list[str]:
        """Return why files are missing, one line for each of the named files that is."""
        return [self.missing[name] for name in names if name in self.missing]


class Estimate(NamedTuple):
    """A value and the two ends of its interval; NaN where one is not known."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, row: JsonObject) -> "Estimate":
        """Read `value`, `low` and `high` of a row."""
        return cls(value=number(row.get("value")), low=number(row.get("low")), high=number(row.get("high")))


def nested(value: JsonObject, *keys: str) -> JsonObject:
    """Return the object under nested keys; an empty one if there is none.

    >>> nested({"search": {"metric": "auc"}}, "search"), nested({}, "features", "labels")
    ({'metric': 'auc'}, {})
    """
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, Mapping) else {}
    return value


def flat(value: JsonObject, separator: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the values of nested objects, each under its keys, joined by a separator.

    >>> list(flat({"split": {"by": "time"}, "task": "binary"}, "."))
    [('split.by', 'time'), ('task', 'binary')]
    """
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from flat(item, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", item


def list_of(value: object) -> Sequence[Any]:
    """Return a JSON list; an empty one if the value is no list."""
    return value if isinstance(value, list) else ()


def objects_of(value: object) -> list[JsonObject]:
    """Return the objects of a JSON list, without its other items."""
    return [item for item in list_of(value) if isinstance(item, Mapping)]


def partitions(rows: Iterable[JsonObject]) -> dict[tuple[str, ...], list[JsonObject]]:
    """Return the rows that are of a slice, by the columns of the slice."""
    found: dict[tuple[str, ...], list[JsonObject]] = {}
    for row in rows:
        if by := tuple(map(str, nested(row, "slice"))):
            found.setdefault(by, []).append(row)
    return found


def number(value: object) -> float:
    """Return a number as a float; NaN for anything else, and beyond 1e100, which no picture can show.

    >>> number(3), number(None), number(True)
    (3.0, nan, nan)
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e100:
        return float(value)
    return math.nan


def _yaml(text: str) -> JsonObject:
    content = parse_value(text)  # it bounds what aliases make
    return content if isinstance(content, Mapping) else {}


def _object(text: str) -> JsonObject:
    content = json.loads(text)
    if not isinstance(content, Mapping):
        raise ValueError(f"an object was expected, found {type(content).__name__}")
    return content


def _objects(text: str) -> tuple[JsonObject, ...]:
    content = json.loads(text)
    if not isinstance(content, list) or not all(isinstance(row, Mapping) for row in content):
        raise ValueError("a list of objects was expected")
    return tuple(content)


def _lines(text: str) -> tuple[JsonObject, ...]:
    return _objects(f"[{','.join(line for line in text.splitlines() if line.strip())}]")
