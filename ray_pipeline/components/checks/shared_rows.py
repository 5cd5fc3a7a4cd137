"""Rows of validation or test that occur in train."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec
from ray_pipeline.hashing import count_among, distinct
from ray_pipeline.values import PARTS

MIN_ROWS, MIN_SHARE = 10, 0.005
MIN_SAME_LABEL, MIN_DISTINCT = 0.99, 0.2


class SharedRows(Check):
    """Copies of training rows in another part, which make the score too good.

    Rows with few, coarse columns are equal by chance: then many training rows equal each other, or equal rows have
    different labels. Copies have the same label, too. So the severity is high if at least 1 in 200 rows occur in train,
    99 in 100 of those whose features occur have the same label, and at least a fifth of the training rows are distinct.
    It is medium if only the first is true, else low.
    """

    fix = "remove the copies where the rows are made, or split by a `group` that keeps them together"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each part."""
        row_hashes = profile.row_hashes
        train = row_hashes.part == 0
        distinctive = len(distinct(row_hashes.content[train])) >= MIN_DISTINCT * train.sum()
        for code, part in ((2, PARTS[2]), (1, PARTS[1])):
            ours = row_hashes.part == code
            alike = count_among(row_hashes.content[ours], row_hashes.content[train])
            same = count_among(row_hashes.labelled[ours], row_hashes.labelled[train])
            if not same:
                continue
            rows, share = round(same / row_hashes.share), same / int(ours.sum())
            copied = distinctive and same >= MIN_ROWS and share >= MIN_SHARE and same >= MIN_SAME_LABEL * alike
            about = "" if row_hashes.share == 1 else "about "
            found = (
                f"{about}{rows:,} {part} rows ({share:.1%}) occur in train with all features and the label; of {part}"
                f" rows whose features occur in train, {same / alike:.1%} agree in the label"
            )
            yield self.finding("high" if copied else "medium" if share >= MIN_SHARE else "low", None, rows, found)
