"""A fingerprint of the rows that a model has seen, small enough to be stored with it: a sample of their hashes."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import Kind
from ray_pipeline.hashing import count_among, distinct
from ray_pipeline.profiling.profile import as_kinds
from ray_pipeline.profiling.row_hashes import RowHashes, hash_contents, hash_limit, repeat_share
from ray_pipeline.values import Finding

MAX_HASHES = 8_192
MIN_SHARE, MIN_SHARE_HIGH = 0.01, 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownRows:
    """The smallest hashes of features and label among the rows of train and validation."""

    hashes: NDArray[np.uint64]
    """Ascending; shape (hashes,)."""
    share: float
    """The share of all contents from which they are taken, see `RowHashes.share`."""
    repeats: float
    """The share of those rows that equal another one: so many new rows are equal by chance."""

    @classmethod
    def of(cls, row_hashes: RowHashes) -> Self:
        """The fingerprint of the rows of train and validation."""
        seen = row_hashes.labelled[row_hashes.part < 2]
        return cls(hashes=distinct(seen)[:MAX_HASHES], share=row_hashes.share, repeats=repeat_share(seen))

    @classmethod
    def from_json(cls, rows: Mapping[str, Any] | None) -> Self:
        """What `to_json` wrote; without any hash where an older version has none."""
        rows = rows or {"hashes": "", "share": 1.0, "repeats": 0.0}
        hashes = np.frombuffer(base64.b64decode(rows["hashes"]), "<u8").astype(np.uint64)
        return cls(hashes=hashes, share=rows["share"], repeats=rows["repeats"])

    def to_json(self) -> dict[str, Any]:
        """The object `rows` of training.json: at most 87 kB."""
        hashes = base64.b64encode(self.hashes.astype("<u8").tobytes()).decode()
        return {"hashes": hashes, "share": self.share, "repeats": self.repeats}

    def count(self, rows: pa.Table, features: list[str], kinds: Mapping[str, Kind]) -> tuple[int, int]:
        """How many rows can be judged by the sample, and how many of these are known.

        Parameters
        ----------
        rows
            New rows with the label and all features.
        features
            The features' names, in the order of training.
        kinds
            The kinds of features that the spec says, as the profile of the training has them.
        """
        if not len(self.hashes):
            return 0, 0
        content, labelled = hash_contents(as_kinds(rows, kinds), features)
        limit = self.hashes[-1] if len(self.hashes) == MAX_HASHES else np.uint64(2**64 - 1)
        judged = labelled[(content <= hash_limit(self.share)) & (labelled <= limit)]
        return len(judged), count_among(judged, self.hashes)

    def finding(self, judged: int, known: int, rows: int) -> Finding | None:
        """What the counts say of new rows; None where no more are known than chance explains.

        Parameters
        ----------
        judged, known
            The sums of `count` over all blocks.
        rows
            The number of new rows.
        """
        share = known / max(judged, 1)
        unexpected = share - self.repeats - 2 * (self.repeats / max(judged, 1)) ** 0.5
        if unexpected < MIN_SHARE:
            return None
        about = "" if judged == rows else f" (judged by {judged:,} of them)"
        return Finding(
            check="seen_in_training",
            severity="high" if unexpected >= MIN_SHARE_HIGH else "medium",
            column=None,
            rows=round(share * rows),
            found=(
                f"{share:.1%} of the {rows:,} rows{about} are rows of train or validation, with all features and the"
                f" label; {self.repeats:.1%} would be so by chance"
            ),
            fix="evaluate on rows that the model was not trained on",
        )
