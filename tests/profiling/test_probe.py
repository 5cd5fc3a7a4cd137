"""The quick model of a sample: the same each time, right about columns whose answer is known, whatever the values."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.data.rows import LABEL
from ray_pipeline.profiling.probe import Probe
from ray_pipeline.values import Task

ROWS = 1_500
rng = np.random.default_rng(4)
NOISE, CLASS = rng.normal(size=ROWS), rng.choice(["a", "b", "c"], ROWS)


def probe_of(columns: dict[str, object], label: object, task: Task = "binary") -> Probe:
    table = pa.table({name: pa.array(values) for name, values in columns.items()} | {LABEL: pa.array(label)})
    made = Probe.of(table, list(columns), task)
    assert made is not None
    return made


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_copy_explains_all_of_the_label_and_noise_none(task: Task) -> None:
    label = {"binary": (CLASS == "a").astype(float), "multiclass": CLASS, "regression": np.exp(rng.normal(size=ROWS))}[
        task
    ]
    probe = probe_of({"copy": label, "noise": NOISE}, label, task)
    both = probe.fit(["copy", "noise"])
    assert both.skill > 0.99 and both.gains["copy"] > 0.99
    assert probe.fit(["noise"]).skill < 0.05
    assert probe.fit([]).skill == pytest.approx(0)
    assert sum(both.gains.values()) == pytest.approx(1)


def test_a_noisy_copy_explains_what_its_noise_leaves() -> None:
    label = (rng.random(ROWS * 4) < 0.5).astype(float)
    flipped = rng.random(ROWS * 4) < 0.1
    skill = probe_of({"noisy": np.where(flipped, 1 - label, label)}, label).fit(["noisy"]).skill
    assert skill == pytest.approx(1 - 0.09 / 0.25, abs=0.05)  # the variance within a value, by that of the label


def test_the_same_sample_gives_the_same_fit() -> None:
    columns = {"word": CLASS, "noise": NOISE, "more": rng.normal(size=ROWS)}
    label = (NOISE + (CLASS == "a") > 0).astype(float)
    one, other = (probe_of(columns, label).fit(columns) for _ in range(2))
    assert one.skill == other.skill and one.gains == other.gains
    np.testing.assert_array_equal(one.errors, other.errors)


def test_a_column_of_which_only_the_missing_values_count() -> None:
    label = (CLASS == "a").astype(float)
    probe = probe_of({"filled": pa.array(NOISE, mask=label > 0), "by_value": label}, label)
    assert probe.only_missing("filled").fit(["filled"]).skill > 0.99
    assert probe.only_missing("by_value").fit(["by_value"]).skill < 0.05


def test_rows_that_are_named_are_not_seen() -> None:
    """A text that is new in the unseen rows says nothing there."""
    label = (np.arange(ROWS) % 2).astype(float)
    half = np.arange(ROWS) >= ROWS // 2
    word = np.where(half, "new", np.where(label > 0, "one", "zero"))
    fit = probe_of({"word": word}, label).fit(["word"], unseen=half)
    assert len(fit.errors) == half.sum() and fit.skill < 0.05


def test_numbers_that_float32_cannot_tell_apart_keep_their_order() -> None:
    label = (np.arange(ROWS) >= ROWS // 2).astype(float)
    for far in (1e12, -1e12, 1.7e18):
        assert probe_of({"late": far + np.arange(ROWS) * max(1.0, abs(far) * 1e-15)}, label).fit(["late"]).skill > 0.95


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([0.0, -0.0, 1e39, -1e300, np.inf, -np.inf, np.nan, 7.0]), min_size=1, max_size=6))
def test_any_numbers_are_taken(values: list[float]) -> None:
    label = (CLASS == "a").astype(float)
    probe = probe_of({"odd": np.resize(np.array(values), ROWS), "none": pa.nulls(ROWS, pa.string())}, label)
    assert np.isfinite(probe.fit(["odd", "none"]).errors).all()


@pytest.mark.parametrize("label", [np.zeros(ROWS), (np.arange(ROWS) < 9).astype(float), np.arange(100) % 2])
def test_a_sample_that_can_tell_nothing_has_no_probe(label: np.ndarray) -> None:
    table = pa.table({"x": NOISE[: len(label)], LABEL: label.astype(float)})
    assert Probe.of(table, ["x"], "binary") is None
