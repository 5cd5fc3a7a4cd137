"""A last look before registration: a nearly perfect test score that rests on one column.

The checks see a sample of the training rows. A leak that is rare, or spread over many values of a text, may show only
in the final score.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ray_pipeline.bundle import Bundle
from ray_pipeline.evaluation.explain import matrix_of
from ray_pipeline.evaluation.pieces import ranges
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.profiling.probe import Probe
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding, Matrix, Predictions, Vector

if TYPE_CHECKING:
    from ray_pipeline.tuning.refit import TrainedModel

CHECK = "dominating"
ROWS, FIRST_ROWS = 1_000, 100
"""Rows to shuffle. As a rule no column loses half of enough on the first of them alone: a tenth of the scoring."""
ROWS_AT_ONCE = 4_000
"""All cores score so many rows together."""
NEAR = {"binary": 0.85, "multiclass": 0.85, "regression": 0.98}
MIN_LOSS, MIN_SHARE, TIMES_WORSE = 0.5, 0.8, 3.0


@dataclass(frozen=True, kw_only=True)
class Doubts:
    """What the final score makes doubtful, beside the findings of the checks."""

    checks: tuple[Finding, ...]
    final: tuple[Finding, ...]


def doubt(model: "TrainedModel", encoded: Encoded, predictions: Predictions, profile: Profile, spec: Spec) -> Doubts:
    """Look for one column that makes the final score nearly perfect, and that the other columns do not explain.

    The final model must lose half of its skill when the column's values are shuffled among test rows, and four fifths
    of what it loses by shuffling any column. Then a quick model without the column must leave three times as much
    unexplained as the final model; so an easy table is left alone.

    Parameters
    ----------
    model
        The final model.
    encoded
        Holds the encoded test rows.
    predictions
        The scored test part.
    profile
        Holds the sample for the quick model, and the findings so far.
    spec
        Its `checks.ignore` may name the column.
    """
    finding = _finding(model, encoded, predictions, profile, spec)
    return Doubts(checks=profile.findings, final=(finding,) if finding else ())


def _finding(
    model: "TrainedModel", encoded: Encoded, predictions: Predictions, profile: Profile, spec: Spec
) -> Finding | None:
    skill = skill_of(predictions, predictions.score)
    if skill < NEAR[spec.task] or len(predictions) < 2:
        return None
    drawn = np.random.default_rng(spec.seed).permutation(len(predictions))
    for number, part in ((FIRST_ROWS, 0.5), (ROWS, 1.0)):
        rows = np.sort(drawn[:number])
        matrix = matrix_of(encoded.rows, model.encoder, rows)
        skills = shuffled_skills(model.bundle, matrix, predictions.take(rows))
        lost = {name: max(0.0, skill - left) for name, left in skills.items()}
        column = max(lost, key=lambda name: lost[name])
        if lost[column] < part * max(MIN_LOSS * skill, MIN_SHARE * sum(lost.values())):
            return None
    if _is_ignored(column, spec):
        return None
    others = [name for name in profile.types if name != column]
    probe = Probe.of(profile.sample, others, spec.task)
    rest = max(0.0, probe.fit(others).skill) if probe else 0.0
    if (others and probe is None) or 1 - rest < TIMES_WORSE * (1 - skill):
        return None
    found = (
        f"the final model explains {skill:.1%} of the label's variance in the test part, {max(0.0, skills[column]):.1%}"
        f" when the values of {column} are shuffled, and a quick model without {column} explains {rest:.1%}"
    )
    fix = "leave it out if it is known only after the fact"
    return Finding(check=CHECK, severity="high", column=column, rows=len(predictions), found=found, fix=fix)


def skill_of(rows: Predictions, score: Vector) -> float:
    """The share of the label's variance that scores explain: R², or the Brier skill score of the classes.

    Parameters
    ----------
    rows
        Rows with labels and weights; n of them.
    score
        Shape (n,), or (n, classes) for multiclass.
    """

    def pieces() -> Iterator[tuple[Vector, Vector, Vector]]:
        for some in ranges(len(rows)):
            label = rows.label[some]
            label = np.eye(score.shape[1])[label.astype(int)] if score.ndim == 2 else label[:, None]
            yield label, score[some].reshape(label.shape), rows.weight[some]

    mean = sum(weight @ label for label, _, weight in pieces()) / rows.weight.sum()
    errors = sum(float(((label - found) ** 2).sum(1) @ weight) for label, found, weight in pieces())
    spread = sum(float(((label - mean) ** 2).sum(1) @ weight) for label, _, weight in pieces())
    return 1 - errors / spread if spread > 0 else 0.0


def shuffled_skills(bundle: Bundle, matrix: Matrix, rows: Predictions) -> Mapping[str, float]:
    """The skill that is left when the values of one column are shuffled, by column.

    Parameters
    ----------
    bundle
        The model.
    matrix
        The encoded rows; shape (n, columns).
    rows
        The same rows with their labels.
    """
    order, skills = np.random.default_rng(0).permutation(len(matrix)), dict[str, float]()
    columns, at_once = list(bundle.encoder.places.items()), max(1, ROWS_AT_ONCE // len(matrix))
    for first in range(0, len(columns), at_once):
        group = columns[first : first + at_once]
        shuffled = np.repeat(matrix[None], len(group), axis=0)
        for copy, (_, own) in zip(shuffled, group, strict=True):
            copy[:, own] = matrix[np.ix_(order, own)]
        scores = bundle.score_matrix(shuffled.reshape(-1, matrix.shape[1]))
        for (name, _), score in zip(group, np.split(scores, len(group)), strict=True):
            skills[name] = skill_of(rows, score)
    return skills


def _is_ignored(column: str, spec: Spec) -> bool:
    """Whether the user has accepted the column, under the name of this check or of `leakage`."""
    accepted = {name for check in (CHECK, "leakage") for name in (check, f"{check}:{column}")}
    return not accepted.isdisjoint(spec.checks.ignore)
