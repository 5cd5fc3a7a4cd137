"""What every model family must do: learn, repeat byte for byte, weigh rows, and score after loading as it scored in
training."""

import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from external_model_fixture import OWN, install

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find, menu, trust
from ray_pipeline.components.models._base import TrainingContext, TrainingState
from ray_pipeline.components.models._xgboost import import_xgboost
from ray_pipeline.components.space import Space
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Part, Task

install()
EVERY = (*menu("models"), OWN)
SMALL = {"d_block": 32, "d_head": 4, "k": 2, "n_bins": 8}
"""Where a family has such hyperparameters: nets that train in a moment."""
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CARDINALITIES = (0, 0, 5)


@pytest.fixture(autouse=True)
def trusting() -> None:
    """Every run sets anew what is trusted."""
    trust(["my_package"])


def blocks_of(task: Task, *, rows: int = 600, seed: int = 0, heavy: float = 1.0, unit: float = 1.0) -> list[pa.Table]:
    """Three blocks with a signal in each column; `heavy` weighs the rows of the largest label."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([rng.normal(size=rows), rng.normal(size=rows), rng.integers(1, 5, rows)]).astype(
        np.float32
    )
    matrix[rng.random(rows) < 0.05, 0] = np.nan
    signal = np.nan_to_num(matrix[:, 0]) + 0.5 * matrix[:, 1] ** 2 + (matrix[:, 2] == 3) + rng.normal(0, 0.3, rows)
    label = {"binary": signal > 0.7, "multiclass": np.digitize(signal, [0.2, 1.2]), "regression": signal}[task].astype(
        float
    )
    part = np.sort(rng.choice(3, (3, rows // 3), p=[0.6, 0.2, 0.2]), axis=1).astype(np.int8)
    third = [slice(i * rows // 3, (i + 1) * rows // 3) for i in range(3)]
    return [
        packed.pack(
            {"trees": matrix[at], "nets": np.nan_to_num(matrix[at])},
            {
                packed.LABEL: pa.array(label[at]),
                packed.WEIGHT: pa.array(unit * np.where(label[at] == label.max(), heavy, 1.0)),
                packed.PART: pa.array(part[i]),
                packed.KEY: pa.array(np.arange(at.start, at.stop)),
            },
        )
        for i, at in enumerate(third)
    ]


def training_context(task: Task, **more: Any) -> TrainingContext:
    return TrainingContext(
        task=task,
        num_classes={"binary": 2, "multiclass": 3, "regression": 0}[task],
        cardinalities=dict.fromkeys(menu("encoders"), CARDINALITIES),
        threads=1,
        **more,
    )


def params_of(model: Any, context: TrainingContext) -> dict[str, Any]:
    """Those of trial 0, small where the family has a size."""
    return {
        name: SMALL.get(name, model.start[name] if isinstance(value, Space) else value)
        for name, value in model().space(context).items()
    }


def begun(
    family: str,
    task: Task,
    *,
    seed: int = 0,
    heavy: float = 1.0,
    unit: float = 1.0,
    judged: Part = "validation",
    **more: Any,
) -> tuple[TrainingState, list[EncodedBlock]]:
    model, blocks = find("models", family), blocks_of(task, heavy=heavy, unit=unit)
    context = training_context(task, **more)
    params = params_of(model, context)
    train, validation = (
        list(packed.views(blocks, model.encoder, "train")),
        list(packed.views(blocks, model.encoder, judged)),
    )
    return (
        model.start_training(params, context, model.prepare_data(params, context, train, validation), seed),
        validation,
    )


def saved(training: TrainingState, folder: Path, family: str, rounds: int) -> bytes:
    content = training.model(rounds)
    (folder / find("models", family).file).write_bytes(content)
    return content


def loss(task: Task, label: Any, score: Any) -> float:
    if task == "regression":
        return float(np.mean((label - score) ** 2))
    of_label = (
        score[np.arange(len(label)), label.astype(int)]
        if task == "multiclass"
        else np.where(label == 1, score, 1 - score)
    )
    return float(-np.log(np.clip(of_label, 1e-9, 1)).mean())


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_the_training_loss_falls_as_rounds_go_on_and_the_saved_model_scores_as_it_did(
    family: str, task: Task, tmp_path: Path
) -> None:
    training, validation = begun(family, task, judged="train")
    label, losses = np.concatenate([block.label for block in validation]), []
    for rounds in (1, 3, 20):
        training.advance(rounds)
        assert training.rounds == rounds
        losses.append(loss(task, label, training.scores()))
    assert losses[0] > losses[1] > losses[2]
    scores = training.scores()
    assert scores.shape == ((len(label), 3) if task == "multiclass" else (len(label),))
    if task == "multiclass":
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    saved(training, tmp_path, family, 20)
    loaded = find("models", family).load(tmp_path)
    np.testing.assert_allclose(
        loaded(np.concatenate([block.matrix for block in validation])), scores, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("family", EVERY)
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(family: str, tmp_path: Path) -> None:
    written = []
    for at, seed in enumerate((3, 3, 4)):
        training, _ = begun(family, "binary", seed=seed)
        training.advance(8)
        (tmp_path / str(at)).mkdir()
        written.append(saved(training, tmp_path / str(at), family, 8))
    assert written[0] == written[1] and (written[1] != written[2]) == find("models", family).seeded


@pytest.mark.parametrize("family", EVERY)
def test_a_model_saved_at_an_earlier_round_is_the_one_that_stopped_there(family: str, tmp_path: Path) -> None:
    short, validation = begun(family, "binary")
    short.advance(5)
    long, _ = begun(family, "binary")
    for rounds in (3, 9, 15):
        long.advance(rounds)
    saved(long, tmp_path, family, 5)
    loaded = find("models", family).load(tmp_path)
    np.testing.assert_allclose(
        loaded(np.concatenate([block.matrix for block in validation])), short.scores(), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_a_fit_that_goes_on_from_its_state_in_another_process_ends_as_the_one_that_was_not_interrupted(
    family: str, task: Task
) -> None:
    model, context = find("models", family), training_context(task)
    params = params_of(model, context)
    through, validation = begun(family, task, seed=3)
    train = list(packed.views(blocks_of(task), model.encoder, "train"))
    states = []
    for rounds in (4, 9):
        through.advance(rounds)
        states.append(through.state())
    through.advance(12)
    for rounds, state in zip((4, 9), states, strict=True):
        again = model.start_training(params, context, model.prepare_data(params, context, train, validation), 3, state)
        assert again.rounds == rounds
        again.advance(9)
        if rounds == 4:
            assert again.state() == states[1]
        again.advance(12)
        assert again.model(12) == through.model(12)
        np.testing.assert_array_equal(again.scores(), through.scores())


def test_trees_settle_their_bins_by_the_rows_and_their_objective_by_the_label() -> None:
    model = find("models", "xgboost")
    few, many = (
        model().space(replace(training_context("regression"), rows=rows, min_label=0.0)) for rows in (100_000, 100_001)
    )
    assert (few["max_bin"], many["max_bin"]) == (512, 128) and few["objective"].ends == (
        "reg:squarederror",
        "reg:tweedie",
    )
    assert model().space(replace(training_context("regression"), min_label=-1.0))["objective"] == "reg:squarederror"
    assert [model().space(training_context(task))["objective"] for task in ("binary", "multiclass")] == [
        "binary:logistic",
        "multi:softprob",
    ]
    given = model(max_bin=64, objective="count:poisson").space(replace(training_context("regression"), min_label=0.0))
    assert (given["max_bin"], given["objective"]) == (64, "count:poisson")


@pytest.mark.parametrize("task", TASKS)
def test_trees_learn_the_same_from_pages_on_disk(task: Task) -> None:
    held, paged = (begun("xgboost", task, judged="train", external=external) for external in (False, True))
    label = np.concatenate([block.label for block in held[1]])
    for training, _ in (held, paged):
        training.advance(20)
    assert loss(task, label, paged[0].scores()) == pytest.approx(loss(task, label, held[0].scores()), rel=0.05)


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_heavier_rows_and_heavier_classes_pull_the_scores_alike(family: str, task: Task) -> None:
    classes = 2 if task == "binary" else 3
    plain, weighted, by_class = (
        begun(family, task, **more)
        for more in ({}, {"heavy": 6.0}, {"class_weight": (1.0, 6.0) if classes == 2 else (1.0, 1.0, 6.0)})
    )
    for training, _ in (plain, weighted, by_class):
        training.advance(10)
    mean = [float((f.scores() if classes == 2 else f.scores()[:, -1]).mean()) for f, _ in (plain, weighted, by_class)]
    assert mean[1] > mean[0] + 0.03 and mean[2] > mean[0] + 0.03
    np.testing.assert_array_equal(weighted[0].scores(), by_class[0].scores())


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("task", TASKS)
def test_the_unit_of_the_weights_changes_no_byte(family: str, task: Task) -> None:
    """Weights that add up to 1 are less than the least weight of a leaf."""
    models = []
    for unit in (1.0, 2.0**-16, 2.0**16):
        training, _ = begun(family, task, heavy=3.0, unit=unit, mean_weight=unit)
        training.advance(5)
        models.append(training.model(5))
    assert models[0] == models[1] == models[2]


@pytest.mark.parametrize("family", EVERY)
def test_a_block_of_weights_of_one_may_follow_a_weighted_block(family: str) -> None:
    model, context, blocks = find("models", family), training_context("binary"), blocks_of("binary")
    params = params_of(model, context)
    weights = [pa.array(np.full(block.num_rows, weight)) for block, weight in zip(blocks, (2.0, 1.0, 0.5), strict=True)]
    blocks = [
        block.set_column(block.column_names.index(packed.WEIGHT), packed.WEIGHT, weight)
        for block, weight in zip(blocks, weights, strict=True)
    ]
    train, validation = (list(packed.views(blocks, model.encoder, part)) for part in ("train", "validation"))
    training = model.start_training(params, context, model.prepare_data(params, context, train, validation), 0)
    training.advance(3)
    assert np.isfinite(training.scores()).all()


ALONE = """
import sys
from pathlib import Path
import numpy as np

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "mlflow", "pandas", "sklearn", "optuna"):
            raise ModuleNotFoundError(f"forbidden: {name}", name=name)

