"""The bundle: what it scores, what it refuses, and which libraries it does not need."""

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bundle_fixture import Trained, train
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.errors import DataError, RegistryError, StorageError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One binary bundle for the tests that only read it."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return train(tmp_path).bundle.folder


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_scores_are_those_of_xgboost_itself(task: str, tmp_path: Path) -> None:
    made = train(tmp_path, task=task)
    scores = Bundle.load(made.bundle.folder).score(made.rows)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, made.raw.astype(np.float64))


@pytest.mark.parametrize(
    "calibration",
    [
        {"kind": "none"},
        {"kind": "sigmoid", "slope": [1.3], "offset": [-0.2]},
    ],
)
def test_one_row_scores_as_it_does_in_a_batch_bit_for_bit(calibration: dict, tmp_path: Path) -> None:
    made = train(tmp_path, calibration=calibration)
    rows = made.rows.slice(0, 60)
    batch = made.bundle.score(rows)
    single = np.concatenate([made.bundle.score(rows.slice(row, 1)) for row in range(60)])
    assert batch.tobytes() == single.tobytes()
    assert (batch.tobytes() == made.raw[:60].astype(np.float64).tobytes()) == (calibration["kind"] == "none")


def test_no_rows_give_no_scores(tmp_path: Path) -> None:
    binary, multiclass = train(tmp_path / "b"), train(tmp_path / "m", task="multiclass")
    assert binary.bundle.score(binary.rows.slice(0, 0)).shape == (0,)
    assert multiclass.bundle.score(multiclass.rows.slice(0, 0)).shape == (0, 3)


def test_decisions_are_those_at_the_threshold_the_most_likely_class_or_the_number(tmp_path: Path) -> None:
    binary, multiclass, regression = (
        train(tmp_path / task, task=task) for task in ("binary", "multiclass", "regression")
    )
    np.testing.assert_array_equal(binary.bundle.decide(np.array([0.39, 0.4, 0.9])), [0, 1, 1])
    np.testing.assert_array_equal(
        multiclass.bundle.decide(np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])), ["mid", "high"]
    )
    np.testing.assert_array_equal(regression.bundle.decide(np.array([2.5])), [2.5])


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = train(tmp_path / "a"), train(tmp_path / "b")
    files = sorted(file.name for file in one.bundle.folder.iterdir())
    assert files == ["SHA256SUMS", "calibration.json", "encoder.json", "model.json", "model.ubj", "schema.json"]
    differing = [
        file for file in files if (one.bundle.folder / file).read_bytes() != (two.bundle.folder / file).read_bytes()
    ]
    assert differing == ["SHA256SUMS", "schema.json"]  # the schema holds the folder, `base`


def test_sums_are_what_sha256sum_checks(trained: Trained) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=trained.bundle.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK") == 5


def test_a_bundle_is_replaced_whole(folder: Path) -> None:
    before = Bundle.load(folder)
    again = train(folder.parent, seed=1).bundle
    assert again.folder == before.folder
    assert again.fingerprint != before.fingerprint
    assert sorted(path.name for path in folder.parent.iterdir()) == ["booster.ubj", "model"]


