"""The bundle: what it scores, what it refuses, and which libraries it does not need."""

import hashlib
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
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
from ray_pipeline.checksums import sums
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


def test_a_pandas_frame_with_time_zones_is_read_without_a_warning(trained: Trained) -> None:
    zoned = trained.rows.set_column(3, "sched_dep_ts", trained.rows["sched_dep_ts"].cast(pa.timestamp("us", "UTC")))
    with pytest.raises(DataError, match="with a zone; in training it was timestamp"):
        trained.bundle.predict(zoned.to_pandas())


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
        ("sched_dep_ts", ["yesterday"]),
        ("sched_dep_ts", [1_356_998_400]),
        ("late", ["yes"]),
    ],
)
def test_another_kind_of_value_is_refused_and_the_column_named(trained: Trained, column: str, values: list) -> None:
    row = {**trained.rows.slice(0, 1).to_pydict(), column: values}
    with pytest.raises(DataError) as caught:
        trained.bundle.predict(row)
    assert caught.value.problems[0].column == column


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("distance", [1, "far"]),
        ("distance", [1, [2]]),
        ("distance", [10**400, 1]),
        ("carrier", ["UA", 1]),
        ("sched_dep_ts", [date(2013, 1, 1), datetime(2013, 1, 1, 12)]),
        ("sched_dep_ts", [datetime(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC)]),
    ],
)
def test_mixed_values_in_one_column_are_refused(trained: Trained, column: str, values: list) -> None:
    row = {**trained.rows.slice(0, 2).to_pydict(), column: values}
    for sent in (row, pd.DataFrame(row)):
        with pytest.raises(DataError, match="one type") as caught:
            trained.bundle.predict(sent)
        assert caught.value.problems[0].column == column


def serving_rows() -> pa.Table:
    """Rows without nulls, so that each library can hold them in its plainest type."""
    return pa.table(
        {
            "distance": [300, 500, 2**53 + 1],
            "carrier": ["UA", "ZZ", "B6"],
            "late": [True, False, True],
            "sched_dep_ts": pa.array([1_367_402_400_000_001, 0, -1], pa.timestamp("us")),
            "weather.temp": [51.5, 30.0, 40.0],
            "weather.precip": [0.1, 0.0, 2.5],
        }
    )


SENT_AS = {
    "distance": [
        pa.array([300, 500, 2**53 + 1], pa.uint64()),
        pa.array([Decimal(300), Decimal(500), Decimal(2**53 + 1)]),
        pd.Series([300, 500, 2**53 + 1], dtype="Int64"),
        pd.Series([300, np.int32(500), Decimal(2**53 + 1)], dtype=object),
        [300, 500.0, 2**53 + 1],
        pl.Series([300, 500, 2**53 + 1]),
    ],
    "carrier": [
        pd.Series(["UA", "ZZ", "B6"], dtype="category"),
        pd.Series(["UA", "ZZ", "B6"], dtype=object),
        pd.Series(["UA", "ZZ", "B6"], dtype="string[pyarrow]"),
        pl.Series(["UA", "ZZ", "B6"], dtype=pl.Categorical),
        np.array(["UA", "ZZ", "B6"]),
        pa.array(["UA", "ZZ", "B6"], pa.string_view()),
    ],
    "late": [[1, 0, 1], [1.0, 0.0, 1.0], np.array([1, 0, 1], np.int8), [True, 0, 1.0], [Decimal(1), 0, True]],
    "sched_dep_ts": [
        ["2013-05-01T10:00:00.000001", "1970-01-01", "1969-12-31 23:59:59.999999"],
        ["2013-05-01T10:00:00.000001000", "1970-01-01T00:00", "1969-12-31T23:59:59.999999000"],
        pd.Series(np.array([1_367_402_400_000_001, 0, -1], "datetime64[us]")),
        pd.Series(np.array([1_367_402_400_000_001, 0, -1], "datetime64[us]").tolist(), dtype=object),
        pl.Series(np.array([1_367_402_400_000_001, 0, -1], "datetime64[us]")),
    ],
    "weather.temp": [
        pd.Series([51.5, 30, 40], dtype=object),
        np.array([51.5, 30.0, 40.0], np.float32),
        [Decimal("51.5"), 30, np.float32(40)],
        pd.arrays.SparseArray([51.5, 30.0, 40.0]),
    ],
}