sys.meta_path.insert(0, Forbid())
from ray_pipeline.components.choice import find
for folder in Path(sys.argv[1]).iterdir():
    scorer = find("models", folder.name.partition("-")[0]).load(folder)
    np.save(folder / "again.npy", scorer(np.load(folder / "matrix.npy")))
"""


def test_saved_models_score_the_same_bits_without_scikit_learn_pandas_and_ray(tmp_path: Path) -> None:
    for family, task in product(menu("models"), TASKS):
        folder = tmp_path / f"{family}-{task}"
        folder.mkdir()
        training, validation = begun(family, task)
        training.advance(3)
        saved(training, folder, family, 3)
        matrix = np.concatenate([block.matrix for block in validation])
        np.save(folder / "matrix.npy", matrix)
        np.save(folder / "scores.npy", find("models", family).load(folder)(matrix))
    done = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for folder in tmp_path.iterdir():
        np.testing.assert_array_equal(np.load(folder / "again.npy"), np.load(folder / "scores.npy"))


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_class_that_the_training_rows_lack_scores_below_its_share(family: str, task: Task) -> None:
    model, context, blocks = find("models", family), training_context(task), blocks_of(task)
    params, lacking = params_of(model, context), context.num_classes - 1
    train, validation = (list(packed.views(blocks, model.encoder, part)) for part in ("train", "validation"))
    others = [
        replace(block, matrix=block.matrix[kept], label=block.label[kept], weight=block.weight[kept])
        for block in train
        if (kept := block.label != lacking).any()
    ]
    training = model.start_training(params, context, model.prepare_data(params, context, others, validation), 0)
    training.advance(20)
    scores = training.scores() if task == "binary" else training.scores()[:, lacking]
    share = np.mean(np.concatenate([block.label for block in validation]) == lacking)
    assert (scores >= 0).all() and scores.mean() < share


@pytest.mark.parametrize("family", EVERY)
def test_a_fit_without_validation_rows_trains_on_all_it_is_given(family: str) -> None:
    model, context = find("models", family), training_context("binary")
    params = params_of(model, context)
    training = model.start_training(
        params,
        context,
        model.prepare_data(
            params, context, list(packed.views(blocks_of("binary"), model.encoder, "train", "validation")), []
        ),
        0,
    )
    training.advance(3)
    assert training.rounds == 3


@pytest.mark.parametrize("family", EVERY)
def test_trial_0_lies_in_the_default_spaces_and_what_is_declared_is_a_field(family: str) -> None:
    model = find("models", family)
    space = model().space(training_context("regression", min_label=0.0))
    assert all(space[name].contains(value) for name, value in model.start.items())
    assert {name for name, value in space.items() if isinstance(value, Space)} == set(model.start)
    assert {model.budget, model.patience} <= set(model.model_fields) and model.encoder in menu("encoders")
    params = dict(space)
    assert model.data_key(params) == model.data_key({**params, model.budget: 7})


def test_views_of_a_block_are_its_rows_in_order_and_no_copies() -> None:
    blocks = blocks_of("regression")
    views = list(packed.views(blocks, "trees", "validation", "test"))
    keys = packed.column(views, packed.KEY)
    wanted = [
        key
        for block in blocks
        for key, part in zip(block["key"].to_pylist(), block["part"].to_pylist(), strict=True)
        if part
    ]
    assert keys.tolist() == wanted
    whole = blocks[0]["matrix:trees"].chunk(0).values.to_numpy(zero_copy_only=True)
    assert np.shares_memory(views[0].matrix, whole) and views[0].matrix.shape[1] == 3


def test_the_file_of_xgboost_names_its_columns_and_scores_as_without_names(tmp_path: Path) -> None:
    named = {"features": {"trees": ("a[0]", "b", "carrier")}}
    files = []
    for more in ({}, named, named):
        state, blocks = begun("xgboost", "binary", **more)
        state.advance(5)
        files.append(state.model(5))
    assert files[1] == files[2] != files[0]
    scores = []
    for place, content in enumerate(files[:2]):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "model.ubj").write_bytes(content)
        scores.append([find("models", "xgboost").load(folder)(block.matrix) for block in blocks])
    np.testing.assert_array_equal(np.concatenate(scores[0]), np.concatenate(scores[1]))
    booster = import_xgboost().Booster(model_file=tmp_path / "1" / "model.ubj")
    assert booster.feature_names == ["a_0_", "b", "carrier"]
