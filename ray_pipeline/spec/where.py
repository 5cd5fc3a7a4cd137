"""The cluster file: where a spec runs. It is never part of a run's identity."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PrivateAttr, ValidationError

from ray_pipeline.duration import Duration, write_duration
from ray_pipeline.errors import Problem, SpecError, listed, nearest
from ray_pipeline.spec.environment import expand
from ray_pipeline.spec.field_types import Columns, Real, Section, Whole, path, refuse_credentials, shown
from ray_pipeline.spec.hooks import Hooks, Lineage
from ray_pipeline.spec.messages import problems
from ray_pipeline.spec.yaml_file import read_yaml

KEYS = "address, storage, registry"
MAX_MEMORY = 2**63
MIN_PATIENCE = timedelta(seconds=10)
CACHE_BYTES = 12 << 30
ON = "RAY_PIPELINE_ON"
"""The environment variable with the `--on` of the `submit` that started this job."""
REGISTRIES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")
_SIZES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def _address(written: str) -> str:
    address = expand(written)
    if address.startswith("ray://"):
        raise ValueError(
            "Ray Client (ray://) is not supported; write `auto` or host:6379 on the cluster, or submit the run as a job"
            " (`jobs: http://host:8265`)"
        )
    if address not in ("local", "auto") and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):\d{1,5}", address):
        raise ValueError(f"expected `local`, `auto` or host:6379, got {written!r}")
    return address


def _jobs(written: str) -> str:
    expanded = expand(written)
    refuse_credentials(expanded)
    if not re.fullmatch(r"https?://[^/?#]+/?", expanded):
        raise ValueError(f"expected http://host:8265, got {written!r}")
    return expanded.rstrip("/")


def _registry(written: str) -> str:
    expanded = expand(written)
    refuse_credentials(expanded)
    scheme = urlsplit(expanded).scheme.partition("+")[0]
    if scheme in ("", "file"):
        raise ValueError(
            f"{written!r} is a folder, and MLflow no longer keeps a registry in plain files; write"
            " sqlite:///path/mlflow.db"
        )
    if scheme not in REGISTRIES:
        raise ValueError(
            f"there is no scheme {scheme!r} for a registry; {nearest(scheme, REGISTRIES)}Known: {', '.join(REGISTRIES)}"
        )
    return expanded


def _cache(written: object) -> object:
    if written == 0 and not isinstance(written, bool):
        return 0
    size = _memory(written)
    if size == "auto":
        raise ValueError("expected a size like 12GiB, or 0 for no cache, got 'auto'")
    return size


def _memory(written: object) -> object:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?", written.strip()) if isinstance(written, str) else None
    if written == "auto" or (isinstance(written, int) and not isinstance(written, bool) and 0 < written < MAX_MEMORY):
        return written
    size = float(match[1]) * _SIZES[match[2] or ""] if match else 0.0
    if not 0 < size < MAX_MEMORY:
        raise ValueError(f"expected `auto` or a size like 8GiB, got {shown(written)}")
    return int(size)


def _or_auto(number: Whole | Real) -> BeforeValidator:
    """Reads `auto` or the number."""

    def read(written: object) -> object:
        if written in ("auto", None):
            return "auto"
        try:
            return number.read(written) if isinstance(number, Real) else number.check(written)
        except ValueError as error:
            raise ValueError(f"{error}; or write `auto`") from None

    return BeforeValidator(read)


def _dotted_names(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((name for name in names if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name)), None)
    if wrong is not None:
        raise ValueError(f"expected the dotted name of a package, got {wrong!r}")
    return names


def _key_files(written: tuple[str, ...]) -> tuple[str, ...]:
    for one in written:
        if "://" in path(one):
            raise ValueError(f"expected paths of files on this machine, got {one!r}")
    return written


def _patience(length: timedelta) -> timedelta:
    if length < MIN_PATIENCE:
        raise ValueError(f"expected at least {write_duration(MIN_PATIENCE)}, got {write_duration(length)}")
    return length


Count = Annotated[int | Literal["auto"], _or_auto(Whole(1, 100_000))]


class Where(Section):
    """Which cluster runs a spec, where data, runs and registry are, and what a trial may use (`auto` by default)."""

    address: Annotated[str, AfterValidator(_address)] = "local"
    """The Ray to use: `local` starts one, `auto` finds the one of this machine."""
    jobs: Annotated[str, AfterValidator(_jobs)] | None = None
    """The job server of Ray, for `submit`, `status`, `logs` and `stop`."""
    data: Annotated[str, AfterValidator(path)] | None = None
    """The root of the spec's relative data paths. By default the folder of the spec."""
    storage: Annotated[str, AfterValidator(path)] = "./runs"
    """The folder or URI of the runs."""
    registry: Annotated[str, AfterValidator(_registry)] | None = None
    """The address of MLflow. Default: a sqlite file in the storage; required if the storage is a URI."""
    cpus_per_worker: Count = "auto"
    """CPUs of one worker."""
    workers_per_trial: Count = "auto"
    """Workers that train one trial together."""
    gpus_per_worker: Annotated[float | Literal["auto"], _or_auto(Real(0, 1000))] = "auto"
    """GPUs of one worker."""
    concurrent_trials: Count = "auto"
    """Trials that run at once."""
    memory: Annotated[int | Literal["auto"], BeforeValidator(_memory)] = "auto"
    """Memory of one worker."""
    start_within: Annotated[Duration, AfterValidator(_patience)] = timedelta(minutes=1)
    """A run waits so long for a free CPU of the cluster, such as for a node that an autoscaler starts."""
    stall_after: Annotated[Duration, AfterValidator(_patience)] = timedelta(minutes=10)
    """A worker without progress for so long is killed, and its work is done again; so long a query may give no row."""
    cache: Annotated[int, BeforeValidator(_cache)] = CACHE_BYTES
    """Bytes of encoded rows that are kept for later runs; 0 keeps none."""
    trust_keys: Annotated[Columns, AfterValidator(_key_files)] = ()
    """PEM files of public keys: only models that the holder of one of them has signed are used."""
    trust: Annotated[Columns, AfterValidator(_dotted_names)] = ()
    """Packages whose classes a spec may name; nothing else is imported."""
    hooks: Hooks = Hooks()
    """Commands that are run, and URLs that get a POST, when something happens to a model."""
    lineage: Lineage | None = None
    """The URL or the file that gets the OpenLineage events of each run."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _on: str | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Whether both name the same places, however the user named the file."""
        return isinstance(other, Where) and self._folder == other._folder and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def on(self) -> str | None:
        """What the user gave as `--on`, for the commands that messages suggest; in a job, to `submit`."""
        return os.environ.get(ON) or self._on

    @classmethod
    def find(cls, on: str | None, beside: Path) -> Self:
        """The cluster file that `--on` names.

        Parameters
        ----------
        on
            A path, or NAME for `cluster/NAME.yaml` beside the spec, or `local`, which is built in; None for `local`.
        beside
            The folder of the spec.

        Raises
        ------
        SpecError
            There is no such file, or it has problems.
        """
        where = cls._found(on, beside)
        where._on = on
        return where

    @classmethod
    def _found(cls, on: str | None, beside: Path) -> Self:
        if on is None:
            return cls()
        named = beside / "cluster" / f"{on}.yaml"
        if Path(on).is_file() or on.endswith((".yaml", ".yml")) or "/" in on:
            return cls.from_file(Path(on))
        if re.fullmatch(r"[\w.-]+", on) and named.is_file():
            return cls.from_file(named)
        if on == "local":
            return cls()
        known = ["local", *sorted(one.stem for one in (beside / "cluster").glob("*.yaml") if one.stem != "local")]
        raise SpecError(
            Problem(
                key="--on",
                found=f"there is no cluster file {on!r}; {nearest(on, known)}Known: {listed(known)}",
                fix=f"write a path, or make {named}",
            )
        )

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """The cluster file at the path; raises `SpecError` with every problem."""
        source = read_yaml(file, KEYS)
        try:
            where = cls.model_validate(source.data)
        except ValidationError as error:
            raise SpecError(problems(error, cls, source)) from None
        if "://" in where.storage and where.registry is None:
            raise SpecError(
                Problem(
                    file=source.file,
                    line=source.line(("storage",)),
                    key="registry",
                    found="it is required where storage is a URI",
                    fix="add `registry: http://host:5000` or a database",
                )
            )
        where._folder = file.resolve().parent
        return where

    def with_absolute_paths(self, base: Path, here: Path) -> Self:
        """The same with absolute paths, for another machine. A path that starts with `${env:NAME}` stays as written.

        Parameters
        ----------
        base
            The folder of the spec, where `data` starts.
        here
            The folder where `storage` and `registry` start.
        """
        changes: dict[str, Any] = {"storage": self.storage_folder(here)} if not self.storage.startswith("${") else {}
        if self.data and not self.data.startswith("${"):
            changes["data"] = self.resolve("", base)
        if self.registry:
            changes["registry"] = self.registry_uri(here)
        if self.trust_keys:
            changes["trust_keys"] = tuple(map(str, self.key_files()))
        if self.lineage and "://" not in self.lineage and not self.lineage.startswith("${"):
            changes["lineage"] = self.lineage_sink()
        return self.model_copy(update=changes)

    def as_stored(self, base: Path, here: Path) -> dict[str, Any]:
        """What a run folder keeps of it: `with_absolute_paths` as JSON, without `hooks` and `lineage`.

        Who can write to a run folder must not choose the commands that a resumed run starts.
        """
        stored = self.with_absolute_paths(base, here)
        return stored.model_dump(mode="json", exclude={"hooks", "lineage"})

    def key_files(self) -> tuple[Path, ...]:
        """The absolute paths of `trust_keys`; a relative one starts at the folder of the cluster file."""
        return tuple(Path(_absolute(expand(file), self._folder)) for file in self.trust_keys)

    def lineage_sink(self) -> str | None:
        """The URL or absolute file of `lineage`; a relative file starts at the folder of the cluster file."""
        return _absolute(expand(self.lineage), self._folder) if self.lineage else None

    @property
    def folder(self) -> Path:
        """The folder of the cluster file, where commands of `hooks` are run."""
        return self._folder

    def storage_folder(self, base: Path) -> str:
        """The absolute folder or URI of the runs; a relative folder starts at `base`."""
        return _absolute(expand(self.storage), base)

    def registry_uri(self, base: Path) -> str:
        """The address of MLflow; by default a sqlite file in the storage folder. A relative path starts at `base`."""
        if self.registry is None:
            return f"sqlite:///{self.storage_folder(base)}/mlflow.db"
        scheme, separator, file = self.registry.partition(":///")
        return (
            f"{scheme}{separator}{_absolute(file, base)}"
            if scheme.startswith("sqlite") and separator
            else self.registry
        )

    def resolve(self, path: str, base: Path) -> str:
        """The absolute form of a data path of the spec.

        Parameters
        ----------
        path
            As the spec writes it. A relative one starts at `data` if the cluster file gives it, else at `base`.
        base
            The folder of the spec. A relative `data` starts at the folder of the cluster file.
        """
        path = expand(path)
        if self.data is None or "://" in path or Path(path).is_absolute():
            return _absolute(path, base)
        root = _absolute(expand(self.data), self._folder)
        return f"{root.rstrip('/')}/{path.removeprefix('./')}" if "://" in root else _absolute(path, Path(root))


def _absolute(path: str, base: Path) -> str:
    # Lexical: a link stays a link, and `..` is removed.
    return path if "://" in path else os.path.abspath(base / Path(path).expanduser())  # noqa: PTH100