@pytest.mark.parametrize(("column", "at"), [(name, at) for name, ways in SENT_AS.items() for at in range(len(ways))])
def test_a_value_scores_alike_in_every_type_that_can_hold_it(trained: Trained, column: str, at: int) -> None:
    expected, sent = trained.bundle.score(serving_rows()), SENT_AS[column][at]
    plain = serving_rows().to_pydict()
    np.testing.assert_array_equal(trained.bundle.predict({**plain, column: sent}), expected)
    if not isinstance(sent, pa.Array | pl.Series):
        np.testing.assert_array_equal(trained.bundle.predict(pd.DataFrame({**plain, column: sent})), expected)


@pytest.mark.parametrize("column", list(SENT_AS))
def test_a_column_without_values_may_have_any_type(trained: Trained, column: str) -> None:
    plain = serving_rows().to_pydict()
    expected = trained.bundle.predict({**plain, column: pa.nulls(3)})
    missing = (
        np.full(3, np.nan),
        [None] * 3,
        pa.nulls(3, pa.list_(pa.string())),
        pa.nulls(3, pa.duration("s")),
        pd.Series([None, np.nan, pd.NA], dtype=object),
        pd.Series([None] * 3, dtype="category"),
        pd.Series([pd.NaT] * 3),
        pl.Series([None] * 3, dtype=pl.String),
    )
    for sent in missing:
        np.testing.assert_array_equal(trained.bundle.predict({**plain, column: sent}), expected)


def test_columns_that_the_model_does_not_need_are_never_read(trained: Trained) -> None:
    expected = trained.bundle.score(serving_rows())
    frame = serving_rows().to_pandas().assign(tags=[[1], "x", {"a": object()}], **{"7": [object()] * 3})
    frame[7] = 1
    twice = pd.concat([frame, frame[["tags", 7]]], axis=1)
    arrow = serving_rows().append_column("tags", pa.array([[1], [2], None])).append_column("tags", pa.nulls(3))
    records = [{**row, "tags": tags} for row, tags in zip(serving_rows().to_pylist(), [1, "x", []], strict=True)]
    for sent in (frame, twice, arrow, records, {**serving_rows().to_pydict(), "short": [1]}):
        np.testing.assert_array_equal(trained.bundle.predict(sent), expected)


def test_one_row_may_be_a_dict_of_values(trained: Trained) -> None:
    (first, *_) = serving_rows().to_pylist()
    np.testing.assert_array_equal(trained.bundle.predict(first), trained.bundle.score(serving_rows())[:1])


def test_a_key_that_a_dict_of_a_row_lacks_is_a_missing_value(trained: Trained) -> None:
    full, other = serving_rows().to_pylist()[:2]
    lacking = {key: value for key, value in full.items() if key != "late"}
    expected = trained.bundle.predict([{**full, "late": None}, other])
    np.testing.assert_array_equal(trained.bundle.predict([lacking, other]), expected)


@pytest.mark.parametrize("sent", [5, "UA", np.zeros((2, 6)), [[1, 2]], [1, 2], None, pd.Series([1.0]), [{}], {}])
def test_what_is_no_table_or_has_no_names_is_refused(trained: Trained, sent: object) -> None:
    with pytest.raises(DataError):
        trained.bundle.predict(sent)


def test_columns_of_different_lengths_are_refused(trained: Trained) -> None:
    with pytest.raises(DataError, match=r"different lengths: distance 3, .*late 2"):
        trained.bundle.predict({**serving_rows().to_pydict(), "late": [True, False]})


