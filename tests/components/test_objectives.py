"""Objectives, quantiles and interaction constraints of the families of trees, against the libraries themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tree_fixture import CODES, block, context_of, params_of, rows_of

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.values import Matrix, Task

ROUNDS = 20
QUANTILES = (0.05, 0.5, 0.95)
GROUPS = ((0, 1), (2,), (3,))
OBJECTIVES = {
    "xgboost": (
        *({"objective": f"reg:{name}"} for name in ("absoluteerror", "gamma", "tweedie", "squaredlogerror")),
        {"objective": "count:poisson"},
        {"objective": "reg:quantileerror", "quantile_alpha": 0.8},
        {"objective": "reg:tweedie", "tweedie_variance_power": 1.2},
        {"objective": "reg:pseudohubererror", "huber_slope": 2.0},
    ),
    "lightgbm": (
        *({"objective": name} for name in ("regression_l1", "gamma", "tweedie", "poisson", "mape")),
        {"objective": "quantile", "alpha": 0.8},
        {"objective": "huber", "alpha": 0.5},
        {"objective": "tweedie", "tweedie_variance_power": 1.2},
        {"objective": "fair", "fair_c": 2.0},
    ),
    "catboost": (
        *({"loss_function": name} for name in ("MAE", "Poisson", "Tweedie:variance_power=1.2", "MAPE")),
        {"loss_function": "Quantile:alpha=0.8"},
    ),
}
CASES = [(family, given) for family, several in OBJECTIVES.items() for given in several]


def trained(family: str, context: TrainingContext, folder: Path, **given: Any) -> dict[str, Any]:
    """Train a model into the folder; return its hyperparameters."""
    model, (matrix, label) = find("models", family), rows_of("regression")
    params = params_of(family, context, **given)
    data = model.prepare_data(params, context, [block(matrix[:400], label[:400])], [block(matrix[400:], label[400:])])
    training = model.start_training(params, context, data, 3)
    training.advance(ROUNDS)
    (folder / model.file).write_bytes(training.model(ROUNDS))
    np.testing.assert_allclose(model.load(folder)(matrix[400:]), training.scores(), rtol=0, atol=1e-5)
    return params


def by_the_library(family: str, params: dict[str, Any], matrix: Matrix, **more: Any) -> Any:
    """What the library's own function trains on the same rows, and predicts."""
    _, label = rows_of("regression")
    if family == "xgboost":
        import xgboost

        types = ["c" if codes and codes < 9 else "q" for codes in CODES]
        shape = {"feature_types": types, "enable_categorical": True, "max_bin": params["max_bin"]}
        rows = xgboost.QuantileDMatrix(matrix[:400], label[:400], **shape)
        own = {
            name: value for name, value in params.items() if name not in ("num_boost_round", "early_stopping_rounds")
        }
        own |= {"tree_method": "hist", "seed": 3, "seed_per_iteration": True, "nthread": 1, **more}
        return xgboost.train(own, rows, ROUNDS).predict(xgboost.DMatrix(matrix, feature_types=types))
    if family == "lightgbm":
        import lightgbm

        own = {**params, "seed": 3, "verbosity": -1, "force_col_wise": True, "num_iterations": ROUNDS, **more}
        own |= {"early_stopping_round": 0, "deterministic": True, "feature_pre_filter": False, "num_threads": 1}
        rows = lightgbm.Dataset(matrix[:400], label[:400], categorical_feature=[1, 3], params=own)
        return lightgbm.train(own, rows).predict(matrix)
    import catboost
    import pandas as pd

    frame = pd.DataFrame({"0": matrix[:, 0], "2": matrix[:, 2]})
    for at in (1, 3):
        frame[str(at)] = ["missing" if np.isnan(code) else str(int(code)) for code in matrix[:, at]]
    own = {**params, "random_seed": 3, "iterations": ROUNDS, "allow_writing_files": False, "logging_level": "Silent"}
    del own["early_stopping_rounds"]
    fitted = catboost.CatBoost(own).fit(catboost.Pool(frame[:400], label[:400], cat_features=["1", "3"]))
    log_link = params["loss_function"].partition(":")[0] in ("Poisson", "Tweedie")
    return fitted.predict(frame, prediction_type="Exponent" if log_link else "RawFormulaVal")


@pytest.mark.parametrize(("family", "given"), CASES)
def test_an_objective_gives_the_model_of_the_library(family: str, given: dict[str, Any], tmp_path: Path) -> None:
    matrix, _ = rows_of("regression")
    given = given | ({"grow_policy": "SymmetricTree"} if family == "catboost" else {})
    params = trained(family, context_of("regression"), tmp_path, **given)
    expected = by_the_library(family, params, matrix)
    scores = find("models", family).load(tmp_path)(matrix)
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)
    assert np.ptp(scores) > 0.05


@pytest.mark.parametrize(
    ("task", "more", "given"),
    [
        ("binary", {}, {}),
        ("multiclass", {}, {}),
        ("regression", {"quantiles": QUANTILES}, {}),
        *(("regression", {}, given) for given in ({}, *OBJECTIVES["xgboost"])),
    ],
)
def test_scores_that_are_summed_step_by_step_have_the_bits_of_all_trees_at_once(
    task: Task, more: dict[str, Any], given: dict[str, Any], tmp_path: Path
) -> None:
    model, context, (matrix, label) = find("models", "xgboost"), context_of(task, **more), rows_of(task)
    params = params_of("xgboost", context, **given)
    judged = [block(matrix[400:500], label[400:500]), block(matrix[500:], label[500:])]
    data = model.prepare_data(params, context, [block(matrix[:400], label[:400])], judged)
    training = model.start_training(params, context, data, 3)
    for rounds in (1, 6, 7, ROUNDS):
        training.advance(rounds)
        (tmp_path / model.file).write_bytes(training.model(rounds))
        at_once = [model.load(tmp_path)(part.matrix) for part in judged]
        np.testing.assert_array_equal(training.scores(), np.concatenate(at_once))


