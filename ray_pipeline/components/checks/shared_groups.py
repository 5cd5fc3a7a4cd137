"""Groups with rows in train and in validation or test."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec
from ray_pipeline.hashing import count_among, distinct
from ray_pipeline.values import PARTS


class SharedGroups(Check):
    """A group has rows in train and in another part, though rows of one group are not independent.

    High for `split.group`, which promises to keep them together; medium for `evaluate.cluster`.
    """

    fix = "split by random with this `group`, or correct the column that names the parts"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each part."""
        row_hashes, group = profile.row_hashes, getattr(spec.split, "group", None)
        train = row_hashes.group[row_hashes.group_part == 0]
        for code, part in ((2, PARTS[2]), (1, PARTS[1])):
            ours = distinct(row_hashes.group[row_hashes.group_part == code])
            shared = count_among(ours, train)
            if shared:
                groups = round(shared / row_hashes.share)
                about = "" if row_hashes.share == 1 else "about "
                found = (
                    f"{group or spec.evaluate.cluster} overlaps: {about}{groups:,} groups of {part}"
                    f" ({shared / len(ours):.1%}) have rows in train"
                )
                yield self.finding("high" if group else "medium", group or spec.evaluate.cluster, groups, found)
