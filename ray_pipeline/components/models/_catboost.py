"""CatBoost, also where pandas cannot be imported; its columns, and its training in rounds.

CatBoost trains in one call, and neither its model nor its snapshot can go on where there are categories (CatBoost 1.2).
So the call has a thread of its own, which waits between two rungs.
"""

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Matrix

if TYPE_CHECKING:
    import catboost

SPLITS = {"float_features": "borders", "categorical_features": "values", "ctrs": "borders"}
"""Where CatBoost's JSON has the splits of each kind of feature, in the order in which they are numbered."""
Margins = NDArray[np.float64]
"""Raw scores of the validation rows, shape (outputs, n)."""


def import_catboost() -> ModuleType:
    """Import CatBoost; where pandas cannot be imported, with an empty stand-in for it.

    CatBoost imports pandas, and asks only whether what it is given is a frame.
    """
    if "catboost" in sys.modules or _can_import("pandas"):
        return importlib.import_module("catboost")
    stand_in = ModuleType("pandas")
    stand_in.__dict__.update(DataFrame=type("DataFrame", (), {}), Series=type("Series", (), {}))
    sys.modules["pandas"] = stand_in
    try:
        return importlib.import_module("catboost")
    finally:
        del sys.modules["pandas"]


def _can_import(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@dataclass(frozen=True)
class Columns:
    """The matrix's columns in CatBoost's order: numbers first, then categories."""

    cardinalities: tuple[int, ...]

    @cached_property
    def order(self) -> list[int]:
        """The place of each column in the matrix."""
        return sorted(range(len(self.cardinalities)), key=lambda at: self.cardinalities[at] > 0)

    def arranged(self, matrix: Matrix) -> Any:
        """Return what CatBoost reads: the matrix itself, or numbers and categories apart; a category is a text."""
        if not any(self.cardinalities):
            return np.ascontiguousarray(matrix)
        first = self.cardinalities.count(0)
        codes = np.nan_to_num(matrix[:, self.order[first:]], nan=-1).astype(int)
        numbers = np.ascontiguousarray(matrix[:, self.order[:first]]) if first else None
        words = np.array([*(b"%d" % code for code in range(codes.max(initial=0) + 1)), b"missing"], object)
        return import_catboost().FeaturesData(num_feature_data=numbers, cat_feature_data=words[codes])

    def require_of(self, model: "catboost.CatBoost") -> None:
        """Raise `ValueError` where the model has other columns, or takes a number for a category."""
        first, columns = self.cardinalities.count(0), len(self.cardinalities)
        categories = set(model.get_cat_feature_indices())
        if len(model.feature_names_) > columns or not categories <= set(range(first, columns)):
            raise ValueError(f"{columns} columns, {first} of them numbers, are not those of the trees")


def first_rounds(model: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Cut a model in CatBoost's JSON to its first trees, and remove the splits and tables that none of them uses.

    CatBoost's own `shrink` refuses trees that are not symmetric, and keeps what is not used any more.
    """
    kind, features = "oblivious_trees" if "oblivious_trees" in model else "trees", model["features_info"]
    model[kind] = model[kind][:rounds]
    splits = [split for tree in model[kind] for split in _splits(tree)]
    numbers = {split["split_index"] for split in splits}
    known = [
        (name, at, value)
        for name in SPLITS
        for at, feature in enumerate(features.get(name, []))
        for value in feature.get(SPLITS[name], [])
    ]
    used = {known[number] for number in numbers}
    for at in {at for name, at, _ in used if name == "ctrs"}:
        used |= {_condition(element) for element in features["ctrs"][at]["elements"]}
    place = {number: new for new, number in enumerate(at for at, split in enumerate(known) if split in used)}
    for split in splits:
        split["split_index"] = place[split["split_index"]]
    for name, values in SPLITS.items():
        for at, feature in enumerate(features.get(name, [])):
            feature[values] = [value for value in feature.get(values, []) if (name, at, value) in used]
    if "ctrs" in features:
        features["ctrs"] = [ctr for ctr in features["ctrs"] if ctr["borders"]]
        tables = {ctr["identifier"] for ctr in features["ctrs"]}
        model["ctr_data"] = {name: table for name, table in model["ctr_data"].items() if name in tables}
    return model


def _condition(element: dict[str, Any]) -> tuple[str, int, float] | None:
    """The split that is part of the key of a table; None for a category as a whole."""
    if "border" in element:
        return "float_features", element["float_feature_index"], element["border"]
    if "value" in element:
        return "categorical_features", element["cat_feature_index"], element["value"]
    return None


def _splits(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The splits of a symmetric tree, or of the node of another tree and all below it."""
    yield from node.get("splits") or ()  # null where a tree is one leaf
    if "split" in node:
        yield node["split"]
        yield from _splits(node["left"])
        yield from _splits(node["right"])


class Beats:
    """What CatBoost logs to during a training that cannot halt: each line is a sign of life."""

    def write(self, line: str) -> None:
        """Drop the line."""
        beat()

    def flush(self) -> None:
        """Do nothing."""


class RoundByRound:
    """A call of CatBoost's `fit` in a thread, which halts where it is told to.

    It is CatBoost's metric: CatBoost calls it after each round, first for the training rows, then for the validation
    rows. There it waits, and by its value it ends the training. A callback could do both, but CatBoost gives callbacks
    the whole history: 3,000 rounds of 200 rows took 9 s, and take 1 s.
    """

    def __init__(self, fit: Callable[[Self], Any]) -> None:
        self.changed = threading.Condition()
        self.rounds = self.target = 0
        self.ended = self.of_validation = False
        self.margins: Margins | None = None
        self.outcome: Any = None
        self.error: BaseException | None = None
        # A daemon: the interpreter does not wait for it.
        self.thread = threading.Thread(target=self._run, args=(fit,), name="catboost", daemon=True)

    def advance(self, rounds: int) -> Margins:
        """Train until so many rounds are done, and return the margins of the validation rows."""
        with self.changed, warnings.catch_warnings(action="ignore", category=UserWarning):  # CatBoost advises numba
            self.target = rounds
            self.changed.notify_all()
            if self.thread.ident is None:
                self.thread.start()
            self.changed.wait_for(lambda: self.rounds >= rounds or self.ended)
        if self.error:
            raise self.error
        assert self.margins is not None
        return self.margins

    def finish(self) -> Any:
        """End the training, and return the result of `fit`."""
        self.end()
        if self.error:
            raise self.error
        return self.outcome

    def end(self) -> None:
        """End the training and its thread."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        if self.thread.ident is not None:
            self.thread.join()

    def _run(self, fit: Callable[[Self], Any]) -> None:
        try:
            self.outcome = fit(self)
        except BaseException as error:
            self.error = error
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def __deepcopy__(self, memo: object) -> Self:
        """Return the object itself: CatBoost copies its parameters."""
        return self

    def is_max_optimal(self) -> bool:
        """Return False: a lower value is better."""
        return False

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the value as it is."""
        return error

    def evaluate(self, approxes: Sequence[Any], target: object, weight: object) -> tuple[float, float]:
        """Wait where the rounds are done; return a value that falls from round to round, and at the end rises."""
        self.of_validation = not self.of_validation
        if self.of_validation:  # this call is for the training rows, the next one for the validation rows
            return 0.0, 1.0
        with self.changed:
            self.rounds += 1
            beat()
            if self.rounds >= self.target:
                self.margins = np.array(approxes)
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.rounds < self.target or self.ended)
            return (2.0 if self.ended else 1 / self.rounds), 1.0
