"""The three forms of a choice with parameters, and the canonical text that each of them has."""

import keyword
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.components.choice_text import read_choice, write_choice

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["true", "null", "None", "and", "macro", "2", "a b", "a,b", "f(x)", "=", '"'])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))


@given(st.sampled_from(["f_beta", "my_package.metrics.Cost"]), st.dictionaries(NAMES, VALUES, max_size=3))
def test_a_choice_is_read_back_as_it_was_written(word: str, parameters: dict[str, Any]) -> None:
    text = write_choice(word, parameters)
    assert read_choice(text) == (word, parameters) == read_choice({word: parameters})
    assert write_choice(*read_choice(text)) == text


@pytest.mark.parametrize(
    ("word", "parameters", "text"),
    [
        ("auc", {}, "auc"),
        ("f_beta", {"beta": 2}, "f_beta(beta=2)"),
        ("f_beta", {"beta": 2.0, "average": "macro"}, "f_beta(average=macro,beta=2)"),
        ("pinball", {"quantile": 0.90}, "pinball(quantile=0.9)"),
        ("a", {"b": (1, 2.0), "c": {"d": "e"}, "f": None, "g": True}, 'a(b=[1,2],c={"d":e},f=null,g=true)'),
        ("a", {"b": "\ufb00", "c": "é"}, 'a(b="\ufb00",c=é)'),
        ("a", {"b": "two words", "c": "true", "d": "and"}, 'a(b="two words",c="true",d="and")'),
    ],
)
def test_the_canonical_text_is_sorted_short_and_without_spaces(word: str, parameters: Any, text: str) -> None:
    assert write_choice(word, parameters) == text
    assert read_choice(text) == (word, parameters)


@pytest.mark.parametrize(
    "written",
    [
        "f(2)",
        "f(a=)",
        "f(a=1",
        "f(a=1,a=2)",
        "f(**{})",
        "f(a=g(1))",
        "f(a=b.c)",
        "f(a=1)(b=2)x",
        "(a)",
        "f(" * 500,
        "f(a=\ufb00)",
    ],
)
def test_a_text_that_is_no_choice_says_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match=r"write name\(parameter=value,other=value\)"):
        read_choice(written)


@pytest.mark.parametrize("written", [5, None, {}, {"a": 1}, {"a": {}, "b": {}}, ["a"]])
def test_what_names_no_choice_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_choice(written)
