"""Rows of validation or test that occur in train."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.data.rows import PART
from ray_pipeline.hashing import count_among
from ray_pipeline.profiling.probe import Probe
from ray_pipeline.profiling.row_hashes import count_each, hash_contents, hash_limit, repeat_share
from ray_pipeline.values import PARTS, Severity, Vector

MIN_ROWS = 10
FOLDS = 3
"""Models that the rows are shared among, by their content.

With 2, one of 16 tables of independent coarse rows was refused; with 3 to 5, none.
"""
LARGE, NOTABLE, UNEXPECTED, MIN_SHARE = 3.0, 1.0, 0.25, 0.05


class SharedRows(Check):
    """Copies of training rows in another part, which make the score too good.

    The severity follows from how far the copies can move the score. A quick model that has not seen them predicts the
    part, and so does a look-up of the copies in train. What the look-up saves of the mean squared error is the effect;
    the standard error of that mean is its noise.

    Where equal rows are part of the table they come again in use, and the score is right to count them. So many are
    expected as training rows equal another one, or as the other part shares with train, whichever is less.

    High if the effect is three times its noise, or if unexpected copies alone make up a quarter of the noise. Medium if
    the effect exceeds its noise, else low. Where too few rows are left to measure it, high from 5 % unexpected copies.
    """

    fix = "remove the copies where the rows are made, or split by a `group` that keeps them together"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each part."""
        shared = {code: _count(profile, code) for code in (2, 1)}
        repeats = repeat_share(profile.row_hashes.labelled[profile.row_hashes.part == 0])
        effects = _effects(profile, spec) if max(copies.same for copies in shared.values()) >= MIN_ROWS else {}
        for code, copies in shared.items():
            if not copies.same:
                continue
            other, part = shared[3 - code], PARTS[code]
            expected = min(repeats, other.share)
            by_chance = expected + (expected * (1 / copies.rows + 1 / max(other.rows, 1))) ** 0.5
            rows, unexpected = round(copies.same / profile.row_hashes.share), max(0.0, 1 - by_chance / copies.share)
            effect = effects.get(code)
            about = "" if profile.row_hashes.share == 1 else "about "
            found = (
                f"{about}{rows:,} {part} rows ({copies.share:.1%}) occur in train with all features and the label,"
                f" where {expected:.1%} are expected; of {part} rows whose features occur in train,"
                f" {copies.same / copies.alike:.1%} agree in the label; "
            )
            if effect is None:
                large = copies.same >= MIN_ROWS and unexpected * copies.share >= MIN_SHARE
                found += "too few rows to measure what they change"
                yield self.finding("high" if large else "low", None, rows, found)
                continue
            large = effect.in_noise >= LARGE or effect.in_noise * unexpected >= UNEXPECTED
            few: Severity = "medium" if effect.in_noise >= NOTABLE else "low"
            found += f"they can lower the error by {effect.share:.1%}, {effect.in_noise:.2f} times its noise"
            yield self.finding("high" if large and copies.same >= MIN_ROWS else few, None, rows, found)


@dataclass(frozen=True, kw_only=True)
class _Copies:
    """Rows of a part, those whose features occur in train, and those that occur there with the same label."""

    rows: int
    alike: int
    same: int

    @property
    def share(self) -> float:
        return self.same / max(self.rows, 1)


@dataclass(frozen=True, kw_only=True)
class _Effect:
    """How far the copies can lower the mean squared error of a part."""

    share: float
    in_noise: float
    """In standard errors of the mean."""


def _count(profile: Profile, code: int) -> _Copies:
    hashes = profile.row_hashes
    ours, train = hashes.part == code, hashes.part == 0
    return _Copies(
        rows=int(ours.sum()),
        alike=count_among(hashes.content[ours], hashes.content[train]),
        same=count_among(hashes.labelled[ours], hashes.labelled[train]),
    )


def _effects(profile: Profile, spec: Spec) -> dict[int, _Effect]:
    """What a model gains by having seen the copies of each part's rows; empty if there are too few rows to tell."""
    hashes, features = profile.row_hashes, list(profile.types)
    train = hashes.part == 0
    rows = pa.concat_tables([profile.evaluation_samples[PARTS[code]] for code in (1, 2)])
    rows = rows.filter(hash_contents(rows, features)[0] <= hash_limit(hashes.share))
    content, labelled = hash_contents(rows, features)
    errors = _errors(profile, spec, rows, content)
    if errors is None:
        return {}
    equal = count_each(content, hashes.content[train])
    agree = count_each(labelled, hashes.labelled[train]) / np.maximum(equal, 1)
    saved, part = np.where(equal > 0, errors - _look_up(errors, agree, spec), 0.0), rows[PART].to_numpy()
    effects = dict[int, _Effect]()
    for code in (1, 2):
        ours = part == code
        if ours.sum() >= MIN_ROWS:
            effect, error = max(0.0, float(saved[ours].mean())), float(errors[ours].mean())
            noise = float(errors[ours].std()) / profile.parts[PARTS[code]] ** 0.5
            effects[code] = _Effect(share=effect / max(error, 1e-12), in_noise=effect / max(noise, 1e-12))
    return effects


def _errors(profile: Profile, spec: Spec, rows: pa.Table, content: NDArray[np.uint64]) -> Vector | None:
    """The squared error of each row by a model of training rows of other contents; None if they are too few to tell.

    The models see all kinds of rows. Without the rows whose content occurs in another part, they would see the odd ones
    alone where a table has few contents.
    """
    of_sample, errors = hash_contents(profile.sample, list(profile.types))[0], np.empty(len(rows))
    for fold in range(FOLDS):
        seen, unseen = of_sample % np.uint64(FOLDS) != fold, content % np.uint64(FOLDS) == fold
        if not unseen.any():
            continue
        others = profile.sample.filter(pa.array(seen))
        probe = Probe.of(others, varying(profile), spec.task, unseen=rows.filter(pa.array(unseen)))
        if probe is None or min(len(others), len(rows)) < MIN_ROWS:
            return None
        errors[unseen] = probe.fit(probe.names).errors
    return errors


def _look_up(errors: Vector, agree: NDArray[np.float64], spec: Spec) -> Vector:
    """The squared error of the mean label of the equal training rows, of which a share agrees; shape (rows,)."""
    if spec.task == "regression":
        return errors * (1 - agree)
    return (1 - agree) ** 2 * (2 if spec.task == "multiclass" else 1)
