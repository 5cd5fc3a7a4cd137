"""Tables on a terminal and in a pipe."""

import sys

import pytest

from ray_pipeline.cli.table import print_table

HEADS = ("MODEL", "VERSION", "ALIASES", "RUN", "WHY")
ROWS = [
    (
        "stores",
        2,
        ["champion", "challenger"],
        "stores-0123456789abcdef0123-12",
        "it is better on the newest four weeks",
    ),
    ("stores", 1, [], "stores-01234567-1", None),
]
WIDE = """\
MODEL   VERSION  ALIASES               RUN                             WHY
stores  2        champion, challenger  stores-0123456789abcdef0123-12  it is better on the newest four weeks
stores  1        -                     stores-01234567-1               -
"""
BLOCKS = """\
stores
  VERSION  2
  ALIASES  champion, challenger
  RUN      stores-0123456789abcdef0123-12
  WHY      it is better on the newest four
           weeks
stores
  VERSION  1
  ALIASES  -
  RUN      stores-01234567-1
  WHY      -
"""


@pytest.mark.parametrize(
    ("terminal", "columns", "printed"),
    [(True, "200", WIDE), (True, "44", BLOCKS), (False, "44", WIDE)],
)
def test_a_table_that_is_too_wide_for_the_terminal_is_one_block_per_row(
    terminal: bool,
    columns: str,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", columns)
    print_table(HEADS, ROWS)
    assert capsys.readouterr().out == printed


def test_a_word_is_never_cut_and_a_section_keeps_its_margin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("  NAME", "VALUE"), [("  fingerprint", "0123456789abcdef0123456789abcdef")])
    assert capsys.readouterr().out == "  fingerprint\n    VALUE  0123456789abcdef0123456789abcdef\n"
    print_table(("  NAME", "VALUE"), [])
    assert capsys.readouterr().out == "  none\n"
