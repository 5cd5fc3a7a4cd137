"""What is special about LightGBM and CatBoost: bytes, categories, Shapley values, and CatBoost's thread."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tree_fixture import CODES, TASKS, block, context_of, params_of, rows_of

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.models._catboost import Columns
from ray_pipeline.components.space import Space
from ray_pipeline.values import Task

FAMILIES = ("catboost", "lightgbm")


def begun(family: str, task: Task, *, validation: bool = True, threads: int = 1, **given: Any) -> Any:
    model, context = find("models", family), context_of(task, threads=threads)
    params, (matrix, label) = params_of(family, context, **given), rows_of(task)
    judged = [block(matrix[400:], label[400:])] if validation else []
    data = model.prepare_data(
        params, context, [block(matrix[:250], label[:250]), block(matrix[250:400], label[250:400])], judged
    )
    return model.start_training(params, context, data, 3)


def trained(family: str, task: Task, rounds: int, **more: Any) -> bytes:
    training = begun(family, task, **more)
    training.advance(rounds)
    content: bytes = training.model(rounds)
    return content


def test_lightgbm_train_gives_the_same_model_with_the_same_parameters(tmp_path: Path) -> None:
    import lightgbm

    for task in TASKS:
        matrix, label = rows_of(task)
        ours = tmp_path / "model.txt"
        ours.write_bytes(trained("lightgbm", task, 30))
        params = params_of("lightgbm", context_of(task)) | {"seed": 3, "verbosity": -1, "force_col_wise": True}
        params |= {"num_iterations": 30, "early_stopping_round": 0, "deterministic": True, "feature_pre_filter": False}
        params |= {"num_class": 3} if task == "multiclass" else {}
        rows = lightgbm.Dataset(matrix[:400], label[:400], categorical_feature=[1, 3], params=params)
        theirs = lightgbm.train(params, rows)
        np.testing.assert_array_equal(lightgbm.Booster(model_file=ours).predict(matrix), theirs.predict(matrix))


@pytest.mark.parametrize("task", TASKS)
def test_catboost_fit_gives_the_same_model_with_the_same_parameters(task: Task, tmp_path: Path) -> None:
    import catboost
    import pandas as pd

    matrix, label = rows_of(task)
    (tmp_path / "model.cbm").write_bytes(trained("catboost", task, 30))
    params = params_of("catboost", context_of(task)) | {"random_seed": 3, "iterations": 30}
    del params["early_stopping_rounds"]
    frame = pd.DataFrame({"0": matrix[:, 0], "2": matrix[:, 2]})
    for at in (1, 3):
        frame[str(at)] = ["missing" if np.isnan(code) else str(int(code)) for code in matrix[:, at]]
    pool = catboost.Pool(
        frame[:400], label[:400] if task == "regression" else label[:400].astype(int), cat_features=["1", "3"]
    )
    theirs = catboost.CatBoost({**params, "allow_writing_files": False, "logging_level": "Silent"}).fit(pool)
    kind = "Probability" if task != "regression" else "RawFormulaVal"
    wanted = theirs.predict(frame, prediction_type=kind)
    scores = find("models", "catboost").load(tmp_path)(matrix)
    np.testing.assert_allclose(scores, wanted[:, 1] if task == "binary" else wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("family", "given"),
    [("lightgbm", {}), ("catboost", {"grow_policy": "SymmetricTree"}), ("catboost", {"grow_policy": "Depthwise"})],
)
def test_threads_validation_rows_and_later_rounds_do_not_change_a_byte(
    family: str, given: dict[str, Any], task: Task
) -> None:
    once = trained(family, task, 12, **given)
    assert trained(family, task, 12, threads=2, **given) == once
    assert trained(family, task, 12, validation=False, **given) == once
    longer = begun(family, task, **given)
    longer.advance(25)
    assert longer.model(12) == once
    longer.advance(30)
    assert longer.model(30) == trained(family, task, 30, **given)


SELDOM_SPLIT: dict[str, dict[str, Any]] = {
    "lightgbm": {
        "extra_trees": True,
        "feature_fraction": 0.25,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "min_gain_to_split": 1.5,
    },
    "xgboost": {"gamma": 3.0, "subsample": 0.5, "colsample_bytree": 0.25},
    "catboost": {"l2_leaf_reg": 30.0},
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", SELDOM_SPLIT)
def test_the_model_of_any_round_gives_the_scores_that_were_seen_then(family: str, task: Task, tmp_path: Path) -> None:
    """Rounds in which nothing can be split are rounds too: LightGBM adds no tree in them."""
    matrix, _ = rows_of(task)
    training, seen = begun(family, task, **SELDOM_SPLIT[family]), {}
    for rounds in (1, 2, 5, 9, 20, 40, 60):
        training.advance(rounds)
        seen[rounds] = np.array(training.scores())
    model = find("models", family)
    for rounds, scores in seen.items():
        (tmp_path / model.file).write_bytes(training.model(rounds))
        np.testing.assert_allclose(model.load(tmp_path)(matrix[400:]), scores, rtol=1e-6, atol=1e-9)
    if family == "lightgbm":
        assert training.iterations[60] < 60  # else the test shows nothing


@pytest.mark.parametrize("family", FAMILIES)
def test_no_time_no_guid_and_no_number_of_threads_is_in_the_file(family: str) -> None:
    content = trained(family, "binary", 5)
    assert not any(word in content for word in (b"thread", b"guid", b"finish_time", b"[data"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_shapley_values_add_up_to_the_raw_score_up_to_a_constant(family: str, task: Task, tmp_path: Path) -> None:
    model, (matrix, _) = find("models", family), rows_of(task)
    (tmp_path / model.file).write_bytes(trained(family, task, 20))
    values = model.contributions(tmp_path, matrix)
    assert values is not None and values.shape == matrix.shape
    scores = np.asarray(model.load(tmp_path)(matrix))
    if task == "multiclass":
        assert (values >= 0).all() and values[:, [0, 1]].mean() > values[:, 2].mean()
        return
    raw = np.log(scores / (1 - scores)) if task == "binary" else scores
    rest = raw - values.sum(1)
    np.testing.assert_allclose(rest, rest[0], rtol=0, atol=1e-6)
    assert np.abs(values[:, 0]).mean() > 3 * np.abs(values[:, 2]).mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_codes_of_a_rank_are_categories(family: str, tmp_path: Path) -> None:
    """Every third of forty values counts: as a rank that takes thirteen ranges, as a set one split."""
    model, (matrix, label) = find("models", family), rows_of("binary", 4_000)
    losses = []
    for codes in (CODES, (0, 0, 0, 5)):
        context = context_of("binary", codes={"trees": codes})
        params = params_of(family, context)
        data = model.prepare_data(
            params, context, [block(matrix[:3000], label[:3000])], [block(matrix[3000:], label[3000:])]
        )
        training = model.start_training(params, context, data, 0)
        training.advance(30)
        right = np.where(label[3000:] == 1, training.scores(), 1 - training.scores())
        losses.append(-np.log(right).mean())
    assert losses[0] < losses[1] - 0.02


@pytest.mark.parametrize("family", FAMILIES)
def test_a_category_that_training_never_saw_and_a_row_without_any_get_a_score(family: str, tmp_path: Path) -> None:
    model, (matrix, _) = find("models", family), rows_of("binary")
    (tmp_path / model.file).write_bytes(trained(family, "binary", 10))
    odd = np.full((2, 4), np.nan, np.float32)
    odd[0, 1] = 39
    scores = model.load(tmp_path)(np.concatenate([odd, matrix]))
    assert np.isfinite(scores).all() and ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_hyperparameters_of_categories_are_not_searched_where_there_are_none(family: str) -> None:
    model, numbers = find("models", family), (0, 0, 0, 0)
    context = context_of("binary", codes={"trees": numbers}, cardinalities={"trees": numbers})
    name = {"catboost": "max_ctr_complexity", "lightgbm": "cat_smooth"}[family]
    assert isinstance(model().space(context_of("binary"))[name], Space)
    assert model().space(context)[name] == model.start[name]
    assert model(**{name: 3}).space(context)[name] == 3


@pytest.mark.parametrize(
    ("family", "name", "words"),
    [
        ("lightgbm", "objective", ("regression", "tweedie")),
        ("catboost", "loss_function", ("RMSE", "Tweedie:variance_power=1.5")),
    ],
)
def test_the_objective_follows_from_task_and_label(family: str, name: str, words: tuple[str, str]) -> None:
    model = find("models", family)
    assert model().space(context_of("regression"))[name].ends == words
    assert model().space(context_of("regression", min_label=-1.0))[name] == words[0]
    assert len({model().space(context_of(task))[name] for task in TASKS[:2]}) == 2
    assert model(**{name: words[1]}).space(context_of("regression"))[name] == words[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_objectives_with_a_log_link_score_in_the_unit_of_the_label(family: str, tmp_path: Path) -> None:
    model, (matrix, label) = find("models", family), rows_of("regression")
    name = {"lightgbm": "objective", "catboost": "loss_function"}[family]
    for word in {"lightgbm": ("tweedie", "poisson", "gamma"), "catboost": ("Tweedie:variance_power=1.5", "Poisson")}[
        family
    ]:
        training = begun(family, "regression", **{name: word}, learning_rate=0.1)
        training.advance(200)
        (tmp_path / model.file).write_bytes(training.model(200))
        scores = model.load(tmp_path)(matrix)
        np.testing.assert_allclose(scores[400:], training.scores(), rtol=0, atol=1e-9)
        assert 0.9 < scores[:400].mean() / label[:400].mean() < 1.1


@pytest.mark.parametrize("family", ["xgboost", *FAMILIES])
@pytest.mark.parametrize("sign", [1, -1])
def test_scores_follow_a_monotone_constraint_that_the_labels_contradict(family: str, sign: int, tmp_path: Path) -> None:
    model, (matrix, label) = find("models", family), rows_of("binary")
    risen = {}
    for constraint in (0, sign):
        context = context_of("binary", monotone={"trees": (constraint, 0, -constraint, 0)})
        params = params_of(family, context)
        label = (sign * matrix[:, 0] + 2 * np.sin(3 * matrix[:, 0]) > 0).astype(float)
        data = model.prepare_data(
            params, context, [block(matrix[:400], label[:400])], [block(matrix[400:], label[400:])]
        )
        training = model.start_training(params, context, data, 0)
        training.advance(30)
        (tmp_path / model.file).write_bytes(training.model(30))
        swept = np.repeat(matrix[:1], 200, axis=0)
        swept[:, 0] = np.linspace(-3, 3, 200)
        risen[constraint] = sign * np.diff(model.load(tmp_path)(swept))
    assert model.takes_monotone and (risen[0] < 0).any()
    assert (risen[sign] >= 0).all() and (risen[sign] > 0).any()


def test_catboost_has_symmetric_trees_and_no_combinations_under_a_constraint() -> None:
    model, context = find("models", "catboost"), context_of("binary", monotone={"trees": (1, 0, 0, 0)})
    space, given = model().space(context), model(max_ctr_complexity=3).space(context)
    assert (space["grow_policy"], space["max_ctr_complexity"]) == ("SymmetricTree", 1)
    params = params_of("catboost", context, max_ctr_complexity=given["max_ctr_complexity"])
    matrix, label = rows_of("binary")
    data = model.prepare_data(params, context, [block(matrix, label)], [])
    with pytest.raises(ValueError, match="monotone constraints need max_ctr_complexity: 1"):
        model.start_training(params, context, data, 0)


@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise"])
@pytest.mark.parametrize("family", FAMILIES)
def test_labels_that_nothing_explains_give_trees_of_one_leaf(family: str, policy: str, tmp_path: Path) -> None:
    model, context, (matrix, _) = find("models", family), context_of("regression"), rows_of("regression")
    params = params_of(family, context) | ({"grow_policy": policy} if family == "catboost" else {})
    data = model.prepare_data(params, context, [block(matrix[:400], np.ones(400))], [block(matrix[400:], np.ones(200))])
    training = model.start_training(params, context, data, 0)
    training.advance(5)
    (tmp_path / model.file).write_bytes(training.model(5))
    np.testing.assert_allclose(model.load(tmp_path)(matrix), 1, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.contributions(tmp_path, matrix), 0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", menu("models"))
def test_a_family_with_its_default_spaces_is_read_as_it_was_written(family: str) -> None:
    model = find("models", family)
    assert model.model_validate(model().model_dump()) == model()


def test_catboost_writes_no_file_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained("catboost", "binary", 5)
    trained("catboost", "binary", 5, validation=False)
    assert list(tmp_path.iterdir()) == []


def threads() -> int:
    return sum(thread.name == "catboost" for thread in threading.enumerate())


def test_a_catboost_training_that_nobody_needs_any_more_ends() -> None:
    before = threads()
    training = begun("catboost", "binary")
    training.advance(3)
    assert threads() == before + 1
    del training
    assert threads() == before


def test_an_error_of_catboost_is_raised_and_its_thread_ends() -> None:
    before, training = threads(), begun("catboost", "binary", depth=99)
    for _ in range(2):
        with pytest.raises(Exception, match="depth"):
            training.advance(3)
    assert threads() == before


def test_a_process_ends_while_a_catboost_training_waits() -> None:
    code = """
import sys
sys.path[:0] = sys.argv[1:]
from test_tree_families import begun
training = begun("catboost", "binary")
training.advance(3)
print(training.rounds)
"""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_catboost_reads_numbers_first_and_categories_as_text() -> None:
    columns = Columns(CODES)
    assert columns.order == [0, 2, 1, 3]
    read = columns.arranged(np.array([[0.5, 7, np.nan, np.nan]], np.float32))
    assert read.num_feature_data.tolist()[0][0] == 0.5 and np.isnan(read.num_feature_data[0, 1])
    assert read.cat_feature_data.tolist() == [[b"7", b"missing"]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_a_row_has_the_same_bits_alone_and_in_a_large_batch(family: str, task: Task, tmp_path: Path) -> None:
    model, (matrix, _) = find("models", family), rows_of(task)
    (tmp_path / model.file).write_bytes(trained(family, task, 30))
    score = model.load(tmp_path)
    alone = np.concatenate([score(matrix[row : row + 1]) for row in range(len(matrix))])
    np.testing.assert_array_equal(alone, score(np.tile(matrix, (5, 1)))[: len(matrix)])
