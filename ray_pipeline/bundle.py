"""The bundle: a folder of plain files that scores rows exactly as training did. It needs neither Ray nor pickle.

`SHA256SUMS` names every file; each is hashed before anything is parsed, and nothing else may lie beside them.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.calibrators._base import load as load_calibrator
from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.models._base import FILE, Scorer
from ray_pipeline.errors import DataError, Problem, RegistryError, StorageError, listed
from ray_pipeline.values import Matrix, Vector

FORMAT = 1
SUMS = "SHA256SUMS"
JSON_FILES = ("calibration.json", "encoder.json", "model.json", "schema.json")


@dataclass(frozen=True)
class Bundle:
    """A trained model with all that scoring needs: encoder, model, calibrator, threshold and the schema of its rows."""

    folder: Path
    fingerprint: str
    schema: Mapping[str, Any]
    model: Mapping[str, Any]
    encoder: Encoder
    scorer: Scorer
    calibrator: Calibrator

    @classmethod
    def load(cls, folder: Path, fingerprint: str | None = None) -> Self:
        """The bundle in that folder, its files proved to be those that were written.

        Raises:
            RegistryError: a file is missing, extra, a link or changed, or (where `fingerprint` is given) the whole is
                another bundle.
        """
        folder = Path(folder).resolve()
        found = check_files(folder)
        if fingerprint not in (None, found):
            raise RegistryError(
                Problem(
                    file=str(folder / SUMS),
                    found=f"is of bundle {found[:12]}, not of {str(fingerprint)[:12]}",
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
        return cls(folder, found, schema, model, fitted, scorer, calibrator)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a row must bring; those of feature tables as `table.column`."""
        return tuple(column["name"] for column in self.schema["columns"])

    def score(self, table: pa.Table) -> Vector:
        """float64 scores, (rows,) or (rows, classes): probability of the positive class, of each class, or the number.

        A column is found by its full name, or by its bare name where only one column bears it; extra columns are
        ignored.

        Raises:
            DataError: a column is missing, twice there, or of another kind than in training.
        """
        return self.score_matrix(self.encoder.apply(self.select(table)))

    def score_matrix(self, matrix: Matrix) -> Vector:
        """The same from encoded rows."""
        if not len(matrix):
            return np.empty((0, len(self.schema["classes"])) if self.schema["task"] == "multiclass" else 0)
        return np.asarray(self.calibrator.apply(np.asarray(self.scorer(matrix), np.float64)), np.float64)

    def decide(self, score: Vector) -> NDArray[Any]:
        """What the scores mean, (rows,): 0 or 1 at the bundle's threshold (0.5 where it has none), the likeliest class,
        or the number itself."""
        if self.schema["task"] == "binary":
            threshold = self.schema["threshold"]
            return (score >= (0.5 if threshold is None else threshold)).astype(np.int8)
        if self.schema["task"] == "multiclass":
            classes: NDArray[Any] = np.asarray(self.schema["classes"])
            return np.asarray(classes[score.argmax(axis=1)])
        return np.asarray(score)

    def predict(self, rows: Any) -> Vector:
        """`score` for a pandas or polars frame, an Arrow table, a dict of columns or a list of dicts."""
        if isinstance(rows, pa.Table):
            return self.score(rows)
        try:
            table = pa.Table.from_pylist(rows) if isinstance(rows, list) else pa.table(rows)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                Problem(
                    stage="predict",
                    found=f"the rows are no table: {error}",
                    fix="give each column one type: numbers, text, booleans or times",
                )
            ) from error
        return self.score(table)

    def select(self, table: pa.Table) -> pa.Table:
        """The bundle's columns of that table, by their full names and in the order of the schema."""
        given = table.column_names
        sources = self._sources(given)
        missing = [name for name in self.columns if name not in sources]
        if missing:
            found = (
                f"{len(missing)} of {len(self.columns)} columns are missing: {listed(missing)} (found: {listed(given)})"
            )
            raise DataError(
                Problem(
                    stage="predict",
                    column=missing[0],
                    found=found,
                    fix="bring the columns that the model was trained on; a missing value is null",
                )
            )
        twice = [name for name in sources.values() if given.count(name) > 1]
        if twice:
            raise DataError(
                Problem(
                    stage="predict",
                    column=twice[0],
                    found=f"column {twice[0]!r} is there {given.count(twice[0])} times",
                    fix="keep one of them",
                )
            )
        return pa.table({name: table[sources[name]] for name in self.columns})

    def _sources(self, given: list[str]) -> dict[str, str]:
        """For each column of the schema that can be found, its name in the given table."""
        bare = [name.rpartition(".")[2] for name in self.columns]
        sources = {}
        for name, short in zip(self.columns, bare, strict=True):
            if name in given:
                sources[name] = name
            elif short in given and bare.count(short) == 1:
                sources[name] = short
        return sources


