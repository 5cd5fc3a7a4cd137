"""The registry of models, which is MLflow: a sqlite file by default, or any tracking server or database."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import champion_history, lineage, preflight, signature, verify, versions
from ray_pipeline.registry.address import ModelName, absolute, default_uri, sqlite_file
from ray_pipeline.registry.mlflow_session import client, mlflow_session
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.publish import publish
from ray_pipeline.registry.sqlite_listing import list_sqlite
from ray_pipeline.runtime.background import in_background

CHAMPION = champion_history.CHAMPION


@dataclass(frozen=True)
class Registry:
    """One registry. Only the driver process writes to it.

    Every method raises `RegistryError` (exit 5) if the registry does not answer, or lacks the model that was named.

    Parameters
    ----------
    uri
        MLflow's address: `sqlite:///path/mlflow.db`, `http(s)://host:port` or `postgresql://...`.
    artifacts
        Where a sqlite registry keeps its files; by default the folder `mlartifacts` beside it.
    debug
        Let MLflow log and warn.
    trust_keys
        Files of public keys. Where given, a bundle is used only if the holder of one of them has signed it.
    """

    uri: str
    artifacts: str | None = None
    debug: bool = False
    trust_keys: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", absolute(self.uri))

    @classmethod
    def default(cls, *, debug: bool = False, trust_keys: tuple[Path, ...] = ()) -> "Registry":
        """Return the registry of RAY_PIPELINE_REGISTRY or MLFLOW_TRACKING_URI, else that in `./runs/mlflow.db`."""
        return cls(default_uri(), debug=debug, trust_keys=trust_keys)

    def check(self) -> None:
        """Return when it is certain that the registry can be written.

        A server has 15 s to answer. A sqlite file takes milliseconds, since MLflow is not imported for it.
        """
        if sqlite_file(self.uri) is None:
            self.prepare()
        else:
            preflight.prepare(self.uri, lambda _: None)

    @contextmanager
    def preparing(self) -> Iterator[Callable[[], None]]:
        """Check the registry, then prepare it in another thread; yield a function that waits for the thread."""
        self.check()
        with in_background(self.prepare) as ready:
            yield ready

    def prepare(self) -> None:
        """Return when the registry has answered and can be written; a sqlite file is created with MLflow's schema.

        A server has 15 s to answer. A locked sqlite file is waited for, up to 60 s. Many processes may call this at
        the same time.
        """
        with mlflow_session(self.uri, retries=1, timeout_s=5, debug=self.debug):
            preflight.prepare(self.uri, lambda uri: client(uri).search_registered_models(max_results=1))

    def register(self, version: NewVersion) -> int:
        """Store a version whole, prove it in a fresh process, then give it its alias; return its number.

        A run registers once, however often this is called. If the scorecard has not passed, the version is marked
        refused and gets no alias.

        Raises
        ------
        RegistryError
            The stored version scores a row of the sample differently; or the run has already registered another model.
        """
        bundle = Bundle.load(version.bundle_folder)
        if not self._exists():
            self.prepare()
        with self._client(preflight.LOCK_S) as mlflow:
            return publish(mlflow, self.uri, self._artifacts(), bundle, version)

    def champion(self, name: str, alias: str = CHAMPION) -> tuple[int, Path] | None:
        """Return the number and the checked bundle folder of the version with the alias; None if no version has it."""
        if not self._exists():
            return None
        with self._client() as mlflow:
            if not any(model.name == name and alias in model.aliases for model in versions.all_models(mlflow)):
                return None
            version = versions.resolve(mlflow, ModelName(name=name, alias=alias))
            return int(version.version), self._bundle(mlflow, version)

    def fetch(self, model: str) -> Path:
        """Return the checked bundle folder of a version, on this machine."""
        with self._version(model) as (mlflow, version):
            return self._bundle(mlflow, version)

    def list(self) -> list[dict[str, Any]]:
        """Return every model: its `name`, `aliases` {alias: version} and `versions` with their status, newest first."""
        if not self._exists():
            return []
        file = sqlite_file(self.uri)
        if file:
            preflight.readable(file)
            if listing := list_sqlite(file):
                return lineage.overview(*listing)
        with self._client() as mlflow:
            return lineage.overview(versions.all_models(mlflow), versions.all_versions(mlflow))

    def show(self, model: str) -> dict[str, Any]:
        """Return all that is known of a version: status, aliases, metrics, gates, lineage and the champion's moves."""
        with self._version(model) as (mlflow, version):
            return lineage.detail(mlflow, version)

    def verify(self, model: str) -> dict[str, Any]:
        """Hash the version's files again, score its stored rows again in a fresh process, and return the counts.

        Raises
        ------
        RegistryError
            A file, or a bit of a score, is not what was stored; the message names the first.
        """
        with self._version(model) as (mlflow, version):
            folder = versions.model_folder(mlflow, version)
            if self.trust_keys:  # before anything of it is parsed
                self._checked(mlflow, version, folder)
            fingerprint = version.tags.get(f"{versions.TAG}sha256", "")
            with verify.scoring_process() as process:
                proof = verify.verify(folder, process, fingerprint=fingerprint, shipped=False)
            self._checked(mlflow, version, folder)
            return {"model": f"models:/{version.name}/{version.version}", "version": int(version.version), **proof}

    def promote(self, model: str, *, force: bool = False, reason: str | None = None) -> dict[str, Any]:
        """Make a version champion, after its bundle was checked, and return the move.

        The move has `action`, `from`, `to`, `who`, `when` and `why`.

        Raises
        ------
        RegistryError
            The scorecard has not passed, and `force` and `reason` are not both given.
        """
        with self._version(model, write=True) as (mlflow, version):
            self._refuse_damaged(mlflow, version)
            return champion_history.promote(mlflow, version, force=force, reason=reason)

    def rollback(self, name: str, *, reason: str | None = None) -> dict[str, Any]:
        """Make the champion before the present one champion again, after its bundle was checked, and return the move.

        Raises
        ------
        RegistryError
            There was none; or its bundle is damaged, or not signed by a trusted key.
        """
        with self._client(preflight.LOCK_S) as mlflow, preflight.writing(self.uri):
            number = champion_history.earlier_champion(versions.model_of(mlflow, name))
            self._refuse_damaged(mlflow, versions.resolve(mlflow, ModelName(name=name, version=number)))
            return champion_history.rollback(mlflow, name, reason=reason)

    def attach(self, model: str, file: str, content: Mapping[str, Any]) -> None:
        """Store a JSON file with a version and its date; `scorecard.json` becomes the verdict that `promote` reads."""
        with self._version(model, write=True) as (mlflow, version):
            lineage.attach(mlflow, version, file, content)

    def file(self, model: str, name: str) -> dict[str, Any] | None:
        """Return the object in a JSON file that the run has stored beside the version; None if there is none."""
        with self._version(model) as (mlflow, version):
            return lineage.json_file(mlflow, version.run_id, name)

    def revoke(self, model: str, *, reason: str) -> dict[str, Any]:
        """Take the alias that names the model away from its version, and return the move.

        Raises
        ------
        RegistryError
            The model is not named by an alias.
        """
        alias = ModelName.parse(model).alias
        if alias is None:
            raise RegistryError(
                Problem(
                    key="MODEL",
                    found=f"{model!r} names a version and no alias that could be revoked",
                    fix="name it by its alias, as in name@champion",
                )
            )
        with self._version(model, write=True) as (mlflow, version):
            return champion_history.revoke(mlflow, version, alias, reason=reason)

    def _refuse_damaged(self, mlflow: Any, version: Any) -> None:
        """Raise `RegistryError` if the bundle of a version is damaged, or not signed where keys are trusted."""
        if self.trust_keys or versions.status_of(version) != "foreign":
            self._bundle(mlflow, version)

    def _bundle(self, mlflow: Any, version: Any) -> Path:
        """A copy of the bundle of a version, checked."""
        return self._checked(mlflow, version, versions.model_folder(mlflow, version))

    def _checked(self, mlflow: Any, version: Any, model: Path) -> Path:
        """The bundle in a copy of a version, after its files were checked, and its signature where keys are trusted."""
        folder = versions.bundle_folder(version, model)
        if self.trust_keys:
            signed, file = model, versions.signature_file(mlflow, version)
            if file is None:
                signed, file = folder, versions.signature_file(mlflow, version, signature.FILE_OF_BUNDLE)
            signature.check(signed, file, self.trust_keys)
        return folder

    @contextmanager
    def _version(self, model: str, *, write: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield MLflow's client and the version that a name means; with `write`, no other process of ours writes."""
        wanted = self._named(model)
        patience_s = preflight.LOCK_S if write else None
        with self._client(patience_s) as mlflow, preflight.writing(self.uri) if write else nullcontext():
            yield mlflow, versions.resolve(mlflow, wanted)

    def _named(self, text: str) -> ModelName:
        """The version that a text names; of a bare name, the error lists what there is."""
        name = ModelName.bare(text)
        if name and self._exists():
            models = self.list()
            model = next((one for one in models if one["name"] == name), None)
            if model is None:
                raise versions.unknown_model(name, [one["name"] for one in models])
            raise versions.names_no_version(text, model)
        return ModelName.parse(text)

    @contextmanager
    def _client(self, patience_s: float | None = None) -> Iterator[Any]:
        """Yield MLflow's client inside a session; a locked sqlite file is waited for `BUSY_S` seconds unless given."""
        if not self._exists():
            raise RegistryError(
                Problem(
                    key="registry",
                    found=f"there is no registry {self.uri}",
                    fix="name another with --registry, or run a pipeline: the first run creates it",
                )
            )
        file = sqlite_file(self.uri)
        if file:
            preflight.readable(file, patience_s)  # before the import of MLflow, which takes two seconds
        with mlflow_session(self.uri, debug=self.debug):
            mlflow = client(self.uri)
            if file is None:
                preflight.answers(self.uri, lambda: mlflow.search_registered_models(max_results=1))
            with versions.naming_originals():
                yield mlflow

    def _exists(self) -> bool:
        """False only for a sqlite file that does not exist or is empty: reading must not create tables in it."""
        file = sqlite_file(self.uri)
        return file is None or (file.exists() and (not file.is_file() or file.stat().st_size > 0))

    def _artifacts(self) -> str | None:
        """Where the files of a new experiment go: beside a sqlite file; None leaves the choice to the server."""
        file = sqlite_file(self.uri)
        if self.artifacts is None:
            return (file.parent / "mlartifacts").as_uri() if file else None
        return self.artifacts if "://" in self.artifacts else Path(self.artifacts).absolute().as_uri()
