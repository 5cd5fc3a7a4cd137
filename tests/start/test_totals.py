"""Rows of totals are found, told and left out; values that only look like them stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from start_fixture import typed

from ray_pipeline.spec import Spec
from ray_pipeline.start import propose, text_of
from ray_pipeline.start.table import StartTable
from ray_pipeline.start.totals import find_totals

ROWS = 500
rng = np.random.default_rng(5)
SHOPS, SOLD = rng.choice(["north", "south", "east"], ROWS), rng.integers(1, 50, ROWS)


def sales(every: int, total: str) -> str:
    """Sales by shop as CSV, with a row of totals below so many of them."""
    lines = ["order_id,shop,day,pieces,revenue"]
    for row, (shop, sold) in enumerate(zip(SHOPS, SOLD, strict=True)):
        day = np.datetime64("2024-01-01") + row // 5
        lines.append(f"A{row:04},{shop},{day},{sold},{sold * 3 + row % 7}.5")
        if (row + 1) % every == 0:
            lines.append(total.format(day=day, pieces=SOLD[: row + 1].sum(), revenue=9 * SOLD[: row + 1].sum()))
    return "\n".join(lines) + "\n"


CASES: dict[str, tuple[int, str, str, str]] = {
    "a grand total": (500, "Grand Total,,{day},{pieces},{revenue}", "order_id", "1 row is a total of others"),
    "subtotals": (100, "Subtotal,,{day},{pieces},{revenue}", "order_id", "5 rows are totals of others"),
    "in the second text": (100, ",Zwischensumme,{day},{pieces},{revenue}", "shop", "5 rows are totals of others"),
}


@pytest.mark.parametrize(("every", "total", "column", "says"), CASES.values(), ids=CASES)
def test_rows_of_totals_are_told_and_left_out_of_spec_and_baseline(
    every: int, total: str, column: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clean.csv").write_text("".join(line for line in sales(every, "").splitlines(True) if line.strip()))
    Path("sales.csv").write_text(sales(every, total))
    code, answer, err = typed("init", "takings", "--from", "sales.csv", "--label", "revenue", capfd=capfd)
    assert (code, answer["split"]) == (0, "time"), err
    word = total.split(",")[0 if column == "order_id" else 1]
    assert f"look at  {says} ({column}: '{word}'), left out by `select.where`" in err
    assert Spec.from_file("takings/takings.yaml").select.where == f"{column} is null or {column} not in ['{word}']"
    drafts = [propose("t", name, tmp_path, label="revenue") for name in ("sales.csv", "clean.csv")]
    assert drafts[0].labels.num_rows == drafts[1].labels.num_rows == ROWS
    assert [gate.value for gate in drafts[0].gates] == [gate.value for gate in drafts[1].gates]
    assert typed("check", "takings/takings.yaml", capfd=capfd)[0] == 0


def test_a_totals_row_without_a_time_is_left_out_with_the_others_that_lack_one(tmp_path: Path) -> None:
    content = sales(500, "").rstrip() + "\nA9,north,,3,9\nTotal,,,100000,200000\n"
    (tmp_path / "sales.csv").write_text(content)
    draft = propose("t", str(tmp_path / "sales.csv"), tmp_path, label="revenue")
    assert draft.labels.totals and draft.labels.totals.rows == 1
    assert draft.roles.time and draft.roles.time.missing == 1


@pytest.mark.parametrize("every", [500, 20])
@pytest.mark.parametrize("order", ["day,order_id,pieces", "order_id,day,pieces"])
def test_a_total_among_dates_or_numbers_leaves_their_type(order: str, every: int, tmp_path: Path) -> None:
    lines = [f"{order},shop,revenue"]
    for row, sold in enumerate(SOLD):
        cells = {"day": str(np.datetime64("2024-01-01") + row // 5), "order_id": f"{row}", "pieces": f"{sold}"}
        lines.append(",".join([*(cells[name] for name in order.split(",")), SHOPS[row], f"{sold * 3}.5"]))
        if (row + 1) % every == 0:
            lines.append(f"Subtotal,,{sold * 200},,{sold * 700}.5")
    (tmp_path / "sales.csv").write_text("\n".join(lines))
    draft = propose("t", str(tmp_path / "sales.csv"), tmp_path, label="revenue")
    assert draft.labels.totals and draft.labels.totals.rows == 500 // every
    assert str(draft.labels.type("day")) == "date32[day]" and str(draft.labels.type("order_id")) == "int64"
    assert (draft.split.by, draft.roles.key and draft.roles.key.column) == ("time", "order_id")
    assert draft.labels.dialect.parameters["null_values"] == ["", "Subtotal"]
    assert f"where: {order.split(',')[0]} is not null" in text_of(draft)


BRANDS = ["Total", *["Shell", "Aral"] * 15]
NOT: dict[str, dict[str, Any]] = {
    "a brand": {"brand": BRANDS, "city": ["Rome"] * 31, "price": range(31)},
    "a brand as the only text": {"brand": BRANDS, "price": [5, *range(30)]},
    "a common value": {"kind": ["total", "part"] * 20, "city": [None, "Rome"] * 20},
    "a longer word": {"name": ["Totality", *["x"] * 30], "city": [None, *["Rome"] * 30]},
    "cells that are empty elsewhere too": {"kind": BRANDS, "note": [None] * 30 + ["x"], "price": [5, *range(30)]},
}


@pytest.mark.parametrize("columns", NOT.values(), ids=NOT)
def test_what_only_looks_like_a_total_stays(columns: dict[str, Any]) -> None:
    assert find_totals(pa.table(columns)) is None


@pytest.mark.parametrize(
    "word", ["SUM", "Gesamt", "Total:", "Sub-total", "North Total", "Gesamtergebnis", "Sum of May"]
)
def test_totals_are_known_in_many_words(word: str) -> None:
    found = find_totals(pa.table({"shop": [*["x"] * 30, word], "city": [*["Rome"] * 30, " "]}))
    assert found is not None and found.rows == 1


def test_a_subtotal_may_name_its_group_before_the_word() -> None:
    shops, items = [*["north"] * 30, *["south"] * 30], [*"ab" * 30]
    rows = {"shop": [*shops, "north", "south"], "sort": [*items, "Subtotal", "Subtotal"], "item": [*items, None, None]}
    assert find_totals(pa.table({**rows, "sold": [*[3] * 60, 90, 90]}))
    assert find_totals(pa.table({**rows, "sold": [*[3] * 60, 2, 2]})) is None


def test_a_word_that_is_a_value_of_other_rows_too_is_no_total() -> None:
    table = pa.table({"shop": [*["x"] * 60, "Total", "Total"], "city": [*["Rome"] * 60, None, "Rome"]})
    assert find_totals(table) is None


def test_a_large_table_of_another_format_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("ray_pipeline.start.table.SAMPLE_ROWS", 30)
    table = pa.table({"shop": [*["x"] * 30, "Total"], "city": [*["Rome"] * 30, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    opened = StartTable.open("labels", str(tmp_path / "a.parquet"), tmp_path)
    assert opened.without_totals().totals is None
