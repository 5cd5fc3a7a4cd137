"""The registry of models, which is MLflow: sqlite by default, any tracking server or database by its address. Only the
driver writes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import champion_history as champion
from ray_pipeline.registry import lineage, verify, versions
from ray_pipeline.registry import preflight as reach
from ray_pipeline.registry.address import ModelName, absolute, default_uri, hidden, sqlite_file
from ray_pipeline.registry.mlflow_session import client, mlflow_session
from ray_pipeline.registry.publish import Record, register
from ray_pipeline.registry.sqlite_listing import list_sqlite
from ray_pipeline.runtime.background import in_background
from ray_pipeline.values import Vector

CHAMPION = champion.CHAMPION


@dataclass(frozen=True)
class Registry:
    """One registry by its address; `artifacts` is where a sqlite registry keeps its files (default: `mlartifacts`
    beside it).

    Every method raises `RegistryError` (exit 5) where the registry does not answer, or lacks what was asked for.
    """

    uri: str
    artifacts: str | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", absolute(self.uri))

    @classmethod
    def default(cls, *, debug: bool = False) -> "Registry":
        """The registry that RAY_PIPELINE_REGISTRY or MLFLOW_TRACKING_URI names, else `./runs/mlflow.db`."""
        return cls(default_uri(), debug=debug)

    def check(self) -> None:
        """Returns once it is sure that the registry may be written: a server within 15 s, a sqlite file in
        milliseconds, without MLflow."""
        if sqlite_file(self.uri) is None:
            self.prepare()
        else:
            reach.prepare(self.uri, lambda: None)

    @contextmanager
    def preparing(self) -> Iterator[Callable[[], None]]:
        """Checks, then prepares in another thread while the block lasts; gives what waits for that."""
        self.check()
        with in_background(self.prepare) as ready:
            yield ready

    def prepare(self) -> None:
        """Returns once the registry has answered and may be written: within 15 s, or up to 60 s where a sqlite file is
        locked.

        Creates the sqlite file with MLflow's schema; any number of processes may ask at once.
        """
        with mlflow_session(self.uri, retries=1, timeout_s=5, debug=self.debug):
            reach.prepare(self.uri, lambda: client(self.uri).search_registered_models(max_results=1))

    def register(
        self,
        name: str,
        bundle_folder: Path,
        *,
        run: str,
        alias: str | None,
        scorecard: Mapping[str, Any] | None,
        sample: pa.Table,
        scores: Vector,
        spec_text: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        data: Mapping[str, Any],
        report: Path | None,
        files: Sequence[Path] = (),
    ) -> int:
        """The version of this run: written whole, proved in a fresh process, and only then given its alias.

        The same run registers once, however often it is asked. Without a passed `scorecard` the version is marked
        refused and
        gets no alias.

        Args:
            name: of the registered model, and of its MLflow experiment.
            bundle_folder: as `write_bundle` left it.
            run: the run's id; a second call with it gives the version there is.
            alias: what shall point to the version.
            scorecard: `scorecard.json`, with `passed`; None where nothing was judged.
            sample: some rows as they were before encoding, and
            scores: the training run's float64 scores of them; the version must repeat them bit for bit.
            spec_text: the rendered spec.
            tags: more for the version, such as `fingerprint`, `data` and `family`; each becomes `ray_pipeline.<key>`.
            metrics: overall values on the test part; those not finite are left out.
            params: hyperparameters of the model.
            data: lineage of the rows, with `fingerprint`.
            report: `report.html`.
            files: more of the run's plain files, stored beside it.

        Raises:
            RegistryError: also where a stored row scores differently, or the run is registered already with another
                model.
        """
        bundle = Bundle.load(bundle_folder)
        if not self._exists():
            self.prepare()
        every_file = (*files, report) if report else tuple(files)
        record = Record(name, run, alias, scorecard, spec_text, tags, metrics, params, data, every_file)
        with self._client() as mlflow:
            return register(mlflow, self.uri, self._artifacts(), bundle, record, sample, scores)

    def champion(self, name: str, alias: str = CHAMPION) -> tuple[int, Path] | None:
        """The version that bears the alias and its checked bundle on this machine; None where there is none yet."""
        if not self._exists():
            return None
        with self._client() as mlflow:
            if not any(model.name == name and alias in model.aliases for model in versions.all_models(mlflow)):
                return None
            version = versions.resolve(mlflow, ModelName(name, alias))
            return int(version.version), versions.bundle_of(mlflow, version)

    def fetch(self, model: str) -> Path:
        """The checked bundle of `name@alias`, `name/version` or `models:/...`, on this machine."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow:
            return versions.bundle_of(mlflow, versions.resolve(mlflow, wanted))

    def list(self) -> list[dict[str, Any]]:
        """Every model: `name`, `aliases` {alias: version} and `versions`, newest first, each with its status and
        lineage in short."""
        if not self._exists():
            return []
        file = sqlite_file(self.uri)
        if file and (found := list_sqlite(file)):
            return lineage.overview(*found)
        with self._client() as mlflow:
            return lineage.overview(versions.all_models(mlflow), versions.all_versions(mlflow))

    def show(self, model: str) -> dict[str, Any]:
        """All that is known of one version: status, aliases, metrics, gates, lineage, and the champion's journal."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow:
            return lineage.detail(mlflow, versions.resolve(mlflow, wanted))

    def verify(self, model: str) -> dict[str, Any]:
        """The proof, anew: `files` re-hashed, `rows` re-scored bit for bit in a fresh process. Raises naming the first
        difference."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow:
            version = versions.resolve(mlflow, wanted)
            folder = versions.files_of(mlflow, version)
            proof = verify.verify(folder, fingerprint=version.tags.get(f"{versions.TAG}sha256"), shipped=False)
            versions.bundle_of(mlflow, version)
            return {"model": f"models:/{version.name}/{version.version}", "version": int(version.version), **proof}

    def promote(self, model: str, *, force: bool = False, reason: str | None = None) -> dict[str, Any]:
        """The move of `champion` to this version: `action`, `from`, `to`, `who`, `when`, `why`. Its bundle is checked
        first."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow, reach.writing(self.uri):
            version = versions.resolve(mlflow, wanted)
            if versions.status_of(version) != "foreign":
                versions.bundle_of(mlflow, version)
            return champion.promote(mlflow, version, force=force, reason=reason)

    def rollback(self, name: str, *, reason: str | None = None) -> dict[str, Any]:
        """The move of `champion` back to the one before, in the same form."""
        with self._client() as mlflow, reach.writing(self.uri):
            return champion.rollback(mlflow, name, reason=reason)

    def attach(self, model: str, file: str, content: Mapping[str, Any]) -> None:
        """Stores a later judgement with the version, dated; from `scorecard.json` on, `promote` goes by the new
        verdict."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow, reach.writing(self.uri):
            lineage.attach(mlflow, versions.resolve(mlflow, wanted), file, content)

    def file(self, model: str, name: str) -> dict[str, Any] | None:
        """A JSON file that the version's run left beside it; None where there is none."""
        wanted = ModelName.parse(model)
        with self._client() as mlflow:
            return lineage.file_of(mlflow, versions.resolve(mlflow, wanted).run_id, name)

    def revoke(self, model: str, *, reason: str) -> dict[str, Any]:
        """Takes the alias by which the model is named away from its version; the move, journalled where it was
        `champion`."""
        wanted = ModelName.parse(model)
        if wanted.alias is None:
            raise RegistryError(
                Problem(
                    key="MODEL",
                    found=f"{model!r} names a version and no alias that could be revoked",
                    fix="name it by its alias, as in name@champion",
                )
            )
        with self._client() as mlflow, reach.writing(self.uri):
            return champion.revoke(mlflow, versions.resolve(mlflow, wanted), wanted.alias, reason=reason)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """MLflow's client, quiet and patient for seconds."""
        if not self._exists():
            raise RegistryError(
                Problem(
                    key="registry",
                    found=f"there is no registry {hidden(self.uri)}",
                    fix="name it with --registry, or run a pipeline: the first run makes it",
                )
            )
        with mlflow_session(self.uri, debug=self.debug):
            yield client(self.uri)

    def _exists(self) -> bool:
        """False only for a sqlite file that is not there: reading does not make one."""
        file = sqlite_file(self.uri)
        return file is None or file.exists()

    def _artifacts(self) -> str | None:
        """Where the files of a new experiment go: beside a sqlite file; None leaves it to the server."""
        file = sqlite_file(self.uri)
        if self.artifacts is None:
            return (file.parent / "mlartifacts").as_uri() if file else None
        return self.artifacts if "://" in self.artifacts else Path(self.artifacts).absolute().as_uri()
