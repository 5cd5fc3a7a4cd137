"""Every family keeps its promises with whatever its default spaces propose, on tables of a few rows.

On small tables, and with hyperparameters at the end of their spaces, libraries behave otherwise than usual: LightGBM
adds no tree in a round in which nothing can be split, and XGBoost takes values beyond twice the largest of train for
missing ones.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.models._base import TrainingContext, TrainingState
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.tuning.sampler import Sampler
from ray_pipeline.values import Task

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}
CODES = (0, 0, 0, 6)
"""Two numbers, a constant, and a category."""
SMALL = {"d_block": 16, "d_head": 4, "k": 2, "n_blocks": 1, "batch_size": 16}
"""Where a family has such hyperparameters: nets that train in a moment."""
DRAWS = range(8)


def drawn(family: str, context: TrainingContext, seed: int) -> dict[str, Any]:
    """Hyperparameters from anywhere in the default spaces of a family."""
    model = find("models", family)
    sampler = Sampler(
        family=family,
        space=model().space(context),
        start={},
        integers=frozenset(name for name, field in model.model_fields.items() if "int" in str(field.annotation)),
        num_trials=1,
        seed=seed,
        better="higher",
        searcher="random",
    )
    proposal = sampler.ask()
    assert proposal is not None
    return {name: SMALL.get(name, value) for name, value in proposal.params.items()}


def rows_of(family: str, task: Task, seed: int) -> tuple[list[EncodedBlock], list[EncodedBlock]]:
    """12 to 150 rows of train in two blocks and 30 of validation; every class is in train."""
    rng = np.random.default_rng(seed)
    num = int(rng.choice([12, 40, 150]))
    matrix = np.column_stack(
        [rng.normal(size=num + 30), rng.integers(0, 3, num + 30), np.ones(num + 30), rng.integers(0, 6, num + 30)]
    ).astype(np.float32)
    if find("models", family).encoder == "trees":
        matrix[rng.random(num + 30) < 0.1, 0] = np.nan
    signal = np.nan_to_num(matrix[:, 0]) + matrix[:, 1] + rng.normal(size=num + 30)
    matrix[num::7, 0] *= 50  # values that train has nothing like, and a category that it lacks
    matrix[:num, 3] = np.minimum(matrix[:num, 3], 4)
    label = signal if task == "regression" else np.argsort(np.argsort(signal)) * CLASSES[task] // (num + 30)
    label = label.astype(float)
    if task != "regression":
        label[: CLASSES[task]] = range(CLASSES[task])
    parts = np.split(np.arange(num + 30), [num // 3, num])
    blocks = [
        EncodedBlock(matrix=matrix[at], label=label[at], weight=np.ones(len(at)), rows=pa.table({})) for at in parts
    ]
    return blocks[:2], blocks[2:]


def begun(family: str, task: Task, seed: int, state: bytes | None = None, threads: int = 1) -> TrainingState:
    model = find("models", family)
    context = TrainingContext(
        task=task,
        num_classes=CLASSES[task],
        cardinalities=dict.fromkeys(menu("encoders"), CODES),
        codes=dict.fromkeys(menu("encoders"), CODES),
        threads=threads,
        rows=100,
    )
    params = drawn(family, context, seed)
    return model.start_training(
        params, context, model.prepare_data(params, context, *rows_of(family, task, seed)), 5, state
    )


@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", menu("models"))
def test_the_model_of_each_round_scores_as_it_did_and_a_fit_that_goes_on_gives_its_bytes(
    family: str, task: Task, seed: int, tmp_path: Path
) -> None:
    model, training, seen = find("models", family), begun(family, task, seed), {}
    _, (validation,) = rows_of(family, task, seed)
    looks = (1, 2, 3) if model.encoder == "nets" else (1, 2, 7, 20, 60)
    for rounds in looks:
        training.advance(rounds)
        seen[rounds] = np.array(training.scores())
        if rounds == looks[1]:
            state = training.state()
    for rounds, scores in seen.items():
        (tmp_path / model.file).write_bytes(training.model(rounds))
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(model.load(tmp_path)(validation.matrix), scores, rtol=1e-5, atol=1e-6)
    for threads in (1,) if model.encoder == "nets" else (1, 2):  # torch adds in another order with more threads
        again = begun(family, task, seed, state, threads)
        again.advance(looks[-1])
        assert again.model(looks[-1]) == training.model(looks[-1])
