"""Columns that are known only after the fact, by their names."""

import re

import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import power
from ray_pipeline.data.rows import LABEL
from ray_pipeline.values import INTERNAL

STRONG = 0.8

AFTERWARDS = re.compile(
    "actuals?|after|canceled|cancelled|cancellation|chargeback|churned|closed|completed|defaulted|delay(ed)?"
    "|discharged?|duration|elapsed|final|finished|outcome|post|recover(ed|y)|refunded|resolution|resolved|result"
    "|returned|settled|settlement|target"
)
PLANNED = ("sched", "scheduled", "planned", "expected", "estimated", "promised", "start", "begin")
LATER = {"start": ("end", "stop", "finish"), "begin": ("end", "stop", "finish")}


class AfterTheFact(Check):
    """A column with a planned or starting twin, or with the name of an outcome.

    Twins are, for instance, `dep_time` beside `sched_dep_time`, and `end_station` beside `start_station`.

    A name proves nothing: low. Medium if the column's values, or where they are missing, predict the label well alone.
    """

    fix = "leave it out unless it is known at the moment of prediction"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        known = {
            _words(name): name for name in [*profile.columns, *profile.sample.column_names] if INTERNAL not in name
        }
        known |= {_words(name): name for name in (spec.features.labels.time, spec.features.labels.key) if name}
        for name in varying(profile):
            words = _words(name.partition(".")[2] or name)
            if (twin := _twin(words, known)) is not None:
                found = f"{name} is named like the outcome of {twin}"
            elif outcomes := sorted(filter(AFTERWARDS.fullmatch, words)):
                found = f"{name} is named for {outcomes[0]!r}, which is known only afterwards"
            else:
                continue
            reached = _power(profile, name, spec)
            if reached >= STRONG:
                found += f", and alone it predicts the label with {reached:.2f}"
            yield self.finding("medium" if reached >= STRONG else "low", name, profile.columns[name].rows, found)


def _power(profile: Profile, name: str, spec: Spec) -> float:
    """How well the column's values, or where they are missing, alone predict the label; see `power`."""
    values, label = profile.sample[name], profile.sample[LABEL]
    missing = pc.is_null(values, nan_is_null=True)
    known = pc.invert(missing)
    return max(
        power(values.filter(known), label.filter(known), spec.task), power(missing.cast("int8"), label, spec.task)
    )


def _words(name: str) -> tuple[str, ...]:
    """The words of a name in snake case or camel case, in lower case."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name))


def _twin(words: tuple[str, ...], known: dict[tuple[str, ...], str]) -> str | None:
    """The planned or starting column whose later twin this one is."""
    for plan in PLANNED:
        for place in range(len(words) + 1):
            replaces = place < len(words) and words[place] in LATER.get(plan, ())
            twin = (*words[:place], plan, *words[place + replaces :])
            if (replaces or plan not in LATER) and twin in known:
                return known[twin]
    return None
