"""The files of a bundle: which there are, that each has its sum, and JSON in the format that this version reads."""

from pathlib import Path
from typing import Any

from ray_pipeline.bundle_members import MEMBERS, MEMBERS_FILE, member_files
from ray_pipeline.checksums import SUMS, check_sums, refuse
from ray_pipeline.components.models._base import FILE
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.plain_json import read_json

FORMAT = 1
JSON_FILES = ("calibration.json", "encoder.json", "model.json", "schema.json")


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
    model_files, others = {*sorted(filter(FILE.fullmatch, names))[:1]}, set[str]()
    if MEMBERS_FILE in names:
        model_files, others = member_files(folder)
        model_files |= {MEMBERS_FILE}
        names.discard(MEMBERS)
    expected = {SUMS, *JSON_FILES, *(model_files or {"model.ubj"})}
    fix = "remove it, if you know where it comes from; a bundle never holds pickle"
    refuse(folder, sorted((names - expected) | others), "is no part of a bundle", fix)
    return check_sums(folder, expected - {SUMS})


def read_part(folder: Path, name: str) -> dict[str, Any]:
    """Read one JSON object of the bundle.

    Raises
    ------
    RegistryError
        It is no JSON, or of a format that this version does not read.
    """
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
