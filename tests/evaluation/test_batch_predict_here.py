"""Files are scored in threads of this process: all rows in their order, joined as in training, and without Ray."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from serving_fixture import train_on_numbers

from ray_pipeline.data.read import read
from ray_pipeline.evaluation import batch_predict as scoring
from ray_pipeline.evaluation.batch_predict import batch_predict
from ray_pipeline.runtime.session import session
from ray_pipeline.runtime.threads import map_in_threads
from ray_pipeline.serving import LoadedModel
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROWS, FILES = 5_000, 3
SPEC = """
name: here
task: binary
features:
  labels: {path: rows, label: y, key: id}
  shops: {path: shops.parquet, on: [shop], columns: [size]}
split: {by: random}
model: xgboost
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return train_on_numbers(tmp_path_factory.mktemp("model"), "binary", ["x", "shops.size"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of two row groups each, and a table that is joined."""
    draw = np.random.default_rng(0)
    rows = pa.table({"id": np.arange(ROWS)[::-1], "x": draw.normal(size=ROWS), "shop": draw.integers(0, 50, ROWS)})
    (tmp_path / "rows").mkdir()
    size = -(-ROWS // FILES)
    for file in range(FILES):
        pq.write_table(rows.slice(file * size, size), tmp_path / f"rows/{file}.parquet", row_group_size=size // 2 + 1)
    pq.write_table(pa.table({"shop": np.arange(40), "size": draw.normal(size=40)}), tmp_path / "shops.parquet")
    return tmp_path


def expected(model: LoadedModel, folder: Path) -> np.ndarray:
    """The scores of all rows at once, joined by hand."""
    rows, shops = pq.read_table(folder / "rows").to_pandas(), pq.read_table(folder / "shops.parquet").to_pandas()
    joined = rows.merge(shops, how="left", on="shop").rename(columns={"size": "shops.size"})
    return model.predict(joined[["x", "shops.size"]])


@pytest.mark.parametrize(("threads", "block_rows"), [(1, 131_072), (2, 131_072), (4, 97)])
def test_all_rows_are_scored_in_order_whatever_the_threads_and_blocks(
    threads: int, block_rows: int, model: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "MAX_ROWS", block_rows)
    spec = Spec.from_text(SPEC, folder=folder)
    table = read(spec, Where(), rows=str(folder / "rows"), labelled=False)
    out = folder / "scores.parquet"
    assert batch_predict(model, table, out, threads) == (ROWS, 1)
    scored = pq.read_table(out)
    assert scored["id"].to_pylist() == list(range(ROWS))[::-1]
    assert scored["score"].to_numpy().tobytes() == expected(model, folder).tobytes()


def test_the_workers_of_ray_give_the_same_scores(ray_local: None, model: LoadedModel, folder: Path) -> None:
    spec, out = Spec.from_text(SPEC, folder=folder), folder / "scores.parquet"
    with session(Where()):
        table = read(spec, Where(), rows=str(folder / "rows"), labelled=False)
        assert batch_predict(model, table, out) == (ROWS, 1)
    assert pq.read_table(out)["score"].to_numpy().tobytes() == expected(model, folder).tobytes()


def test_csv_is_scored_to_the_same_scores(model: LoadedModel, folder: Path) -> None:
    rows = pq.read_table(folder / "rows")
    pacsv.write_csv(rows, folder / "rows.csv")
    table = read(Spec.from_text(SPEC, folder=folder), Where(), rows=str(folder / "rows.csv"), labelled=False)
    batch_predict(model, table, folder / "scores.parquet", 2)
    assert pq.read_table(folder / "scores.parquet")["score"].to_numpy().tobytes() == expected(model, folder).tobytes()


def test_an_error_of_one_block_ends_all_and_later_pieces_are_not_read() -> None:
    read_pieces: list[int] = []

    def piece(number: int) -> pa.Table:
        read_pieces.append(number)
        return pa.table({"x": [number]})

    def fail(block: pa.Table) -> pa.Table:
        if block["x"][0].as_py() == 1:
            raise ValueError("one")
        return block

    pieces = [lambda number=number: piece(number) for number in range(100)]
    with pytest.raises(ValueError, match="one"):
        list(map_in_threads(pieces, 10, fail, 2))
    assert len(read_pieces) < 20


def test_pieces_without_rows_and_no_pieces_are_passed_on() -> None:
    empty = pa.table({"x": pa.array([], pa.int64())})
    assert [len(one) for one in map_in_threads([lambda: empty], 10, lambda block: block, 2)] == [0]
    assert list(map_in_threads([], 10, lambda block: block, 2)) == []


def test_ray_is_not_imported(model: LoadedModel, folder: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from ray_pipeline.data.read import read
from ray_pipeline.evaluation.batch_predict import batch_predict
from ray_pipeline.serving import LoadedModel
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
spec = Spec.from_text({SPEC!r}, folder=Path({str(folder)!r}))
table = read(spec, Where(), rows={str(folder / "rows")!r}, labelled=False)
print(batch_predict(LoadedModel.load(Path({str(model.folder)!r})), table, Path({str(folder / "o.csv")!r}), 2))
print("ray" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.split("\n")[:2], done.stderr) == ([f"({ROWS}, 1)", "False"], "")
