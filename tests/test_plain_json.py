"""Plain values: strict JSON of the same value, and one digest for equal values."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline import plain_json
from ray_pipeline.plain_json import json_digest, plain, read_json

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda s: st.one_of(st.lists(s, max_size=4), st.dictionaries(st.text(max_size=3), s, max_size=4)),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_as_json_is_strict_json_of_the_same_value(value: object) -> None:
    def finite(value: object) -> object:
        if isinstance(value, list):
            return [finite(item) for item in value]
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    assert json.loads(json.dumps(plain(value), allow_nan=False)) == finite(value)


def test_equal_values_have_equal_digests_whatever_the_order_of_keys_and_the_kind_of_sequence() -> None:
    one = json_digest({"a": (1, 2), "b": {"x": math.nan, 3: None}})
    assert one == json_digest({"b": {"3": None, "x": math.inf}, "a": [1, 2]})
    assert one != json_digest({"a": [2, 1], "b": {"x": None, "3": None}})
    assert len(one) == 64


@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_a_file_that_is_nested_too_deeply_is_refused(opened: str, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text(opened * 1_000_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")


def test_a_file_beyond_the_limit_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_json, "MAX_JSON_BYTES", 1000)
    (tmp_path / "small.json").write_text(f'"{"a" * 998}"')
    assert read_json(tmp_path / "small.json") == "a" * 998
    (tmp_path / "large.json").write_text(f'"{"a" * 999}"')
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        read_json(tmp_path / "large.json")
