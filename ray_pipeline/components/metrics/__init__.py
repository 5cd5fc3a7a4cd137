"""Metrics, one file each. A name is the file's, an alias that the file declares, or `name(parameter=value)`.

Here: how a name becomes a metric, and what is reported where a spec names no metric. The first is the search's.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ray_pipeline.components.choice import each, files, find, menu, unknown
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.values import Task

if TYPE_CHECKING:
    from ray_pipeline.components.metrics._base import Metric

DEFAULTS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy"),
    "regression": ("rmse", "mae", "r2"),
}
OF_REGIONS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("coverage", "set_size"),
    "multiclass": ("coverage", "set_size"),
    "regression": ("coverage", "interval_width"),
}
"""Added where the spec asks for intervals."""
BIAS_DEFAULTS: Mapping[Task, tuple[str, ...]] = {
    "binary": (
        "selection_rate",
        "true_positive_rate",
        "false_positive_rate",
        "precision",
        "mean_score",
        "label_rate",
        "mean_residual",
    ),
    "multiclass": ("accuracy",),
    "regression": ("rmse", "mean_residual"),
}


def metric_of(name: object) -> "Metric":
    """The metric of that name.

    Parameters
    ----------
    name
        `f1`, `f_beta(beta=2)`, `{"f_beta": {"beta": 2}}`, or the dotted name of a class of a trusted package.

    Raises
    ------
    UnknownChoice
        There is no such metric.
    ValidationError
        A parameter is missing or wrong.

    >>> metric_of("f_beta(beta=2.0)").name
    'f_beta(beta=2)'
    >>> metric_of("f2").name
    'f2'
    """
    word, parameters = read_choice(name)
    kind, preset = find_metric(word)
    metric: Metric = kind.model_validate({**preset, **parameters})
    metric._word = word
    return metric


def find_metric(word: str) -> "tuple[type[Metric], Mapping[str, Any]]":
    """The class that a word or an alias names, and the parameters that the alias stands for."""
    if word in files("metrics") or "." in word:
        return find("metrics", word), {}
    for kind in each("metrics"):
        if word in kind.aliases:
            return kind, kind.aliases[word]
    if word in menu("metrics"):
        return find("metrics", word), {}
    raise unknown("metrics", word, names())


def names() -> tuple[str, ...]:
    """Every word and every alias, sorted."""
    return tuple(sorted({*menu("metrics"), *(alias for kind in each("metrics") for alias in kind.aliases)}))


def metrics_without_parameters() -> "Iterator[Metric]":
    """Every metric that its name alone describes, in the order of the names."""
    for name in names():
        try:
            yield metric_of(name)
        except ValidationError:  # it needs a parameter
            continue
