"""The gate language: what each form means, and the message for each that means nothing."""

import pytest

from ray_pipeline.spec.gate import Gate, misfits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc >= 0.65", Gate("auc >= 0.65", False, "auc", None, (), ">=", 0.65)),
        ("point  auc > 1e-1", Gate("point auc > 1e-1", True, "auc", None, (), ">", 0.1)),
        ("auc >= champion", Gate("auc >= champion", False, "auc", None, (), ">=", None, (None, 0.0))),
        ("auc >= champion - 0.005", Gate("auc >= champion - 0.005", False, "auc", None, (), ">=", None, ("-", 0.005))),
        (
            "log_loss<=champion*1.02",
            Gate("log_loss<=champion*1.02", False, "log_loss", None, (), "<=", None, ("*", 1.02)),
        ),
        (
            "true_positive_rate gap by origin <= 0.15",
            Gate(
                "true_positive_rate gap by origin <= 0.15", False, "true_positive_rate", "gap", ("origin",), "<=", 0.15
            ),
        ),
        (
            "auc worst by origin, weather.temp >= .5",
            Gate(
                "auc worst by origin, weather.temp >= .5", False, "auc", "worst", ("origin", "weather.temp"), ">=", 0.5
            ),
        ),
        (
            "recall ratio by `a, b >= c` >= 0.8",
            Gate("recall ratio by `a, b >= c` >= 0.8", False, "recall", "ratio", ("a, b >= c",), ">=", 0.8),
        ),
        ("latency_ms < 20", Gate("latency_ms < 20", False, "latency_ms", None, (), "<", 20.0)),
        ("r2 >= -0.5", Gate("r2 >= -0.5", False, "r2", None, (), ">=", -0.5)),
        (
            "f_beta(beta=2) >= 0.5",
            Gate("f_beta(beta=2) >= 0.5", False, "f_beta(beta=2)", None, (), ">=", 0.5),
        ),
        (
            "point f_beta( beta = 2.0, average=macro ) worst by `a (b)`>=champion - 0.1",
            Gate(
                "point f_beta(average=macro,beta=2) worst by `a (b)`>=champion - 0.1",
                True,
                "f_beta(average=macro,beta=2)",
                "worst",
                ("a (b)",),
                ">=",
                None,
                ("-", 0.1),
            ),
        ),
        ("f2 > 0.5", Gate("f2 > 0.5", False, "f2", None, (), ">", 0.5)),
        (
            'my_package.Cost(unit="a >= b (c)") <= 3',
            Gate(
                'my_package.Cost(unit="a >= b (c)") <= 3',
                False,
                'my_package.Cost(unit="a >= b (c)")',
                None,
                (),
                "<=",
                3.0,
            ),
        ),
    ],
)
def test_a_gate_means(text: str, expected: Gate) -> None:
    assert Gate.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auc", "'auc' compares nothing; write [point] METRIC"),
        ("", "compares nothing"),
        ("auk >= 0.6", "there is no metric 'auk'; did you mean 'auc'? Known: absolute_error_p90, "),
        ("auc == 0.6", "'==' in 'auc == 0.6' is not a comparison of gates; write >= or <="),
        ("auc => 0.6", "'=>' in 'auc => 0.6' is not a comparison of gates; write >="),
        ("0.5 <= auc <= 0.6", "compares twice; write one gate for each"),
        ("auc gap <= 0.1", "does not say over which groups; write `auc gap by COLUMN <= …`"),
        ("auc by origin <= 0.1", "does not say what of the groups; write `auc worst by origin <= …`"),
        (
            "auc wrost by origin >= 0.1",
            "'wrost' in 'auc wrost by origin >= 0.1' is not a reduction; did you mean 'worst'?",
        ),
        ("latency_ms worst by origin <= 3", "latency_ms belongs to the model, not to its rows"),
        (
            "auc >= champoin - 0.1",
            "'champoin - 0.1' in 'auc >= champoin - 0.1' is not a number; did you mean 'champion'?",
        ),
        ("auc >= champion / 2", "'champion / 2' in 'auc >= champion / 2' is not a number"),
        ("auc >= champion - much", "'much' in 'auc >= champion - much' is not a number"),
        ("auc >= .nan", "'.nan' in 'auc >= .nan' is not a number"),
        ("auc >= nan", "'nan' in 'auc >= nan' is not finite"),
        (
            "auc worst by origin carrier >= 0.5",
            (
                "'origin carrier' in 'auc worst by origin carrier >= 0.5' is not a list of columns; separate them with"
                " commas"
            ),
        ),
        ("auc worst by origin, >= 0.5", "is not a list of columns"),
        ("auc worst by origin, origin >= 0.5", "names a column twice"),
        ("auc of origin worst >= 0.5", "is not a gate; write [point] METRIC"),
        ("f_beta >= 0.5", "'f_beta' is no metric: beta: it is required, and not given"),
        ("f_beta(beta=0) >= 0.5", "'f_beta(beta=0)' is no metric: beta: expected a number above 0, got 0"),
        ("f_beta(betta=2,beta=1) >= 0.5", "betta: unknown key 'betta'; did you mean 'beta'?"),
        ("f_beta(2) >= 0.5", "'f_beta(2)' is no choice with parameters; write name(parameter=value,other=value)"),
        ("f_bta(beta=2) >= 0.5", "there is no metric 'f_bta'; did you mean 'f_beta'?"),
        ("size_bm <= 5", "there is no metric 'size_bm'; did you mean 'size_mb'?"),
    ],
)
def test_a_gate_that_means_nothing_says_what_would_do(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Gate.parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["auc worst by tailnum >= 0.5"],
            "'tailnum' in 'auc worst by tailnum >= 0.5' is neither a slice nor a bias group",
        ),
        (["auc worst by origni >= 0.5"], "did you mean 'origin'?"),
        (["rmse <= 3"], "'rmse' is not a binary metric; one of accuracy, auc"),
        (["auc >= 1.2"], "'auc >= 1.2' can never hold: auc lies in [0, 1]"),
        (["auc > 1"], "can never hold"),
        (["recall ratio by origin >= 1.1"], "recall ratio lies in [0, 1]"),
        (["recall gap by origin < 0"], "recall gap lies in [0, 1]"),
        (["selection_rate worst by origin >= 0.1"], "has no better or worse; gate its gap or its ratio"),
        (["auc >= 0.9", "auc <= 0.8"], "'auc <= 0.8' contradicts 'auc >= 0.9': no model can pass both"),
        (["auc > 0.9", "auc <= 0.9"], "contradicts"),
        (["f_beta(beta=2) >= 0.9", "f_beta(beta=2.0) <= 0.8"], "contradicts 'f_beta(beta=2) >= 0.9'"),
        (["precision(average=macro) >= 0.5"], "'precision(average=macro)' is not a binary metric"),
        (["f_beta(beta=3) >= 1.5"], "f_beta(beta=3) lies in [0, 1]"),
    ],
)
def test_gates_that_do_not_fit_the_spec_are_found(texts: list[str], message: str) -> None:
    found = misfits([Gate.parse(text) for text in texts], "binary", [("origin",), ("origin", "carrier")])
    assert len(found) == 1
    assert found[0][0] == len(texts) - 1
    assert message in found[0][1]


@pytest.mark.parametrize(
    "texts",
    [
        ["auc >= 0.65", "auc <= 0.99", "auc >= champion - 0.01"],
        ["auc worst by carrier, origin >= 0.5", "recall gap by origin <= 0.1"],
        ["auc >= 0.9", "auc worst by origin <= 0.8"],
        ["latency_ms <= 10", "size_mb <= 5", "ece <= 0.05", "auc >= 1"],
    ],
)
def test_gates_that_fit_are_left_alone(texts: list[str]) -> None:
    assert misfits([Gate.parse(text) for text in texts], "binary", [("origin",), ("origin", "carrier")]) == []