def write_bundle(
    folder: Path,
    *,
    encoder: Mapping[str, Any],
    model_file: Path,
    model: Mapping[str, Any],
    calibration: Mapping[str, Any],
    schema: Mapping[str, Any],
) -> Bundle:
    """The bundle, now in `folder`; it appears whole, by rename, in place of what was there.

    The same parts give the same bytes. Raises `StorageError` where the folder cannot be written.
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
        raise StorageError(
            Problem(
                file=str(folder),
                found=f"cannot be written: {error}",
                fix="free space or allow writing, then resume the run",
            )
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Bundle.load(folder)


def sums(folder: Path) -> str:
    """The text of `SHA256SUMS` (as `sha256sum` writes it) for every file under the folder, sorted by path, itself left
    out."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / SUMS)
    return "".join(f"{_sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files)


def check_files(folder: Path) -> str:
    """The bundle's fingerprint (SHA-256 of `SHA256SUMS`), after every file was hashed; parses nothing else."""
    if not folder.is_dir():
        raise RegistryError(
            Problem(
                file=str(folder),
                found="there is no bundle here",
                fix="name the folder `model` of a finished run, or a registered model",
            )
        )
    names = {entry.name for entry in folder.iterdir()}
    model_files = sorted(filter(FILE.fullmatch, names))
    expected = {SUMS, *JSON_FILES, *(model_files[:1] or ["model.ubj"])}
    _refuse(
        folder,
        sorted(names - expected),
        "is no part of a bundle",
        "remove it, if you know where it comes from; a bundle never holds pickle",
    )
    return check_sums(folder, expected - {SUMS})


def check_sums(folder: Path, names: set[str]) -> str:
    """SHA-256 of the folder's `SHA256SUMS`, after exactly these files (paths under the folder) were found as it says.

    Raises:
        RegistryError: naming each file that is missing, a link, unlisted or changed.
    """
    restore = "restore the folder from where it was made, or register the run again"
    wanted = sorted({SUMS, *names})
    _refuse(folder, [name for name in wanted if (folder / name).is_symlink()], "is a link", restore)
    _refuse(folder, [name for name in wanted if not (folder / name).is_file()], "is missing", restore)
    written = (folder / SUMS).read_bytes()
    lines = [line.split("  ", 1) for line in written.decode(errors="replace").splitlines() if "  " in line]
    listed_sums = {name: digest for digest, name in lines}
    _refuse(folder, sorted(names ^ set(listed_sums)), f"and {SUMS} do not agree: one of them lacks the other", restore)
    _refuse(
        folder,
        [name for name in sorted(names) if _sha256(folder / name) != listed_sums[name]],
        "was changed: its SHA-256 is not the one written with it",
        restore,
    )
    return hashlib.sha256(written).hexdigest()


def _refuse(folder: Path, names: list[str], found: str, fix: str) -> None:
    if names:
        raise RegistryError([Problem(file=str(folder / name), found=found, fix=fix) for name in names])


def _read(folder: Path, name: str) -> dict[str, Any]:
    """One JSON object of the bundle, of a format that this version reads."""
    try:
        written = json.loads((folder / name).read_bytes())
    except ValueError as error:
        raise RegistryError(
            Problem(file=str(folder / name), found=f"is no JSON: {error}", fix="register the run again")
        ) from error
    if not isinstance(written, dict) or written.get("format", FORMAT) != FORMAT:
        known = written.get("format") if isinstance(written, dict) else type(written).__name__
        raise RegistryError(
            Problem(
                file=str(folder / name),
                found=f"has format {known!r}; this version reads {FORMAT}",
                fix="use the version of ray-pipeline that wrote it",
            )
        )
    return written


def _replace(folder: Path, fresh: Path) -> None:
    """Puts `fresh` in the place of `folder`; a reader sees the old or the new one, or for a moment none."""
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
