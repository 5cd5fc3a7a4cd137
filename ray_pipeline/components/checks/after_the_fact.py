"""Columns whose name says that they are known only after the fact."""

import re
from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

AFTERWARDS = frozenset(
    [
        "actual",
        "actuals",
        "after",
        "cancelled",
        "canceled",
        "cancellation",
        "chargeback",
        "churned",
        "closed",
        "completed",
        "defaulted",
        "delay",
        "delayed",
        "discharge",
        "discharged",
        "duration",
        "elapsed",
        "final",
        "finished",
        "outcome",
        "post",
        "recovered",
        "recovery",
        "refunded",
        "resolution",
        "resolved",
        "result",
        "returned",
        "settled",
        "settlement",
        "target",
    ]
)
PLANNED = ("sched", "scheduled", "planned", "expected", "estimated", "promised", "start", "begin")
LATER = {"start": ("end", "stop", "finish"), "begin": ("end", "stop", "finish")}


class AfterTheFact(Check):
    """By its words: it has a planned or a starting twin (`dep_time` beside `sched_dep_time`, `end_station` beside
    `start_station`), or names an outcome."""

    fix: ClassVar = "leave it out unless it is known at the moment of prediction"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column."""
        known = {
            _words(name): name for name in [*profile.columns, *profile.sample.column_names] if not name.startswith("__")
        }
        known |= {_words(name): name for name in filter(None, (spec.features.labels.time, spec.features.labels.key))}
        for name in varying(profile):
            words = _words(name.partition(".")[2] or name)
            if (twin := _twin(words, known)) is not None:
                yield self.finding("medium", name, profile.columns[name].rows, f"{name} says what came of {twin}")
            elif said := sorted(set(words) & AFTERWARDS):
                yield self.finding(
                    "medium",
                    name,
                    profile.columns[name].rows,
                    f"{name} speaks of {said[0]!r}, which is known only afterwards",
                )


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name))


def _twin(words: tuple[str, ...], known: dict[tuple[str, ...], str]) -> str | None:
    """The planned or starting column that this one is the later twin of."""
    for plan in PLANNED:
        for place in range(len(words) + 1):
            if plan not in LATER and (*words[:place], plan, *words[place:]) in known:
                return known[(*words[:place], plan, *words[place:])]
            if (
                place < len(words)
                and words[place] in LATER.get(plan, ())
                and (*words[:place], plan, *words[place + 1 :]) in known
            ):
                return known[(*words[:place], plan, *words[place + 1 :])]
    return None
