"""The plain files of a run folder as values. Each may be absent or broken: then it is empty, and `missing` says why."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunFiles:
    """What a run left behind, file by file (contract, section 3); names are those of the files."""

    folder: Path
    spec: Row
    spec_text: str
    manifest: Row
    checks: tuple[Row, ...]
    joins: Row
    drift: Row
    trials: tuple[Row, ...]
    families: tuple[Row, ...]
    baselines: tuple[Row, ...]
    evaluation: tuple[Row, ...]
    bias: tuple[Row, ...]
    weak_slices: Row
    explained: Row
    calibrated: Row
    scorecard: Row
    model: Row
    calibration: Row
    schema: Row
    model_fingerprint: str
    missing: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "RunFiles":
        """The files of a run folder; never raises for what they contain."""
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
        if not manifest:  # it is written last; until then the journal has what it will say
            manifest = section(load("journal/manifest.json", _object, {}), "found")
            if manifest:
                missing.pop("manifest.json", None)
        return cls(
            folder=folder,
            spec=load("spec.yaml", _yaml, {}),
            spec_text=spec_text,
            manifest=manifest,
            checks=load("checks.json", _rows, ()),
            joins=load("joins.json", _object, {}),
            drift=load("drift.json", _object, {}),
            trials=load("trials.jsonl", _lines, ()),
            baselines=load("baselines.json", _rows, ()),
            families=load("families.json", _rows, ()),
            evaluation=load("evaluation.json", _rows, ()),
            bias=load("bias.json", _rows, ()),
            weak_slices=load("weak_slices.json", _object, {}),
            explained=load("explain.json", _object, {}),
            calibrated=load("calibration.json", _object, {}),
            scorecard=load("scorecard.json", _object, {}),
            model=load("model/model.json", _object, {}),
            calibration=load("model/calibration.json", _object, {}),
            schema=load("model/schema.json", _object, {}),
            model_fingerprint=load("model/SHA256SUMS", lambda text: hashlib.sha256(text.encode()).hexdigest(), ""),
            missing=missing,
        )

    @property
    def run(self) -> str:
        """The run's id: the name of its folder."""
        return self.folder.resolve().name


def section(value: Row, *keys: str) -> Row:
    """The mapping under nested keys, empty where there is none."""
    for key in keys:
        found = value.get(key)
        value = found if isinstance(found, Mapping) else {}
    return value


def rows_of(value: object) -> Sequence[Any]:
    """A JSON list; empty where it is none."""
    return value if isinstance(value, list) else ()


def number(value: object) -> float:
    """A JSON number as a float; null, anything else and what no picture can hold (beyond 1e100) is NaN."""
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e100
        else float("nan")
    )


def _yaml(text: str) -> Row:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    return found if isinstance(found, Mapping) else {}


def _object(text: str) -> Row:
    found = json.loads(text)
    if not isinstance(found, Mapping):
        raise ValueError(f"an object was expected, found {type(found).__name__}")
    return found


def _rows(text: str) -> tuple[Row, ...]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise ValueError("a list of objects was expected")
    return tuple(found)


def _lines(text: str) -> tuple[Row, ...]:
    return _rows(f"[{','.join(line for line in text.splitlines() if line.strip())}]")
