"""Find models, aliases, versions and their files by the name that a user writes. Reads only."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ray_pipeline.bundle_files import check_files
from ray_pipeline.checksums import refuse
from ray_pipeline.errors import Problem, RegistryError, listed, nearest
from ray_pipeline.registry import signature
from ray_pipeline.registry.address import ModelName

TAG = "ray_pipeline."
FOLDER = "model"
PAGE = 1000
COPY = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>\d+)")
MAX_COPIES = 10
RESTORE = "restore the registry's artifacts, or register the run again"
_FOLDERS: list[Path] = []
_COPIES: dict[Path, Path] = {}
"""The folder in the registry of each copy that this process has made."""


def all_versions(client: Any, query: str = "") -> list[Any]:
    """Return every version that matches MLflow's `query`, newest first within a model."""
    return _pages(lambda token: client.search_model_versions(query, max_results=PAGE, page_token=token))


def all_models(client: Any) -> list[Any]:
    """Return every registered model, sorted by name."""
    return sorted(
        _pages(lambda token: client.search_registered_models(max_results=PAGE, page_token=token)),
        key=lambda model: model.name,
    )


def model_of(client: Any, name: str) -> Any:
    """Return the registered model of that name.

    Raises
    ------
    RegistryError
        There is no such model; the message offers the nearest names.
    """
    models = all_models(client)
    for model in models:
        if model.name == name:
            return model
    raise unknown_model(name, [model.name for model in models])


def unknown_model(name: str, names: Sequence[str]) -> RegistryError:
    """What to say of a model that the registry lacks, where it holds those of other names."""
    known = (
        f"Known: {listed(names)}" if names else "the registry holds no model yet: `ray-pipeline run SPEC` registers one"
    )
    found = f"there is no model {name!r} in the registry"
    return RegistryError(Problem(key="MODEL", found=found, fix=f"{nearest(name, names)}{known}"))


def names_no_version(text: str, model: Mapping[str, Any]) -> RegistryError:
    """What to say of a text that names a model alone, with what names its versions.

    Parameters
    ----------
    text
        What the user wrote.
    model
        The model as `lineage.overview` has it.
    """
    name, versions = model["name"], [f"{model['name']}/{one['version']}" for one in model["versions"]]
    aliases = sorted((f"{name}@{alias}" for alias in model["aliases"]), key=lambda one: not one.endswith("@champion"))
    offered, known = [*aliases[:1], *versions[:1]], [*aliases, *versions]
    fix = f"did you mean {' or '.join(map(repr, offered))}?" if known else "it has no version yet"
    fix += f" Known: {listed(known)}" if len(known) > len(offered) else ""
    return RegistryError(Problem(key="MODEL", found=f"{text!r} names no version of a model", fix=fix))


def resolve(client: Any, wanted: ModelName) -> Any:
    """Return the version that a name means.

    Raises
    ------
    RegistryError
        There is no such model, alias or version; the message lists those that exist.
    """
    from mlflow.exceptions import MlflowException

    model = model_of(client, wanted.name)
    number = wanted.version

    def numbers() -> list[int]:
        found = all_versions(client, f"name = '{wanted.name}'")
        return sorted((int(version.version) for version in found), reverse=True)

    if wanted.alias:
        number = next((int(version) for alias, version in model.aliases.items() if alias == wanted.alias), None)
        if number is None:
            aliases = [f"{wanted.name}@{alias}" for alias in sorted(model.aliases)]
            if aliases:
                fix = f"{nearest(str(wanted), aliases)}Known: {listed(aliases)}"
            else:
                known = listed(f"{wanted.name}/{one}" for one in numbers())
                fix = f"no alias is set; name a version: {known}" if known else "it has no version yet"
            raise RegistryError(
                Problem(key="MODEL", found=f"model {wanted.name!r} has no alias {wanted.alias!r}", fix=fix)
            )
    try:
        return client.get_model_version(wanted.name, str(number))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    known = listed(numbers())
    found = f"model {wanted.name!r} has no version {number}"
    raise RegistryError(Problem(key="MODEL", found=found, fix=f"Known: {known}" if known else "it has no version yet"))


def version_of_run(client: Any, name: str, run: str) -> Any | None:
    """Return the version that a run has registered, or None."""
    return next(iter(versions_of_run(client, name, run)), None)


def versions_of_run(client: Any, name: str, run: str) -> list[Any]:
    """Return every version of a run: the one that counts first, which is complete or else the oldest."""
    found = all_versions(client, f"name = '{name}' and tags.`{TAG}run` = '{run}'")
    return sorted(found, key=lambda version: (status_of(version) == "incomplete", int(version.version)))


def status_of(version: Any) -> str:
    """Return `registered`, `refused`, `verified` or `incomplete`; `foreign` for a version of another program."""
    return str(version.tags.get(f"{TAG}status", "foreign"))


