"""Every fault has its tests, and is in the table of README.md."""

import re
from pathlib import Path

import pytest
from fault_campaign import NEEDS_ROOT, ROWS

HERE = Path(__file__).parent


def test_every_fault_is_tried_and_is_in_the_table() -> None:
    rows = sorted(ROWS)
    assert rows == [f"F{number:02d}" for number in range(1, 37)]
    assert NEEDS_ROOT.keys() <= ROWS.keys()
    assert re.findall(r"^\| (F\d\d) \|", (HERE / "README.md").read_text(), re.MULTILINE) == rows


@pytest.mark.parametrize("test", sorted({test for tests in ROWS.values() for test in tests}))
def test_every_test_of_the_campaign_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}" in (HERE.parent / file).read_text()
