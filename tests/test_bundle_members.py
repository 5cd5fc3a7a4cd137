"""A bundle of several models: their weighted mean, one encoding for each encoder, and files that are all checked."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from bundle_fixture import rows, train

from ray_pipeline import encoded_block
from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.bundle_members import Member, side_by_side
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.encoders.nets import Nets
from ray_pipeline.errors import RegistryError
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.runs.digests import model_digest
from ray_pipeline.serving.loaded_model import LoadedModel

WEIGHTS = (0.75, 0.25)


def members(folder: Path, task: str = "binary") -> tuple[Bundle, list[np.ndarray]]:
    """A bundle of two boosters, the second of which reads another encoder's matrix; and the scores of both."""
    first, table = train(folder / "first", task=task), rows()
    other = Nets(encoded=(Number(name="distance", kind="number", centre=900.0, width=500.0, missing=0.0),))
    joined, columns = side_by_side({"trees": first.bundle.encoder, "nets": other})
    matrix = other.apply(table)
    booster = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3} if task == "multiclass" else {"objective": "binary:logistic"},
        xgboost.DMatrix(matrix, (matrix[:, 0] > 0).astype(float)),
        5,
    )
    booster.save_model(folder / "second.ubj")
    files = (first.bundle.folder / "model.ubj", folder / "second.ubj")
    made = [
        (Member(weight=weight, family="xgboost", columns=columns[name], params={}, rounds=5, trial=number), file)
        for number, (weight, name, file) in enumerate(zip(WEIGHTS, ("trees", "nets"), files, strict=True))
    ]
    bundle = written(folder / "model", joined, made, first.bundle.schema)
    return bundle, [first.raw.astype(np.float64), booster.inplace_predict(matrix).astype(np.float64)]


def written(folder: Path, encoder: Encoder, made: list[tuple[Member, Path]], schema: Mapping[str, object]) -> Bundle:
    """The bundle of some members."""
    model = {"format": 1, "family": "ensemble", "params": {}}
    parts = {"encoder": encoder.to_json(), "model": model, "calibration": {"kind": "none"}, "schema": schema}
    return write_bundle(folder, model_file=made, **parts)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_score_is_the_weighted_mean_of_the_members_bit_for_bit(task: str, tmp_path: Path) -> None:
    bundle, (first, second) = members(tmp_path, task)
    loaded = Bundle.load(bundle.folder, bundle.fingerprint)
    assert loaded.score(rows()).tobytes() == (0.75 * first + 0.25 * second).tobytes()