def test_a_folder_that_cannot_be_written_is_a_storage_error_and_leaves_nothing(
    tmp_path: Path, trained: Trained
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        write_bundle(
            tmp_path / "file" / "model",
            encoder={},
            model_file=trained.bundle.folder / "model.ubj",
            model={},
            calibration={},
            schema={},
        )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# What a row may look like


def test_frames_of_every_kind_score_alike(trained: Trained) -> None:
    expected = trained.bundle.score(trained.rows)
    frame = trained.rows.to_pandas()
    frame.index = frame.index[::-1]
    for given_rows in (
        trained.rows,
        frame,
        pl.from_arrow(trained.rows),
        trained.rows.to_pylist(),
        trained.rows.to_pydict(),
    ):
        np.testing.assert_array_equal(trained.bundle.predict(given_rows), expected)


def test_a_pandas_frame_with_time_zones_scores_without_a_warning(trained: Trained) -> None:
    zoned = trained.rows.set_column(3, "sched_dep_ts", trained.rows["sched_dep_ts"].cast(pa.timestamp("us", "UTC")))
    np.testing.assert_array_equal(trained.bundle.predict(zoned.to_pandas()), trained.bundle.score(zoned))


def test_a_bare_name_is_enough_if_one_column_has_it(trained: Trained) -> None:
    bare = trained.rows.rename_columns([name.rpartition(".")[2] for name in trained.rows.column_names])
    np.testing.assert_array_equal(trained.bundle.score(bare), trained.bundle.score(trained.rows))


def test_the_full_name_wins_over_the_bare_one_and_extra_columns_are_ignored(trained: Trained) -> None:
    extra = trained.rows.append_column("temp", pa.nulls(len(trained.rows), pa.float64())).append_column(
        "tailnum", pa.array(["x"] * len(trained.rows))
    )
    np.testing.assert_array_equal(trained.bundle.score(extra), trained.bundle.score(trained.rows))


def test_order_of_columns_does_not_matter(trained: Trained) -> None:
    turned = trained.rows.select(trained.rows.column_names[::-1])
    np.testing.assert_array_equal(trained.bundle.score(turned), trained.bundle.score(trained.rows))


@given(
    dropped=st.sets(
        st.sampled_from(["distance", "carrier", "late", "sched_dep_ts", "weather.temp", "weather.precip"]), min_size=1
    )
)
def test_missing_columns_are_named(trained: Trained, dropped: set[str]) -> None:
    with pytest.raises(DataError) as caught:
        trained.bundle.score(trained.rows.drop_columns(sorted(dropped)))
    (problem,) = caught.value.problems
    assert problem.column in dropped
    assert problem.found.startswith(f"{len(dropped)} of 6 columns are missing")


def test_a_column_that_is_there_twice_is_refused(trained: Trained) -> None:
    with pytest.raises(DataError, match="'distance' is there 2 times"):
        trained.bundle.score(trained.rows.append_column("distance", trained.rows["distance"]))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("distance", ["far"]),
        ("weather.temp", ["1.5"]),
        ("carrier", [7]),
        ("sched_dep_ts", ["2013-01-01"]),
        ("late", ["yes"]),
    ],
)
def test_another_kind_of_value_is_refused_and_the_column_named(trained: Trained, column: str, values: list) -> None:
    row = {**trained.rows.slice(0, 1).to_pydict(), column: values}
    with pytest.raises(DataError) as caught:
        trained.bundle.predict(row)
    assert caught.value.problems[0].column == column


def test_mixed_values_in_one_column_are_refused(trained: Trained) -> None:
    row = trained.rows.slice(0, 2).to_pydict()
    with pytest.raises(DataError, match="one type"):
        trained.bundle.predict(pd.DataFrame({**row, "distance": [1, "far"]}))


def test_whole_numbers_serve_for_fractions_and_other_widths_for_their_own(trained: Trained) -> None:
    frame = trained.rows.to_pydict()
    whole = pa.table(
        {
            **frame,
            "weather.temp": pa.array(
                [None if value is None else round(value) for value in frame["weather.temp"]], pa.int32()
            ),
        }
    )
    fractions = whole.set_column(
        whole.column_names.index("weather.temp"), "weather.temp", whole["weather.temp"].cast(pa.float64())
    )
    np.testing.assert_array_equal(trained.bundle.score(whole), trained.bundle.score(fractions))
    narrow = trained.rows.set_column(0, "distance", trained.rows["distance"].cast(pa.float32())).set_column(
        1, "carrier", trained.rows["carrier"].dictionary_encode()
    )
    np.testing.assert_array_equal(trained.bundle.score(narrow), trained.bundle.score(trained.rows))


def test_all_null_and_unseen_values_score(trained: Trained) -> None:
    nothing = pa.table({name: pa.nulls(2) for name in trained.bundle.columns})
    strange = {**trained.rows.slice(0, 1).to_pydict(), "carrier": ["ZZ"]}
    assert np.isfinite(trained.bundle.score(nothing)).all()
    assert np.isfinite(trained.bundle.predict(strange)).all()


# What is refused before it is read


