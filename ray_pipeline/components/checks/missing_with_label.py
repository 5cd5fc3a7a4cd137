"""Columns that are missing just where the label is: filled in together with the outcome."""

from collections.abc import Iterator
from typing import ClassVar

import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MIN_ROWS = 30
OFTEN, SURELY, ELSEWHERE = 0.5, 0.8, 0.01


class MissingWithLabel(Check):
    """Mostly null in rows whose label is null, and nearly never elsewhere: as flights that never left have neither
    delay nor air time."""

    fix: ClassVar = "leave it out if it is recorded together with the outcome"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column; none where most columns are so, since then the rows are merely blank."""
        rows = profile.counts.null_label
        if rows < MIN_ROWS:
            return
        ours = [name for name in varying(profile) if name in profile.counts.unlabelled]
        found = []
        for name in ours:
            missing = profile.counts.unlabelled[name]
            elsewhere = (pc.sum(pc.is_null(profile.sample[name], nan_is_null=True)).as_py() or 0) / max(
                profile.sample.num_rows, 1
            )
            if missing >= OFTEN * rows and elsewhere <= ELSEWHERE:
                text = (
                    f"{name} is missing in {missing:,} of the {rows:,} rows without a label, but in {elsewhere:.1%} of"
                    " the others"
                )
                found.append(self.finding("high" if missing >= SURELY * rows else "medium", name, missing, text))
        if len(found) <= max(len(ours) / 2, 1):
            yield from found
