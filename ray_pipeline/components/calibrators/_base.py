"""A calibrator is a frozen function of the score, fitted on validation. It is plain JSON in the bundle, and scores with
numpy alone."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ray_pipeline.components.choice import Choice, each, find, name_of, parameters_of, read_parameters
from ray_pipeline.components.own_code import returns, wrong_shape

Scores = NDArray[np.float64]
TINY = 1e-12


class Calibrator(Choice):
    """Base of every kind. Scores have shape (n,) for two classes; (n, classes) for many, where rows sum to 1.

    Its fields are what `fit` learnt. Its parameters are the keyword-only arguments of `fit`.
    """

    candidate: ClassVar[bool] = False
    """Whether `calibrate: auto` tries it."""

    kind: str = ""
    """The name of the class, by which `load` finds it."""

    @model_validator(mode="before")
    @classmethod
    def _with_kind(cls, fields: Any) -> Any:
        return {"kind": name_of(cls), **fields} if isinstance(fields, Mapping) else fields

    @classmethod
    def parameters(cls) -> type[Choice]:
        """The keyword-only arguments of `fit`."""
        return parameters_of(cls.fit)

    @classmethod
    @abstractmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Fit the calibrator of the least log loss on the given rows.

        Parameters
        ----------
        label
            0/1 or class index, shape (n,).
        score
            Raw probabilities, shape (n,) or (n, classes).
        weight
            At least 0, shape (n,).
        """

    @returns(lambda scores, _, given: wrong_shape(scores, *given.shape) or _not_probabilities(scores))
    @abstractmethod
    def apply(self, score: Scores) -> Scores:
        """Calibrate raw probabilities; the shape stays the same."""


def _not_probabilities(scores: Scores) -> str | None:
    """What is wrong with scores, some of which are no probabilities."""
    wrong = int((~((scores >= 0) & (scores <= 1))).sum())
    return f"{wrong:,} of {scores.size:,} numbers that are no probabilities" if wrong else None


def fit_calibrator(name: str, label: Scores, score: Scores, weight: Scores) -> Calibrator:
    """The calibrator of that name, fitted; the name may carry parameters, as in `my_package.Spline(knots=5)`."""
    kind, parameters = read_parameters("calibrators", name)
    fitted: Calibrator = kind.fit(label, score, weight, **parameters)
    return fitted


def candidates() -> tuple[str, ...]:
    """The names of the calibrators that `calibrate: auto` compares."""
    return tuple(name_of(kind) for kind in each("calibrators") if kind.candidate)


def load(written: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `model_dump(mode="json")` wrote; `kind` says which."""
    found: Calibrator = find("calibrators", written["kind"]).model_validate(written, strict=False)
    return found


def logit(score: Scores) -> Scores:
    """Log odds, of probabilities kept 1e-12 away from 0 and 1."""
    kept = np.clip(score, TINY, 1 - TINY)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def sigmoid(odds: Scores) -> Scores:
    """The probability of log odds, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -odds)))


def softmax(odds: Scores) -> Scores:
    """Probabilities of log odds, along the last axis."""
    raised = np.exp(odds - odds.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