@given(data=st.data())
def test_a_changed_bit_anywhere_is_found_and_the_file_named(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = trained.bundle.folder
    name = data.draw(st.sampled_from(sorted(file.name for file in source.iterdir() if file.name != "SHA256SUMS")))
    copy = tmp_path_factory.mktemp("copy")
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (copy / name).write_bytes(content)
    with pytest.raises(RegistryError, match="was changed") as caught:
        Bundle.load(copy)
    assert [Path(str(problem.file)).name for problem in caught.value.problems] == [name]


class Tripwire:
    """Unpickling it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize(
    "name", ["model.pkl", "encoder.pickle", "model.joblib", ".hidden", "model.safetensors", "notes.txt"]
)
def test_a_planted_file_is_refused_and_never_opened(folder: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (folder / name).write_bytes(pickle.dumps(Tripwire(canary)))
    with pytest.raises(RegistryError) as caught:
        Bundle.load(folder)
    assert any(Path(str(problem.file)).name in (name, "model.ubj") for problem in caught.value.problems)
    assert not canary.exists()


def test_a_pickle_in_the_place_of_the_model_with_a_right_sum_is_refused_and_not_unpickled(
    folder: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    (folder / "model.ubj").write_bytes(pickle.dumps(Tripwire(canary)))
    lines = [line for line in (folder / "SHA256SUMS").read_text().splitlines() if "model.ubj" not in line]
    digest = hashlib.sha256((folder / "model.ubj").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text("\n".join([*lines, f"{digest}  model.ubj"]) + "\n")
    with pytest.raises(RegistryError, match="cannot be read"):
        Bundle.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["encoder.json", "model.ubj", "SHA256SUMS", "calibration.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RegistryError, match="is missing") as caught:
        Bundle.load(folder)
    assert Path(str(caught.value.problems[0].file)).name == name


@pytest.mark.parametrize("name", ["encoder.json", "model.ubj", "SHA256SUMS"])
def test_a_link_is_refused_though_it_points_to_the_right_bytes(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(RegistryError, match="is a link"):
        Bundle.load(folder)


def test_a_file_that_the_sums_leave_out_is_refused(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(lines[1:]))
    with pytest.raises(RegistryError, match="do not agree"):
        Bundle.load(folder)


def test_a_folder_inside_the_bundle_is_refused(folder: Path) -> None:
    (folder / "code").mkdir()
    with pytest.raises(RegistryError, match="is no part of a bundle"):
        Bundle.load(folder)


def test_another_bundle_in_its_place_is_found_by_the_fingerprint(folder: Path) -> None:
    first = Bundle.load(folder)
    second = train(folder.parent, seed=2).bundle
    assert Bundle.load(folder, second.fingerprint).fingerprint == second.fingerprint
    with pytest.raises(RegistryError, match="is of bundle"):
        Bundle.load(folder, first.fingerprint)


def test_an_absent_folder_has_a_message_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="there is no bundle here"):
        Bundle.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["schema.json", "encoder.json", "model.json"])
def test_a_later_format_is_refused_with_its_number(folder: Path, name: str) -> None:
    written = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**written, "format": 2}))
    lines = [line for line in (folder / "SHA256SUMS").read_text().splitlines() if not line.endswith(f"  {name}")]
    (folder / "SHA256SUMS").write_text(
        "\n".join([*lines, f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}"]) + "\n"
    )
    with pytest.raises(RegistryError, match="format 2"):
        Bundle.load(folder)


# What it does without

ALONE = """
import sys, json

class Forbid:
    def find_spec(self, name, path=None, target=None):
        forbidden = ("ray", "mlflow", "pandas", "sklearn", "polars", "torch", "optuna", "matplotlib", "typer")
        if name.partition(".")[0] in forbidden:
            raise ModuleNotFoundError(f"forbidden: {name}", name=name)

sys.meta_path.insert(0, Forbid())
def refuse(event, args):
    if event == "pickle.find_class":
        raise RuntimeError("unpickled")

sys.addaudithook(refuse)
import pyarrow.ipc
from pathlib import Path
from ray_pipeline.bundle import Bundle
rows = pyarrow.ipc.open_file(sys.argv[2]).read_all()
bundle = Bundle.load(Path(sys.argv[1]))
print(json.dumps([score.hex() for score in bundle.predict(rows)]))
print(json.dumps([score.hex() for score in bundle.predict(rows.to_pydict())]))
"""


def test_it_loads_and_scores_where_there_is_no_ray_mlflow_pandas_or_sklearn(trained: Trained, tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "rows.arrow", trained.rows.schema) as writer:
        writer.write_table(trained.rows)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(trained.bundle.folder), str(tmp_path / "rows.arrow")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [score.hex() for score in trained.bundle.score(trained.rows).tolist()]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [expected, expected]
