"""Every fault has its tests, and is in the table of README.md, which says whether it has offsets."""

import re
from pathlib import Path

import pytest
from fault_campaign import NEEDS_ROOT, ROWS

HERE = Path(__file__).parent


def functions(test: str) -> list[str]:
    """The signatures of the test functions that an entry of the campaign names."""
    path, _, name = test.partition(" -k ")[0].partition("::")
    text = (HERE.parent / path).read_text()
    named = re.escape(name) if name else r"test_\w*"  # pytest takes whole names alone
    return re.findall(rf"^def {named}\(.*?\).*?:$", text, re.MULTILINE | re.DOTALL)


def test_every_fault_is_tried_and_is_in_the_table() -> None:
    rows = sorted(ROWS)
    assert rows == [f"F{number:02d}" for number in range(1, 37)]
    assert NEEDS_ROOT.keys() <= ROWS.keys()
    assert re.findall(r"^\| (F\d\d) \|", (HERE / "README.md").read_text(), re.MULTILINE) == rows


def test_the_table_says_which_faults_have_offsets() -> None:
    table = re.findall(r"^\| (F\d\d) \|.*\| ([^|]+) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    written = {row for row, offset in table if not offset.startswith("once: ")}
    drawn = {
        row for row, tests in ROWS.items() if any("fault_seed" in one for test in tests for one in functions(test))
    }
    assert written == drawn


@pytest.mark.parametrize("test", sorted({test for tests in ROWS.values() for test in tests}))
def test_every_test_of_the_campaign_exists(test: str) -> None:
    assert functions(test)
