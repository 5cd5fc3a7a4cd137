"""Training rows that occur more than once."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.hashing import distinct
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MANY = 0.01


class DuplicateRows(Check):
    """Equal in all features and the label; counted, or estimated from a sample of contents where there are more than
    two million rows."""

    fix: ClassVar = "remove them where the rows are made, unless they are separate events"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding."""
        row_hashes = profile.row_hashes
        contents = row_hashes.labelled[row_hashes.part == 0]
        again = round((len(contents) - len(distinct(contents))) / row_hashes.share) if len(contents) else 0
        if again:
            about = "" if row_hashes.share == 1 else "about "
            share = again / profile.parts["train"]
            yield self.finding(
                "medium" if share >= MANY else "low",
                None,
                again,
                f"{about}{again:,} training rows ({share:.1%}) repeat another one in all features and the label",
            )