UNITS = {
    "xgboost": ({}, {"gamma": 1e-4, "reg_alpha": 0.02}, {"objective": "reg:absoluteerror"}),
    "lightgbm": ({}, {"objective": "regression_l1"}),
}


@pytest.mark.parametrize("power", [-30, -12, 20])
@pytest.mark.parametrize(("family", "given"), [(family, given) for family in UNITS for given in UNITS[family]])
def test_the_unit_of_the_label_changes_nothing_but_the_unit_of_the_scores(
    family: str, power: int, given: dict[str, Any], tmp_path: Path
) -> None:
    """The families themselves make no split in a label that varies by 1e-9."""
    model, context, (matrix, label) = find("models", family), context_of("regression"), rows_of("regression")
    label, unit, scored = (label - label.mean()) / label.std() / 65, 2.0**power, []
    absolute = {"objective": {"xgboost": "reg:absoluteerror", "lightgbm": "regression_l1"}[family]}
    for factor in (1.0, unit):
        sizes = {"gamma": factor**2, "reg_alpha": factor}
        sized = {name: value * sizes[name] if name in sizes else value for name, value in given.items()}
        params = params_of(family, context, **sized)
        judged = block(matrix[400:], label[400:] * factor)
        data = model.prepare_data(params, context, [block(matrix[:400], label[:400] * factor)], [judged])
        other = model.start_training({**params, **absolute}, context, data, 3)
        other.advance(2)  # trials of other objectives share the data
        training = model.start_training(params, context, data, 3)
        training.advance(7)
        training.scores()
        training = model.start_training(params, context, data, 3, training.state())
        training.advance(ROUNDS)
        (tmp_path / model.file).write_bytes(training.model(ROUNDS))
        scores = model.load(tmp_path)(judged.matrix)
        np.testing.assert_allclose(training.scores(), scores, rtol=1e-6 if family == "lightgbm" else 0)
        scored.append(scores / factor)
        values = model.contributions(tmp_path, judged.matrix)
        assert np.ptp(scores - values.sum(1)) < 1e-5 * factor
    assert np.ptp(scored[0]) > 0.01
    np.testing.assert_allclose(scored[1], scored[0], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(("family", "given"), CASES)
def test_an_objective_is_what_a_spec_may_name(family: str, given: dict[str, Any]) -> None:
    space = find("models", family).model_validate(given).space(context_of("regression"))
    assert given.items() <= space.items()
    others = {"quantile_alpha", "tweedie_variance_power", "huber_slope", "alpha", "fair_c"} - set(given)
    assert not others & set(space)


@pytest.mark.parametrize("family", ["xgboost", "catboost"])
def test_a_model_of_quantiles_is_that_of_the_library_and_its_score_is_the_median(family: str, tmp_path: Path) -> None:
    model, (matrix, _) = find("models", family), rows_of("regression")
    params = trained(family, context_of("regression", quantiles=QUANTILES), tmp_path)
    quantiles = model.quantiles(tmp_path)(matrix)
    assert model.takes_quantiles and quantiles.shape == (600, 3)
    np.testing.assert_array_equal(model.load(tmp_path)(matrix), quantiles[:, 1])
    more = {"quantile_alpha": list(QUANTILES)} if family == "xgboost" else {}
    np.testing.assert_allclose(quantiles, by_the_library(family, params, matrix, **more), rtol=1e-6, atol=1e-6)
    assert (quantiles[:, 0] < quantiles[:, 2]).mean() > 0.9
    values = model.contributions(tmp_path, matrix)
    assert np.ptp(quantiles[:, 1] - values.sum(1)) < 1e-4


@pytest.mark.parametrize("family", ["xgboost", "lightgbm"])
def test_interaction_constraints_are_those_of_the_library_and_keep_columns_apart(family: str, tmp_path: Path) -> None:
    model, (matrix, _) = find("models", family), rows_of("regression")
    params = trained(family, context_of("regression", interactions={"trees": GROUPS}), tmp_path)
    scores = model.load(tmp_path)
    groups = [list(group) for group in GROUPS]
    given = groups if family == "lightgbm" else str(groups)
    expected = by_the_library(family, params, matrix, interaction_constraints=given)
    np.testing.assert_allclose(scores(matrix), expected, rtol=1e-6, atol=1e-6)
    assert model.takes_interactions and not np.allclose(expected, by_the_library(family, params, matrix))

    def effect(column: int, other: int) -> Any:
        """How far a move of one column shifts the raw score, at two values of another column."""
        moved = np.repeat(matrix[:1], 4, axis=0)
        moved[:, 2] = 0.0
        moved[[1, 3], column] += 1
        moved[2:, other] = moved[0, other] + 1
        raw = np.log(scores(moved)) if "tweedie" in params["objective"] else scores(moved)
        return raw[1] - raw[0], raw[3] - raw[2]

    apart = [effect(0, 3), effect(2, 3), effect(0, 2)]
    np.testing.assert_allclose([one for one, _ in apart], [two for _, two in apart], rtol=0, atol=1e-5)
