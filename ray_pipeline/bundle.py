"""The bundle: a folder of plain files that scores rows exactly as training did, without Ray and without pickle.

`SHA256SUMS` lists every file. Each is hashed before anything is parsed, and a file that is not listed is refused.
"""

import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle_regions import RegionScoring
from ray_pipeline.checksums import SUMS, check_sums, refuse, sums
from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.calibrators._base import load as load_calibrator
from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.encoders._one_row import OneRow
from ray_pipeline.components.models._base import FILE, Scorer
from ray_pipeline.conformal import Calibration
from ray_pipeline.errors import DataError, Problem, RegistryError, StorageError, listed
from ray_pipeline.plain_json import read_json
from ray_pipeline.rows_to_score import SentRows, as_trained
from ray_pipeline.values import Matrix, Vector

FORMAT = 1
MAX_FORMS = 16
JSON_FILES = ("calibration.json", "encoder.json", "model.json", "schema.json")


@dataclass(frozen=True, kw_only=True)
class Bundle(RegionScoring):
    """A trained model with all that scoring needs: encoder, model, calibrator, threshold and the schema of its rows."""

    folder: Path
    fingerprint: str
    schema: Mapping[str, Any]
    model: Mapping[str, Any]
    encoder: Encoder
    scorer: Scorer
    calibrator: Calibrator
    regions: Calibration | None = None
    """How intervals or sets follow from predictions; None where the spec asks for none."""

    @classmethod
    def load(cls, folder: Path, fingerprint: str | None = None) -> Self:
        """Load the bundle of a folder, after its files were checked.

        Parameters
        ----------
        fingerprint
            SHA-256 that `SHA256SUMS` must have; None accepts any bundle.

        Raises
        ------
        RegistryError
            A file is missing, unlisted, a link or changed; or it is another bundle than `fingerprint` says.
        """
        folder = Path(folder).resolve()
        actual = check_files(folder)
        if fingerprint not in (None, actual):
            raise RegistryError(
                Problem(
                    file=str(folder / SUMS),
                    found=f"is of bundle {actual[:12]}, not of {str(fingerprint)[:12]}",
                    fix="restore the folder, or register the run again",
                )
            )
        schema, model, encoder, calibration = (
            _read(folder, name) for name in ("schema.json", "model.json", "encoder.json", "calibration.json")
        )
        part = "encoder.json"
        try:
            fitted = Encoder.from_json(encoder)
            part = "calibration.json"
            calibrator = load_calibrator(calibration)
            part = "schema.json"
            regions = Calibration.from_json(schema["intervals"]) if schema.get("intervals") else None
            part = "model.json"
            scorer = find("models", model["family"]).load(folder)
        except (KeyError, TypeError, ValueError, ImportError, RuntimeError) as error:
            raise RegistryError(
                Problem(
                    file=str(folder / part),
                    found=f"cannot be read: {str(error).splitlines()[0]}",
                    fix="use the version of ray-pipeline that wrote it",
                )
            ) from error
        return cls(
            folder=folder,
            fingerprint=actual,
            schema=schema,
            model=model,
            encoder=fitted,
            scorer=scorer,
            calibrator=calibrator,
            regions=regions,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a row must have; those of feature tables as `table.column`."""
        return tuple(column["name"] for column in self.schema["columns"])

    def score(self, rows: Any) -> Vector:
        """Return the scores of rows as they were before encoding.

        A column is found by its full name, or by its bare name if only one column has it. Other columns are ignored.

        Returns
        -------
        Vector
            float64: the probability of the positive class, shape (rows,); of each class, shape (rows, classes); or the
            predicted number, shape (rows,).

        Raises
        ------
        DataError
            A column is missing, occurs twice, or is of another kind than in training.
        """
        sent = SentRows(rows)
        matrix = self._matrix_of_row(sent) if sent.is_one_row else None
        return self.score_matrix(self.encoder.apply(self._selected(sent)) if matrix is None else matrix)

    def score_matrix(self, matrix: Matrix) -> Vector:
        """Return the scores, as `score` does, of encoded rows; shape (rows, features)."""
        if not len(matrix):
            return np.empty((0, len(self.schema["classes"])) if self.schema["task"] == "multiclass" else 0)
        return np.asarray(self.calibrator.apply(np.asarray(self.scorer(matrix), np.float64)), np.float64)

    def decide(self, score: Vector) -> NDArray[Any]:
        """Return the decision for each score, shape (rows,).

        It is 0 or 1 at the bundle's threshold (0.5 if it has none), the most likely class, or the number itself.
        """
        if self.schema["task"] == "binary":
            threshold = self.schema["threshold"]
            return (score >= (0.5 if threshold is None else threshold)).astype(np.int8)
        if self.schema["task"] == "multiclass":
            classes: NDArray[Any] = np.asarray(self.schema["classes"])
            return np.asarray(classes[score.argmax(axis=1)])
        return np.asarray(score)

    def predict(self, rows: Any) -> Vector:
        """Return the scores, as `score` does, of rows in the form that people have them.

        Parameters
        ----------
        rows
            An Arrow table, a pandas or polars frame, a dict of columns or of one row's values, or a list of dicts.
            Only the columns that the model needs are read.

        Raises
        ------
        DataError
            As for `score`; or the rows are no table, or a column has values of several types.
        """
        return self.score(rows)

    def select(self, rows: Any) -> pa.Table:
        """Return the bundle's columns of the rows in plain types, under full names, in the order of the schema.

        Raises
        ------
        DataError
            A column is missing, occurs twice, or is of another kind than in training.
        """
        return self._selected(SentRows(rows))

    def _selected(self, sent: SentRows) -> pa.Table:
        columns = {
            name: as_trained(name, *self._trained[name], sent.column(at))
            for name, at in self._places(sent.names).items()
        }
        if len({len(column) for column in columns.values()}) > 1:
            counts = listed(f"{name} {len(column)}" for name, column in columns.items())
            found = f"the columns are of different lengths: {counts}"
            raise DataError(Problem(stage="predict", found=found, fix="send one value of each column for each row"))
        return pa.table(columns)

    def _matrix_of_row(self, sent: SentRows) -> Matrix | None:
        """The encoded row, shape (1, columns), without a table; None where it needs one."""
        form = (sent.form, *sent.names)
        known = self._forms.get(form)
        if known is None:
            place = self._places(sent.names)
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            known = self._forms[form] = [place[name] for name in self.encoder.reads], OneRow(self.encoder)
        places, one_row = known

        def column(at: int) -> pa.ChunkedArray:
            name = self.encoder.encoded[at].name
            return as_trained(name, *self._trained[name], sent.column(places[at]))

        return one_row.matrix(sent.row(places), column)

    @cached_property
    def _forms(self) -> dict[tuple[Any, ...], tuple[list[int], OneRow]]:
        """For each form and list of names in which one row was sent: where the columns are, and what encodes them."""
        return {}

    @cached_property
    def _trained(self) -> dict[str, tuple[str, str]]:
        """What each column was in training, before a kind that the spec declares: its kind, and its type as text."""
        types = {column["name"]: column["type"] for column in self.schema["columns"]}
        kinds = {encoding.name: encoding.kind for encoding in self.encoder.encoded}
        for encoding in self.encoder.encoded:
            if encoding.declared and encoding.kind == "number":
                kinds[encoding.name] = "category"
            elif encoding.declared and re.match("half|float|double|decimal", types[encoding.name]):
                kinds[encoding.name] = "number"
        return {name: (kinds[name], type_) for name, type_ in types.items()}

    def _places(self, given: list[Any]) -> dict[str, int]:
        """Where each column of the schema is among the given names."""
        times = Counter(given)
        short_names = {name: name.rpartition(".")[2] for name in self.columns}
        same_short = Counter(short_names.values())
        sources = {
            name: name if name in times else short
            for name, short in short_names.items()
            if name in times or (short in times and same_short[short] == 1)
        }
        if missing := [name for name in self.columns if name not in sources]:
            found = (
                f"{len(missing)} of {len(self.columns)} columns are missing: {listed(missing)} (found: {listed(given)})"
            )
            fix = "bring the columns that the model was trained on; a missing value is null"
            raise DataError(Problem(stage="predict", column=missing[0], found=found, fix=fix))
        if twice := [name for name in sources.values() if times[name] > 1]:
            found = f"column {twice[0]!r} is there {times[twice[0]]} times"
            raise DataError(Problem(stage="predict", column=twice[0], found=found, fix="keep one of them"))
        place = {name: at for at, name in enumerate(given)}
        return {name: place[source] for name, source in sources.items()}


def write_bundle(
    folder: Path,
    *,
    encoder: Mapping[str, Any],
    model_file: Path,
    model: Mapping[str, Any],
    calibration: Mapping[str, Any],
    schema: Mapping[str, Any],
) -> Bundle:
    """Write a bundle to `folder` and load it; it appears whole, by rename, and replaces an earlier one.

    The same parts give the same bytes. All parts but `model_file` become JSON files.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    folder = Path(folder)
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    parts = {"encoder.json": encoder, "model.json": model, "calibration.json": calibration, "schema.json": schema}
    try:
        fresh.mkdir(parents=True)
        for name, part in parts.items():
            text = json.dumps(part, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
            (fresh / name).write_text(text + "\n", encoding="utf-8")
        shutil.copyfile(model_file, fresh / f"model{Path(model_file).suffix}")
        (fresh / SUMS).write_text(sums(fresh), encoding="utf-8")
        _replace(folder, fresh)
    except OSError as error:
        fix = "free space or allow writing, then resume the run"
        raise StorageError(Problem(file=str(folder), found=f"cannot be written: {error}", fix=fix)) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Bundle.load(folder)


def check_files(folder: Path) -> str:
    """Hash every file of a bundle and return its fingerprint, the SHA-256 of `SHA256SUMS`.

    Raises
    ------
    RegistryError
        There is no bundle, or a file is missing, unlisted, a link or changed.
    """
    if not folder.is_dir():
        fix = "name the folder `model` of a finished run, or a registered model"
        raise RegistryError(Problem(file=str(folder), found="there is no bundle here", fix=fix))
    names = {entry.name for entry in folder.iterdir()}
    model_files = sorted(filter(FILE.fullmatch, names))
    expected = {SUMS, *JSON_FILES, *(model_files[:1] or ["model.ubj"])}
    fix = "remove it, if you know where it comes from; a bundle never holds pickle"
    refuse(folder, sorted(names - expected), "is no part of a bundle", fix)
    return check_sums(folder, expected - {SUMS})


def _read(folder: Path, name: str) -> dict[str, Any]:
    """One JSON object of the bundle, in the format that this version reads."""
    file = str(folder / name)
    try:
        content = read_json(folder / name)
    except ValueError as error:
        raise RegistryError(Problem(file=file, found=f"is no JSON: {error}", fix="register the run again")) from error
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        actual = content.get("format") if isinstance(content, dict) else type(content).__name__
        found = f"has format {actual!r}; this version reads {FORMAT}"
        raise RegistryError(Problem(file=file, found=found, fix="use the version of ray-pipeline that wrote it"))
    return content


def _replace(folder: Path, fresh: Path) -> None:
    """Put `fresh` in the place of `folder`; a reader finds the old folder, the new one or, for a moment, none."""
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
