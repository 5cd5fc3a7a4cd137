"""Feature tables whose rows may summarise a period that was not over yet."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec


class EarlyJoin(Check):
    """Every time is the start of a day or an hour, and there is no `known_at`.

    Then the summary of a day is joined to rows of that day's morning.
    """

    fix = "name the column that says when a row became known: `known_at`"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each feature table."""
        for table, granularity in profile.time_granularity.items():
            time = spec.features.tables[table].time
            found = (
                f"{table}.{time} is always the start of {'a day' if granularity == 'day' else 'an hour'}, and"
                f" its rows are used from that moment on; a summary is known only when its {granularity} is over"
            )
            yield self.finding("medium", f"{table}.{time}", profile.counts.joins[table].matched, found)
