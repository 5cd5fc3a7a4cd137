"""Text columns that people have written, not categories."""

import numpy as np
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS

MIN_WORDS, MIN_DISTINCT = 4, 0.5


class FreeText(Check):
    """Most texts of the sample have several words and differ from each other, so that the model sees unknown values."""

    fix = "leave it out, or write what it says as numbers and categories"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        for name in varying(profile, "category"):
            texts = profile.sample[name].drop_null()
            if len(texts) < MIN_ROWS or pc.count_distinct(texts).as_py() < MIN_DISTINCT * len(texts):
                continue
            words = float(np.median(pc.add(pc.count_substring_regex(texts.cast("string"), r"\s+"), 1).to_numpy()))
            if words >= MIN_WORDS:
                found = f"{name} is free text: half of {len(texts):,} sampled texts have {words:g} words or more"
                yield self.finding("medium", name, profile.columns[name].rows, found)