ZONED = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose time column has a zone."""
    made = train(tmp_path_factory.mktemp("zoned")).bundle
    columns = [
        {**column, "type": "timestamp[us, tz=UTC]" if column["name"] == "sched_dep_ts" else column["type"]}
        for column in made.schema["columns"]
    ]
    return replace(made, schema={**made.schema, "columns": columns})


def test_a_time_with_a_zone_scores_as_the_same_moment(trained: Trained, zoned: Bundle) -> None:
    expected, plain = trained.bundle.score(serving_rows()), serving_rows().to_pydict()
    moments = serving_rows()["sched_dep_ts"].cast(ZONED)
    for sent in (
        moments,
        moments.cast(pa.timestamp("us", "Asia/Tokyo")),
        moments.to_pandas(),
        ["2013-05-01T10:00:00.000001Z", "1970-01-01T01:00:00+01:00", "1969-12-31T18:59:59.999999-05:00"],
    ):
        np.testing.assert_array_equal(zoned.predict({**plain, "sched_dep_ts": sent}), expected)


def test_times_with_and_without_a_zone_are_not_mixed_up(trained: Trained, zoned: Bundle) -> None:
    plain = serving_rows().to_pydict()
    moments = serving_rows()["sched_dep_ts"]
    for bundle, refused, example in (
        (zoned, [moments, moments.cast(pa.date32(), safe=False), ["2013-05-01T10:00:00"] * 3], "10:00:00Z"),
        (trained.bundle, [moments.cast(ZONED), ["2013-05-01T10:00:00Z"] * 3], "10:00:00"),
    ):
        for sent in refused:
            with pytest.raises(DataError, match="zone") as caught:
                bundle.predict({**plain, "sched_dep_ts": sent})
            assert caught.value.problems[0].column == "sched_dep_ts"
            assert str(caught.value.problems[0].fix).endswith(example)


def test_times_beyond_nanoseconds_are_read_to_the_microsecond(trained: Trained) -> None:
    plain = serving_rows().slice(0, 2).to_pydict()
    far = pa.array([253_402_214_400_000_000, -62_135_596_800_000_000], pa.timestamp("us"))
    as_text = trained.bundle.predict({**plain, "sched_dep_ts": ["9999-12-31", "0001-01-01T00:00:00"]})
    np.testing.assert_array_equal(as_text, trained.bundle.predict({**plain, "sched_dep_ts": far}))


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


def resealed(folder: Path, name: str, content: str) -> None:
    """Writes a file of the bundle, and its right sum."""
    (folder / name).write_text(content)
    lines = [line for line in (folder / "SHA256SUMS").read_text().splitlines() if not line.endswith(f"  {name}")]
    digest = hashlib.sha256(content.encode()).hexdigest()
    (folder / "SHA256SUMS").write_text("\n".join([*lines, f"{digest}  {name}"]) + "\n")


@pytest.mark.parametrize("name", ["schema.json", "encoder.json", "model.json", "calibration.json"])
def test_a_json_file_that_is_nested_too_deeply_is_refused(folder: Path, name: str) -> None:
    resealed(folder, name, "[" * 200_000)
    with pytest.raises(RegistryError, match="nested too deeply"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname", "sub/../../outside.json", "model.json/.."])
def test_sums_that_name_a_file_outside_of_the_bundle_are_refused_and_it_is_not_read(folder: Path, name: str) -> None:
    with (folder / "SHA256SUMS").open("a") as listed:
        listed.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(RegistryError, match="do not agree"):
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


DAMAGES: dict[str, tuple[str, object]] = {
    "no columns": ("schema.json", {"columns": None}),
    "columns without types": ("schema.json", {"columns": [{"name": "x"}]}),
    "no task": ("schema.json", {"task": 7}),
    "no family": ("model.json", {"family": None}),
    "another family": ("model.json", {"family": ["xgboost"]}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bundle_with_right_sums_and_wrong_content_is_refused_by_name(damage: str, folder: Path) -> None:
    file, changes = DAMAGES[damage]
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))  # type: ignore[dict-item]
    (folder / "SHA256SUMS").unlink()
    (folder / "SHA256SUMS").write_text(sums(folder))
    with pytest.raises(RegistryError, match="cannot be read"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("family", "file"),
    [
        ("xgboost", "model.ubj"),
        ("lightgbm", "model.txt"),
        ("catboost", "model.cbm"),
        ("linear", "model.safetensors"),
        ("mlp", "model.safetensors"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_model_that_its_library_cannot_read_is_refused(family: str, file: str, content: bytes, folder: Path) -> None:
    (folder / "model.ubj").unlink()
    (folder / file).write_bytes(content)
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**about, "family": family}))
    (folder / "SHA256SUMS").unlink()
    (folder / "SHA256SUMS").write_text(sums(folder))
    with pytest.raises(RegistryError, match="cannot be read"):
        Bundle.load(folder)
