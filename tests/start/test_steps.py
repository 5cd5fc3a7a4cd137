"""The years of a panel are its time; other whole numbers are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from start_fixture import typed, write_csv

from ray_pipeline.start.steps import with_steps
from ray_pipeline.start.table import StartTable

STATES, YEARS = 40, 25
rng = np.random.default_rng(5)


def panel(**more: Any) -> pa.Table:
    """A row for each year of each state, in which sales grow with the price and from year to year."""
    state, year = (part.ravel() for part in np.meshgrid(np.arange(STATES), 1990 + np.arange(YEARS)))
    price = rng.normal(size=state.size)
    sales = 10 * price + (year - 1990) + 3 * (state % 7) + rng.normal(size=state.size)
    return pa.table({"state": state, "year": year, "price": price, **more, "sales": sales.round(3)})


def steps_of(folder: Path, table: pa.Table) -> str | None:
    opened = StartTable.open("labels", str(write_csv(table, folder / "rows.csv")), folder)
    found = with_steps(opened, ["sales"]).steps
    return found.column if found else None


def test_a_panel_is_split_by_its_years_and_its_id_is_a_category(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(panel(), tmp_path / "panel.csv")
    code, answer, err = typed("init", "m", tmp_path / "m", "--from", file, "--label", "sales", capfd=capfd)
    assert (code, answer["split"]) == (0, "time"), err
    text = (tmp_path / "m" / "m.yaml").read_text()
    spec = yaml.safe_load(text)
    assert (spec["features"]["labels"]["time"], spec["features"]["labels"]["time_unit"]) == ("year", "step")
    assert spec["split"] == {"by": "time", "validation": 2006, "test": 2009}
    assert spec["encode"] == {"state": {"type": "category"}}
    assert "year" not in spec["features"]["labels"]["columns"]
    assert "25 steps from 1990 to 2014, at most one row for each step of each state" in text
    assert typed("check", tmp_path / "m" / "m.yaml", capfd=capfd)[0] == 0


def test_joined_tables_leave_the_years_as_a_feature(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write_csv(panel(), tmp_path / "panel.csv")
    names = pa.table({"state": np.arange(STATES), "area": rng.normal(size=STATES)})
    joined = write_csv(names, tmp_path / "states.csv")
    words = ("init", "m", tmp_path / "m", "--from", file, "--label", "sales", "--features", joined)
    code, answer, err = typed(*words, capfd=capfd)
    assert (code, answer["split"]) == (0, "random"), err


OTHERS: dict[str, pa.Table] = {
    "two rows in one year": pa.concat_tables([panel(), panel().slice(7, 1)]),
    "few years": panel().filter(pa.compute.less(panel()["year"], 1995)),
    "a year without a value": panel().append_column("week", pa.array([None, *range(1, STATES * YEARS)])).drop(["year"]),
    "a name that says nothing": panel().rename_columns(["state", "size", "price", "sales"]),
    "a time": panel(day=np.datetime64("2020-01-01") + np.arange(STATES * YEARS)),
    "rows of their own": panel().set_column(0, "state", pa.array(np.arange(STATES * YEARS))),
}


@pytest.mark.parametrize("table", OTHERS.values(), ids=OTHERS)
def test_other_numbers_are_no_steps(tmp_path: Path, table: pa.Table) -> None:
    assert steps_of(tmp_path, table) is None


@pytest.mark.parametrize("year", [["year"], ["fiscal_year"], ["wave"], ["Season"]])
def test_steps_are_known_by_their_name(tmp_path: Path, year: list[str]) -> None:
    assert steps_of(tmp_path, panel().rename_columns(["state", *year, "price", "sales"])) == year[0]
