"""Ids that are features, slices and groups: what `init` proposes of them follows from the split."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from start_fixture import ROWS, customers, typed, write_csv

from ray_pipeline.spec import Spec

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("written", [str, int])
def test_the_id_of_a_panel_is_a_feature_and_says_why(written: type, capfd: Capture) -> None:
    days = pc.multiply(pa.array([row // 40 for row in range(ROWS)]), 86_400).cast(pa.timestamp("s"))
    store = [written(row % 40) if written is int else f"S{row % 40}" for row in range(ROWS)]
    write_csv(customers(sold_on=days, store_id=store), Path("a.csv"))
    _, answer, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert answer["split"] == "time", err
    spec, text = Spec.from_file("leaving/leaving.yaml"), Path("leaving/leaving.yaml").read_text()
    assert "store_id" in (spec.features.labels.columns or ()) and not spec.features.labels.slice_only
    assert "- store_id  # a feature though it is an id: 100% of the later rows have" in text
    assert ("store_id: {type: category}" in text) == (written is int)
    assert "column: store_id" not in text
    assert typed("check", "leaving/leaving.yaml", capfd=capfd)[0] == 0


SIZES = {200: ((), (), 200), 600: (("gender",), ("gender",), 50), 4_000: (("level", "gender"), ("gender",), 200)}


@pytest.mark.parametrize("rows", SIZES)
def test_only_slices_and_groups_that_the_test_part_can_measure_are_proposed(rows: int, capfd: Capture) -> None:
    slices, groups, least = SIZES[rows]
    write_csv(customers(rows).drop_columns(["usage", "months"]), Path("a.csv"))
    code, _, err = typed("init", "leaving", "--from", "a.csv", "--label", "churned", capfd=capfd)
    assert code == 0, err
    spec, text = Spec.from_file("leaving/leaving.yaml"), Path("leaving/leaving.yaml").read_text()
    assert [one.columns[0] for one in spec.bias.groups] == [*groups] and spec.bias.min_rows == least
    assert [one.columns[0] for one in spec.evaluate.slices] == [*slices]
    told = " ".join(text.replace("#", "").split())
    assert ("of which two values would need 50 each" in told) == (rows < 4_000)
    assert ("not 200, the default, for two values" in told) == (least < 200)