def model_folder(client: Any, version: Any) -> Path:
    """Return a copy of the version's folder that no other user can write to, until `remove_copies` is called.

    What is checked is then what is read, also where somebody replaces a file in the registry in between.

    Raises
    ------
    RegistryError
        Another program registered the version, its source is not the folder of its own run, it is incomplete, or its
        folder is a link.
    """
    label = f"{version.name}/{version.version}"
    status = status_of(version)
    if status == "foreign":
        raise RegistryError(
            Problem(key="MODEL", found=f"{label} was not registered by ray-pipeline", fix="load it with MLflow")
        )
    if status == "incomplete":
        raise RegistryError(
            Problem(
                key="MODEL",
                found=f"{label} is incomplete: its registration was interrupted, or its verification failed",
                fix=f"resume run {version.tags.get(f'{TAG}run')}",
            )
        )
    version = _original(client, version)
    root = client.get_run(version.run_id).info.artifact_uri if version.run_id else None
    if root is None or version.source != f"{root}/{FOLDER}":
        raise RegistryError(
            Problem(
                key="MODEL",
                found=f"{label} points outside its run's artifacts",
                fix="someone changed the registry; register the run again",
            )
        )
    local = local_path(root)
    return _copied(local / FOLDER) if local else downloaded(client, version.run_id)


def _copied(folder: Path) -> Path:
    """A copy of a local folder; links stay links."""
    refuse(folder.parent, [folder.name] if folder.is_symlink() else [], "is a link", RESTORE)
    copy = _temporary_folder() / FOLDER
    _COPIES[copy] = folder
    if folder.is_dir():
        try:
            shutil.copytree(folder, copy, symlinks=True)
        except (OSError, shutil.Error) as error:
            found = f"cannot be read: {error}"
            raise RegistryError(Problem(file=str(folder), found=found[:300], fix=RESTORE)) from None
    return copy


@contextmanager
def naming_originals() -> Iterator[None]:
    """In errors of the block, replace the path of a copy by that of the folder in the registry."""
    try:
        yield
    except RegistryError as error:
        raise RegistryError(map(_of_original, error.problems)) from error.__cause__


def _of_original(problem: Problem) -> Problem:
    for copy, folder in _COPIES.items():
        if problem.file is not None and Path(problem.file).is_relative_to(copy):
            return replace(problem, file=str(folder / Path(problem.file).relative_to(copy)))
    return problem


def _original(client: Any, version: Any) -> Any:
    """The version itself, or the one that it was copied from with MLflow's `copy_model_version`."""
    for _ in range(MAX_COPIES):
        copied = COPY.fullmatch(version.source or "")
        if copied is None:
            break
        version = client.get_model_version(copied["name"], copied["version"])
    return version


def bundle_folder(version: Any, model: Path) -> Path:
    """Return the folder of the bundle in a copy of the version, after its files were checked.

    Raises
    ------
    RegistryError
        A file is not as it was written, a folder is a link, or the bundle is not the one that was registered.
    """
    folder = model / "artifacts" / "bundle"
    links = [path.name for path in (folder, folder.parent) if path.is_symlink()]
    refuse(model, links, "is a link", RESTORE)
    if check_files(folder) != version.tags.get(f"{TAG}bundle"):
        raise RegistryError(
            Problem(
                file=str(folder),
                found=f"is not the bundle that was registered as {version.name}/{version.version}",
                fix=RESTORE,
            )
        )
    return folder


def signature_file(client: Any, version: Any, name: str = signature.FILE) -> Path | None:
    """Return the file with the signature of a version, on this machine; None if there is none of that name."""
    run_id, place = _original(client, version).run_id, f"{signature.FOLDER}/{name}"
    local = local_path(client.get_run(run_id).info.artifact_uri)
    if local:
        return local / place if (local / place).is_file() else None
    if place not in [file.path for file in client.list_artifacts(run_id, signature.FOLDER)]:
        return None
    return Path(client.download_artifacts(run_id, place, str(_temporary_folder())))


def local_path(uri: str) -> Path | None:
    """Return the path of a `file:` URI or a plain path, and None for any other URI."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def downloaded(client: Any, run_id: str) -> Path:
    """Download a version's folder to a temporary folder that `remove_copies` removes, and return it."""
    return Path(client.download_artifacts(run_id, FOLDER, str(_temporary_folder())))


@atexit.register
def remove_copies() -> None:
    """Remove the copies and downloads of this process; called when it ends."""
    while _FOLDERS:
        shutil.rmtree(_FOLDERS.pop(), ignore_errors=True)


def remove_copy(inside: Path) -> None:
    """Remove the copy or download that this path is in, which is not needed any more."""
    for folder in [folder for folder in _FOLDERS if inside.is_relative_to(folder)]:
        _FOLDERS.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    """A folder that no other user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="ray_pipeline-"))
    _FOLDERS.append(folder)
    return folder


def _pages(search: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found
