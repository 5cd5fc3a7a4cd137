"""Training rows that occur more than once."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec
from ray_pipeline.hashing import distinct

MIN_SHARE = 0.01


class DuplicateRows(Check):
    """Rows that are equal in all features and the label.

    They are counted, or estimated from a sample of contents if there are more than two million rows.
    """

    fix = "remove them where the rows are made, unless they are separate events"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding."""
        row_hashes = profile.row_hashes
        contents = row_hashes.labelled[row_hashes.part == 0]
        repeats = round((len(contents) - len(distinct(contents))) / row_hashes.share) if len(contents) else 0
        if repeats:
            about = "" if row_hashes.share == 1 else "about "
            share = repeats / profile.parts["train"]
            yield self.finding(
                "medium" if share >= MIN_SHARE else "low",
                None,
                repeats,
                f"{about}{repeats:,} training rows ({share:.1%}) repeat another one in all features and the label",
            )