def test_a_row_scores_alone_as_in_a_batch(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    table = rows().slice(0, 30)
    single = np.concatenate([bundle.score(table.slice(row, 1)) for row in range(30)])
    assert single.tobytes() == bundle.score(table).tobytes()


def test_a_row_of_python_values_scores_as_in_a_batch(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    table = rows().slice(0, 30)
    single = np.concatenate([bundle.predict(row) for row in table.to_pylist()])
    assert single.tobytes() == bundle.score(table).tobytes()


def test_no_rows_give_no_scores(tmp_path: Path) -> None:
    assert members(tmp_path)[0].score(rows().slice(0, 0)).shape == (0,)


def test_a_column_that_two_encoders_read_is_asked_for_once_and_has_all_its_places(tmp_path: Path) -> None:
    encoder = members(tmp_path)[0].encoder
    assert encoder.reads.count("distance") == 1
    assert encoder.places["distance"].tolist() == [0, 6]
    assert sorted(place for own in encoder.places.values() for place in own) == list(range(7))


def test_encoded_rows_hold_the_matrices_side_by_side_as_the_joined_encoder_makes_them(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    matrix = bundle.encoder.apply(rows())
    label = pa.array(np.zeros(len(matrix)))
    columns = {encoded_block.LABEL: label, encoded_block.WEIGHT: label}
    block = encoded_block.pack({"trees": matrix[:, :6].copy(), "nets": matrix[:, 6:].copy()}, columns)
    assert encoded_block.view(block, "trees+nets").matrix.tobytes() == matrix.tobytes()


def test_shapley_values_are_the_weighted_mean_each_in_the_columns_of_its_member(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    matrix = bundle.encoder.apply(rows())
    found = bundle.contributions(matrix)
    own = xgboost.Booster(model_file=bundle.folder / "members" / "1" / "model.ubj")
    alone = own.predict(xgboost.DMatrix(np.ascontiguousarray(matrix[:, 6:])), pred_contribs=True)[:, :-1]
    assert found.shape == matrix.shape
    np.testing.assert_allclose(found[:, 6:], 0.25 * alone, rtol=1e-6)


def test_the_same_parts_give_the_same_bytes_and_a_changed_weight_another_digest(tmp_path: Path) -> None:
    first, second = members(tmp_path / "a")[0], members(tmp_path / "b")[0]
    assert model_digest(first) == model_digest(second)
    made = [
        (member, second.folder / f"members/{number}/model.ubj") for number, member in enumerate(second.scorer.members)
    ]
    halves = [(Member(**{**vars(member), "weight": 0.5}), file) for member, file in made]
    assert model_digest(written(tmp_path / "c", second.encoder, halves, second.schema)) != model_digest(first)


def test_size_and_files_count_every_member(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    names = [file.relative_to(bundle.folder).as_posix() for file in bundle.files]
    assert names == [
        "SHA256SUMS",
        "calibration.json",
        "encoder.json",
        "members.json",
        "members/0/model.ubj",
        "members/1/model.ubj",
        "model.json",
        "schema.json",
    ]
    size = sum((bundle.folder / name).stat().st_size for name in names)
    assert ServingCosts.of(bundle).size_mb == pytest.approx(size / 1e6)


@pytest.mark.parametrize(
    "planted", ["members/0/more.json", "members/0/model.pkl", "members/7/model.ubj", "members/model.ubj", "model.ubj"]
)
def test_a_file_that_is_no_member_is_refused_before_anything_is_read(planted: str, tmp_path: Path) -> None:
    folder = members(tmp_path)[0].folder
    (folder / planted).parent.mkdir(exist_ok=True)
    (folder / planted).write_bytes(b"cos\nsystem\n")
    with pytest.raises(RegistryError, match="no part of a bundle") as caught:
        Bundle.load(folder)
    assert Path(planted).parts[0] in str(caught.value)


def test_a_missing_or_linked_or_changed_member_is_named(tmp_path: Path) -> None:
    folder = members(tmp_path)[0].folder
    file = folder / "members" / "1" / "model.ubj"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    with pytest.raises(RegistryError, match=r"members/1/model\.ubj"):
        Bundle.load(folder)
    (tmp_path / "elsewhere.ubj").write_bytes(content)
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere.ubj")
    with pytest.raises(RegistryError, match="link"):
        Bundle.load(folder)
    file.unlink()
    with pytest.raises(RegistryError, match="members/1"):
        Bundle.load(folder)


def test_a_linked_folder_of_a_member_is_refused(tmp_path: Path) -> None:
    folder = members(tmp_path)[0].folder
    (folder / "members" / "1").rename(tmp_path / "moved")
    (folder / "members" / "1").symlink_to(tmp_path / "moved")
    with pytest.raises(RegistryError, match="members/1"):
        Bundle.load(folder)


def test_a_later_format_of_members_is_refused(tmp_path: Path) -> None:
    folder = members(tmp_path)[0].folder
    content = json.loads((folder / "members.json").read_text())
    (folder / "members.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(RegistryError, match="was changed"):
        Bundle.load(folder)


def test_a_loaded_ensemble_travels_with_the_files_of_its_members(tmp_path: Path) -> None:
    bundle, _ = members(tmp_path)
    loaded = LoadedModel.load(bundle.folder)
    arrived = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(arrived.score(rows()), loaded.score(rows()))
