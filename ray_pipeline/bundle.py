"""The bundle: a folder of plain files that scores rows exactly as training did, without Ray and without pickle.

`SHA256SUMS` lists every file. Each is hashed before anything is parsed, and a file that is not listed is refused.
"""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.bundle_files import FORMAT, check_files, read_part
from ray_pipeline.bundle_members import MEMBERS, MEMBERS_FILE, Member, Members
from ray_pipeline.bundle_regions import RegionScoring
from ray_pipeline.checksums import SUMS, sums
from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.calibrators._base import load as load_calibrator
from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.models._base import Scorer
from ray_pipeline.conformal import Calibration
from ray_pipeline.errors import Problem, RegistryError, StorageError
from ray_pipeline.folder_exchange import put_in_place
from ray_pipeline.row_reader import RowReader
from ray_pipeline.rows_to_score import SentRows
from ray_pipeline.unexpected import one_line
from ray_pipeline.values import Matrix, Task, Vector, decide


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
    quantiles: Scorer | None = None
    """What predicts the quantiles, where `regions` follow from them."""

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
            read_part(folder, name) for name in ("schema.json", "model.json", "encoder.json", "calibration.json")
        )
        members = read_part(folder, MEMBERS_FILE) if (folder / MEMBERS_FILE).is_file() else None
        part = "encoder.json"
        try:
            fitted = Encoder.from_json(encoder)
            part = "calibration.json"
            calibrator = load_calibrator(calibration)
            part = "schema.json"
            _check_schema(schema)
            regions = Calibration.from_json(schema["intervals"]) if schema.get("intervals") else None
            part = MEMBERS_FILE if members else "model.json"
            if members:
                scorer: Scorer = Members(folder, [Member.from_json(one) for one in members["members"]])
            else:
                scorer = find("models", model["family"]).load(folder)
            scorer(np.zeros((1, len(fitted.cardinalities)), np.float32))  # a model of other columns is refused
            by_quantiles = regions is not None and regions.by_quantiles
            quantiles = find("models", model["family"]).quantiles(folder) if by_quantiles else None
        except Exception as error:  # the libraries of the families have errors of their own
            raise RegistryError(
                Problem(
                    file=str(folder / part),
                    found=f"cannot be read: {one_line(error)}",
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
            quantiles=quantiles,
        )

    @property
    def families(self) -> tuple[str, ...]:
        """The families of its models, each once."""
        if isinstance(self.scorer, Members):
            return tuple(dict.fromkeys(member.family for member in self.scorer.members))
        return (str(self.model["family"]),)

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files, by path."""
        return tuple(sorted((file for file in self.folder.rglob("*") if file.is_file()), key=Path.as_posix))

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return what each matrix column adds to each row's score, shape (n, d); None where a family cannot say."""
        if isinstance(self.scorer, Members):
            return self.scorer.contributions(matrix)
        return find("models", str(self.model["family"])).contributions(self.folder, matrix)  # type: ignore[no-any-return]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a row must have; those of feature tables as `table.column`."""
        return tuple(column["name"] for column in self.schema["columns"])

    @property
    def types(self) -> dict[str, str]:
        """The types in training, as Arrow writes them, of these columns and of a label that is one."""
        label = {self.schema["label"].removeprefix("labels."): self.schema.get("label_type")}
        known = {**label, **{column["name"]: column["type"] for column in self.schema["columns"]}}
        return {name: type_ for name, type_ in known.items() if type_ is not None}

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
        return self.score_matrix(self._reader.matrix(SentRows(rows)))

    def score_matrix(self, matrix: Matrix) -> Vector:
        """Return the scores, as `score` does, of encoded rows; shape (rows, features)."""
        if not len(matrix):
            return np.empty((0, len(self.schema["classes"])) if self.schema["task"] == "multiclass" else 0)
        return np.asarray(self.calibrator.apply(np.asarray(self.scorer(matrix), np.float64)), np.float64)

    def decide(self, score: Vector) -> NDArray[Any]:
        """Return the decision for each score, shape (rows,).

        It is 0 or 1 at the bundle's threshold (0.5 if it has none), the most likely class, or the number itself.
        """
        threshold = self.schema["threshold"]
        return decide(self.schema["task"], score, 0.5 if threshold is None else threshold, self.schema["classes"])

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
        return self._reader.table(SentRows(rows))

    def as_trained(self, rows: pa.Table) -> pa.Table:
        """Return all columns of a table with full names, those of the bundle as `select` returns them."""
        own = self.select(rows)
        return pa.table({name: own[name] if name in own.column_names else rows[name] for name in rows.column_names})

    def misfits(self, types: Mapping[str, pa.DataType]) -> list[str]:
        """Return why rows of these columns, by full name, cannot be scored; a type that is null has no values."""
        return self._reader.misfits(types)

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader({column["name"]: column["type"] for column in self.schema["columns"]}, self.encoder)


def _check_schema(schema: Mapping[str, Any]) -> None:
    """Raise `TypeError` or `KeyError` where scoring could not read the schema."""
    if not all(isinstance(column[key], str) for column in schema["columns"] for key in ("name", "type")):
        raise TypeError("a column has no name or no type")
    if schema["task"] not in get_args(Task):
        raise TypeError(f"the task is {schema['task']!r}")


def write_bundle(
    folder: Path,
    *,
    encoder: Mapping[str, Any],
    model_file: Path | Sequence[tuple[Member, Path]],
    model: Mapping[str, Any],
    calibration: Mapping[str, Any],
    schema: Mapping[str, Any],
) -> Bundle:
    """Write a bundle to `folder` and load it; it appears whole, by rename, in place of an earlier one.

    The same parts give the same bytes. All parts but `model_file` become JSON files.

    Parameters
    ----------
    model_file
        The model's file; or several models, each with its own.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    folder = Path(folder)
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    parts = {"encoder.json": encoder, "model.json": model, "calibration.json": calibration, "schema.json": schema}
    if isinstance(model_file, Path):
        files = {f"model{model_file.suffix}": model_file}
    else:
        parts[MEMBERS_FILE] = {"format": FORMAT, "members": [member.to_json() for member, _ in model_file]}
        files = {f"{MEMBERS}/{place}/model{file.suffix}": file for place, (_, file) in enumerate(model_file)}
    try:
        fresh.mkdir(parents=True)
        for name, part in parts.items():
            text = json.dumps(part, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
            (fresh / name).write_text(text + "\n", encoding="utf-8")
        for name, file in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, fresh / name)
        (fresh / SUMS).write_text(sums(fresh), encoding="utf-8")
        put_in_place(fresh, folder)
    except OSError as error:
        fix = "free space or allow writing, then resume the run"
        raise StorageError(Problem(file=str(folder), found=f"cannot be written: {error}", fix=fix)) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Bundle.load(folder)
