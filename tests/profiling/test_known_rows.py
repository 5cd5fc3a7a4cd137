"""Rows of train and validation are recognised among new rows, also by a sample of their hashes."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_fixture import profile_of

from ray_pipeline.data.rows import LABEL
from ray_pipeline.profiling.known_rows import MAX_HASHES, KnownRows
from ray_pipeline.profiling.row_hashes import count_each, repeat_share

NUMBERS = st.lists(st.integers(0, 9), max_size=40)


def table_of(num_rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=num_rows), "b": rng.choice(["x", "y"], num_rows)}


def known_of(num_rows: int, share: float = 1.0) -> tuple[KnownRows, pa.Table, np.ndarray]:
    """What a version stores of these rows, the rows, and the part of each."""
    columns, label = table_of(num_rows, 0), (np.arange(num_rows) % 2).astype(float)
    part = np.arange(num_rows) % 4 % 3
    profile = profile_of(columns, label, part, share=share)
    stored = json.loads(json.dumps(KnownRows.of(profile.row_hashes).to_json()))
    return KnownRows.from_json(stored), pa.table({**columns, LABEL: label}), part


@pytest.mark.parametrize(("num_rows", "share"), [(3_000, 1.0), (40_000, 1.0), (40_000, 0.5)])
def test_rows_of_train_and_validation_are_known_and_those_of_test_are_not(num_rows: int, share: float) -> None:
    known, rows, part = known_of(num_rows, share)
    assert len(known.hashes) <= MAX_HASHES
    for code in (0, 1):
        judged, seen = known.count(rows.filter(part == code), ["a", "b"], {})
        assert judged == seen > 0
        finding = known.finding(judged, seen, int((part == code).sum()))
        assert finding is not None
        assert (finding.severity, finding.rows) == ("high", (part == code).sum())
    judged, seen = known.count(rows.filter(part == 2), ["a", "b"], {})
    assert judged > 0 == seen
    assert known.finding(judged, seen, 1_000) is None


def test_a_few_known_rows_are_a_medium_finding() -> None:
    known, rows, part = known_of(3_000)
    mixed = pa.concat_tables([rows.filter(part == 2), rows.filter(part == 0).slice(0, 100)])
    judged, seen = known.count(mixed, ["a", "b"], {})
    assert (judged, seen) == (mixed.num_rows, 100)
    finding = known.finding(judged, seen, mixed.num_rows)
    assert finding is not None
    assert (finding.severity, finding.rows) == ("medium", 100)


def test_rows_that_repeat_by_chance_are_no_finding() -> None:
    rng = np.random.default_rng(3)
    columns, label = {"a": rng.integers(0, 900, 4_000)}, rng.integers(0, 2, 4_000).astype(float)
    part = np.where(np.arange(4_000) < 3_000, 0, 2)
    known = KnownRows.of(profile_of(columns, label, part).row_hashes)
    judged, seen = known.count(pa.table({**columns, LABEL: label}).filter(part == 2), ["a"], {})
    assert seen > 500
    assert known.finding(judged, seen, 1_000) is None


def test_a_version_without_the_hashes_knows_no_rows() -> None:
    known, rows, _ = known_of(300)
    assert KnownRows.from_json(None).count(rows, ["a", "b"], {}) == (0, 0)
    assert known.finding(0, 0, 0) is None


@given(NUMBERS, NUMBERS)
def test_counts_and_repeats_are_those_of_plain_python(numbers: list[int], known: list[int]) -> None:
    counts = Counter(known)
    counted = count_each(np.array(numbers, np.uint64), np.array(known, np.uint64))
    assert counted.tolist() == [counts[number] for number in numbers]
    repeated = sum(counts[number] > 1 for number in known) / max(len(known), 1)
    assert repeat_share(np.array(known, np.uint64)) == pytest.approx(repeated)
