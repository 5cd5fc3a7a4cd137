"""Defaults that depend on the task or on other keys.

They are filled in before anything is checked, so that a rendered spec contains all of them.
"""

from collections.abc import Mapping
from typing import Any

from ray_pipeline.components.metrics import BIAS_DEFAULTS, DEFAULTS, OF_REGIONS
from ray_pipeline.spec.installed import installed_families

NULL_MEANS_DEFAULT = (
    "name",
    "task",
    "features",
    "select",
    "split",
    "encode",
    "model",
    "monotone",
    "interactions",
    "fit",
    "gates",
    "checks",
    "explain",
    "seed",
)
TRIALS, TRIALS_IF_TIMED = 32, 1000
AUTO = "auto"
"""All installed families, and an ensemble."""


def filled(written: Mapping[str, Any]) -> dict[str, Any]:
    """The content with those defaults. A section that is not a mapping stays, and is refused later."""
    data = {key: value for key, value in written.items() if value is not None or key not in NULL_MEANS_DEFAULT}
    data.setdefault("seed", 0)
    task = data.get("task")
    metrics = DEFAULTS.get(task) if isinstance(task, str) else None  # type: ignore[call-overload]
    measures = BIAS_DEFAULTS.get(task) if isinstance(task, str) else None  # type: ignore[call-overload]
    written_search = data.get("search")
    search: Mapping[str, Any] = written_search if isinstance(written_search, Mapping) else {}
    ended = search.get("time") is not None or search.get("target") is not None
    trials = TRIALS_IF_TIMED if ended else TRIALS
    _fill(
        data,
        "search",
        trials=trials,
        metric=(metrics or ("auc",))[0],
        seed=data["seed"],
        deterministic=search.get("time") is None,
    )
    if data.get("ensemble") is None:
        of_one = _key(data, "search", "trials") == 1 or _key(data, "fit", "on") == "folds"
        of_one = of_one or _key(data, "split", "folds") not in (None, "auto", 0)
        of_one = of_one or _key(data, "intervals", "method") == "quantile"
        data["ensemble"] = {} if data.get("model") == AUTO and not of_one else "off"
    if data.get("model") == AUTO:
        needed = {
            "takes_monotone": data.get("monotone"),
            "takes_interactions": data.get("interactions"),
            "takes_quantiles": _key(data, "intervals", "method") == "quantile",
        }
        data["model"] = {name: {} for name in installed_families(*(take for take, asked in needed.items() if asked))}
    _fill(data, "evaluate", metrics=metrics or ("auc",), threshold=0.5 if task == "binary" else None)
    if data.get("intervals") is not None:
        _measure_regions(data, task)
    _fill(data, "bias", measures=measures or ("accuracy",))
    return data


def _measure_regions(data: dict[str, Any], task: object) -> None:
    """Adds the metrics of intervals or sets to those that are named: their coverage is always measured."""
    evaluate = data["evaluate"]
    named = evaluate.get("metrics") if isinstance(evaluate, Mapping) else None
    more = OF_REGIONS.get(task, ()) if isinstance(task, str) else ()  # type: ignore[call-overload]
    if isinstance(named, list | tuple):
        data["evaluate"] = {**evaluate, "metrics": (*named, *(name for name in more if name not in named))}


def _fill(data: dict[str, Any], key: str, **defaults: Any) -> None:
    """Gives a section the defaults that it lacks. Null counts as lacking."""
    section = data.get(key)
    if section is None:
        data[key] = defaults
    elif isinstance(section, Mapping):
        data[key] = {**section, **{name: value for name, value in defaults.items() if section.get(name) is None}}


def _key(data: Mapping[str, Any], section: str, key: str) -> object:
    """The value of a key of a section; None where either is missing."""
    written = data.get(section)
    return written.get(key) if isinstance(written, Mapping) else None
