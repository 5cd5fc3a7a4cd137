"""People, devices and the like with rows in several parts of a random split."""

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import codes, numbers
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.profiling.probe import HELD_OUT, Probe
from ray_pipeline.values import INTERNAL, Severity

NAMED = re.compile(
    r"(?i)(^|_|\b)(u?u?id|account|card|client|customer|device|driver|employee|household|member|patient|person|player"
    r"|student|subject|user|visitor)(_?(id|no|number|key|code))?($|_|\b)"
)
MIN_IDS, MIN_REPEATS, MAX_TRIED = 20, 2.0, 4
NOTABLE, LARGE = 0.1, 0.3


class RepeatedIds(Check):
    """A quick model is much worse on ids that it has not seen than on rows that it has not seen.

    Then a random split lets the model recognise who a row belongs to, and the test score does not hold for new people.
    An id is a text or a whole number with many values that repeat, and named like one: high if the skill falls by 0.3,
    medium by 0.1. For a text with another name: medium by 0.3.
    """

    fix = "split by random with this column as `group`; ignore this if the model only ever sees known ids"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        if spec.split.by != "random" or getattr(spec.split, "group", None):
            return
        names, sample = varying(profile), profile.sample
        ids = {name: code for name in sample.column_names if (code := _as_ids(name, sample[name])) is not None}
        probe = Probe.of(sample, names, spec.task) if ids else None
        if probe is None:
            return
        by_row = probe.fit(names).skill
        for name in sorted(ids, key=lambda one: -ids[one].max())[:MAX_TRIED]:
            hidden = np.random.default_rng(0).random(int(ids[name].max()) + 1) < HELD_OUT
            by_id = max(0.0, probe.fit(names, unseen=hidden[ids[name]][: len(probe.target)]).skill)
            named, lost = NAMED.search(name), by_row - by_id
            if lost >= (NOTABLE if named else LARGE):
                severity: Severity = "high" if named and lost >= LARGE else "medium"
                found = (
                    f"{name} has {ids[name].max() + 1:,} values in {len(sample):,} sampled rows, and a random split"
                    " puts rows of one value into several parts: a quick model explains"
                    f" {by_row:.1%} of the label's variance on new rows, and {by_id:.1%} on new values of {name}"
                )
                yield self.finding(severity, name, profile.parts["train"], found)


def _as_ids(name: str, values: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """The number of each row's id, shape (rows,); None if the column holds no ids that repeat."""
    if name.startswith(INTERNAL) or values.null_count == len(values):
        return None
    is_text = kind_of(values.type) == "category"
    if not is_text and not (kind_of(values.type) == "number" and NAMED.search(name) and _is_whole(values)):
        return None
    code = codes(values)
    return code if MIN_IDS <= code.max() + 1 <= len(code) / MIN_REPEATS else None


def _is_whole(values: pa.ChunkedArray) -> bool:
    """Whether all numbers are whole; integers with nulls come as floats from pandas."""
    number = numbers(values.drop_null())
    return bool((number == np.floor(number)).all())
