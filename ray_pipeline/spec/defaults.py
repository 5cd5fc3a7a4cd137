"""Defaults that hang on the task or on other keys, filled in before anything is checked, so that a rendered spec says
all of them."""

from collections.abc import Mapping
from typing import Any

from ray_pipeline.components.metrics import BIAS_DEFAULTS, DEFAULTS

NULL_IS_ABSENT = (
    "name",
    "task",
    "features",
    "select",
    "split",
    "encode",
    "model",
    "fit",
    "gates",
    "checks",
    "explain",
    "seed",
)
TRIALS, TRIALS_WHERE_TIME_ENDS = 32, 1000


def filled(written: Mapping[str, Any]) -> dict[str, Any]:
    """The content with those defaults; a section that is no mapping is left for the checks to refuse."""
    data = {key: value for key, value in written.items() if value is not None or key not in NULL_IS_ABSENT}
    data.setdefault("seed", 0)
    task = data.get("task")
    metrics = DEFAULTS.get(task) if isinstance(task, str) else None  # type: ignore[call-overload]
    biases = BIAS_DEFAULTS.get(task) if isinstance(task, str) else None  # type: ignore[call-overload]
    given = data.get("search")
    search: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    ended = search.get("time") is not None or search.get("target") is not None
    trials = TRIALS_WHERE_TIME_ENDS if ended else TRIALS
    _fill(
        data,
        "search",
        trials=trials,
        metric=(metrics or ("auc",))[0],
        seed=data["seed"],
        deterministic=search.get("time") is None,
    )
    _fill(data, "evaluate", metrics=metrics or ("auc",), threshold=0.5 if task == "binary" else None)
    _fill(data, "bias", measures=biases or ("accuracy",))
    return data


def _fill(data: dict[str, Any], key: str, **defaults: Any) -> None:
    """Gives a section the defaults that it lacks; null counts as lacking."""
    given = data.get(key)
    if given is None:
        data[key] = defaults
    elif isinstance(given, Mapping):
        lacking = {name: value for name, value in defaults.items() if given.get(name) is None}
        data[key] = {**given, **lacking}
