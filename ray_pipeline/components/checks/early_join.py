"""Feature tables whose rows may be summaries of a time that was not over yet."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class EarlyJoin(Check):
    """Every time stands at the start of a day or an hour and no `known_at` is given: a summary of that day is joined to
    rows of its morning."""

    fix: ClassVar = "name the column that says when a row became known: `known_at`"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding a feature table."""
        for table, granularity in profile.time_granularity.items():
            time = spec.features.tables[table].time
            matched = profile.counts.joins[table].matched
            found = (
                f"{table}.{time} always stands at the start of {'a day' if granularity == 'day' else 'an hour'}, and"
                f" its rows are used from that moment on; a summary is known only when its {granularity} is over"
            )
            yield self.finding("medium", f"{table}.{time}", matched, found)
