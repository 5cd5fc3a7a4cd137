"""Hard cases for nets: huge labels, batches of one row, losses that are not finite, scores of a row among others."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import SCORING_THREADS, Diverged, TrainingContext, TrainingState
from ray_pipeline.encoded_block import EncodedBlock

FAMILIES = ("mlp", "ft_transformer", "linear")
NETS = ("mlp", "ft_transformer")
SMALL = {"d_block": 16, "d_head": 4, "k": 2, "n_bins": 4, "n_blocks": 1, "n_epochs": 30}
ROWS = 130
CONTEXT = TrainingContext(task="regression", num_classes=0, cardinalities={"nets": (0, 0, 4)}, threads=1)


def block(scale: float = 1.0, rows: int = ROWS) -> EncodedBlock:
    drawn = np.random.default_rng(0)
    matrix = np.column_stack([drawn.normal(size=(rows, 2)), drawn.integers(0, 4, rows)]).astype(np.float32)
    label = scale * (5 + matrix[:, 0].astype(float) + (matrix[:, 2] == 2))
    return EncodedBlock(matrix=matrix, label=label, weight=np.ones(rows), rows=pa.table({}))


def begun(family: str, rows: EncodedBlock, **more: Any) -> TrainingState:
    model = find("models", family)
    params = {name: more.get(name, SMALL.get(name, model.start.get(name, value))) for name, value in model()}
    return model.start_training(params, CONTEXT, model.prepare_data(params, CONTEXT, [rows], [rows]), 0)  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_of_1e12_are_learnt_as_labels_of_1_are(family: str) -> None:
    plain, huge = begun(family, block(), lr=0.01), begun(family, block(1e12), lr=0.01)
    for training in (plain, huge):
        training.advance(10)
    assert np.std(plain.scores() - block().label) < 0.8 * np.std(block().label)
    np.testing.assert_allclose(huge.scores() / 1e12, plain.scores(), rtol=1e-3)


@pytest.mark.parametrize("family", NETS)
@pytest.mark.parametrize("batch", [1, 129])
def test_a_batch_may_have_one_row(family: str, batch: int) -> None:
    training = begun(family, block(), batch_size=batch)
    training.advance(1)
    assert np.isfinite(training.scores()).all()


@pytest.mark.parametrize("family", NETS)
def test_a_loss_that_is_not_finite_ends_the_training_and_says_when(family: str) -> None:
    broken = block()
    broken.matrix[7, 0] = np.nan
    with pytest.raises(Diverged, match=r"the loss is not finite in epoch 1: lr .* is too high"):
        begun(family, broken).advance(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_bits_alone_among_others_and_in_another_order(family: str, tmp_path: Path) -> None:
    rows = block()
    training = begun(family, rows)
    training.advance(3)
    model = find("models", family)
    (tmp_path / model.file).write_bytes(training.model(3))
    score = model.load(tmp_path)
    whole = score(rows.matrix)
    np.testing.assert_array_equal(whole, training.scores())
    np.testing.assert_array_equal(np.concatenate([score(rows.matrix[at : at + 1]) for at in range(ROWS)]), whole)
    order = np.random.default_rng(1).permutation(ROWS)
    np.testing.assert_array_equal(score(rows.matrix[order]), whole[order])
    assert score(rows.matrix[:0]).shape == (0,)
    for threads in (1, 3, ROWS):
        token = SCORING_THREADS.set(threads)
        np.testing.assert_array_equal(score(rows.matrix), whole)
        np.testing.assert_array_equal(score(rows.matrix[:1]), whole[:1])
        SCORING_THREADS.reset(token)


@pytest.mark.parametrize("family", NETS)
def test_the_rows_of_many_blocks_train_as_those_of_one(family: str) -> None:
    whole = block()
    model = find("models", family)
    params = {name: SMALL.get(name, model.start.get(name, value)) for name, value in model()}
    parts = [
        EncodedBlock(matrix=whole.matrix[at], label=whole.label[at], weight=whole.weight[at], rows=pa.table({}))
        for at in (slice(0, 7), slice(7, 60), slice(60, ROWS))
    ]
    made = [
        model.start_training(params, CONTEXT, model.prepare_data(params, CONTEXT, blocks, [whole]), 0)
        for blocks in ([whole], parts)
    ]
    for training in made:
        training.advance(2)
    np.testing.assert_array_equal(made[0].scores(), made[1].scores())


@pytest.mark.parametrize("family", NETS)
def test_training_and_scoring_leave_the_number_of_threads_of_the_process_as_it_was(family: str) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        training = begun(family, block())
        training.advance(1)
        training.scores()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
