"""A bucket and an MLflow server in a simulated world: requests and answers get lost, come twice, or come late."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from mlflow.exceptions import MlflowException
from simulated_world import Crash, World

TAG = "ray_pipeline."


class Unanswered(Exception):
    """The bucket gives no answer in time."""


class Bucket:
    """Objects by key, each with a version, as `BucketBackend` shows them; one for all processes."""

    failures = (Unanswered,)

    def __init__(self, world: World) -> None:
        self.world, self.objects, self.versions = world, dict[str, tuple[bytes, int]](), 0

    def explain(self, error: Exception) -> tuple[str, str]:
        return "no answer", "resume"

    def put(self, key: str, *parts: bytes | pa.Buffer) -> None:
        content = b"".join(bytes(memoryview(part).cast("B")) for part in parts)
        self._sent(lambda: self._set(key, content), torn=(key, content))

    def create(self, key: str, content: bytes) -> bool:
        return self.swap(key, content, None) is not None

    def swap(self, key: str, content: bytes, version: Any, timeout_s: float = 0.0) -> Any:
        def change() -> Any:
            if self._version(key) != version:
                return None
            self._set(key, content)
            return self._version(key)

        if self.world.chance("late"):
            self.world.later(change)  # a first request that hangs in the network; the client sends a second one
        return self._sent(change)

    def get_with_version(self, key: str, timeout_s: float = 0.0) -> tuple[bytes, Any] | None:
        def get() -> tuple[bytes, Any] | None:
            return (self.objects[key][0], self._version(key)) if key in self.objects else None

        return self._sent(get)

    def get_many(self, keys: list[str]) -> list[pa.Buffer | None]:
        return self._sent(lambda: [pa.py_buffer(self.objects[key][0]) if key in self.objects else None for key in keys])

    def exists(self, key: str) -> bool:
        return self._sent(lambda: key in self.objects)

    def keys(self, prefix: str) -> list[str]:
        return self._sent(
            lambda: sorted(key for key in self.objects if f"{key}/".startswith(f"{prefix}/" * bool(prefix)))
        )

    def folders(self) -> list[str]:
        return self._sent(lambda: sorted({key.partition("/")[0] for key in self.objects if "/" in key}))

    def remove(self, key: str) -> None:
        def remove() -> None:
            for found in [one for one in self.objects if f"{one}/".startswith(f"{key}/")]:
                del self.objects[found]

        self._sent(remove)

    def use(self, folder: str) -> Any:
        return nullcontext()

    def evict(self, max_folders: int) -> list[str]:
        return []

    def _version(self, key: str) -> Any:
        return {"e_tag": self.objects[key][1]} if key in self.objects else None

    def _set(self, key: str, content: bytes) -> None:
        self.versions += 1
        self.objects[key] = (content, self.versions)

    def _sent(self, request: Callable[[], Any], torn: tuple[str, bytes] | None = None) -> Any:
        """The answer to a request that may get lost, or be repeated; a new object may be cut where its writer dies."""
        try:
            self.world.step()
        except Crash:
            if torn and torn[0] not in self.objects and self._counts() and self.world.random.random() < 0.5:
                self._set(torn[0], torn[1][: self.world.random.randint(0, len(torn[1]) - 1) if torn[1] else 0])
            raise
        if self.world.chance("lost"):
            raise Unanswered
        answer = request()
        if self.world.chance("repeated"):
            answer = request()
        self.world.step()
        if self.world.chance("answer lost"):
            raise Unanswered
        return answer

    def _counts(self) -> bool:
        """Whether the writer has died just now, and not some steps ago."""
        task = self.world.current
        if task is None or getattr(task.process, "torn", False):
            return False
        task.process.torn = True  # type: ignore[attr-defined]
        return True


class Page(list[Any]):
    """A page of results, the last one."""

    token = None


class Registry:
    """What MLflow's client says of one server; one for all processes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, SimpleNamespace] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.models: dict[str, SimpleNamespace] = {}
        self.versions: dict[tuple[str, str], SimpleNamespace] = {}
        self.numbers: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        """Sends a request of that name."""
        if name.startswith("__"):
            raise AttributeError(name)
        method = type(self).__dict__[f"do_{name}"]

        def sent(*args: Any, **kwargs: Any) -> Any:
            self.world.step()
            if self.world.chance("lost"):
                raise MlflowException("API request failed")
            answer = method(self, *args, **kwargs)
            if self.world.chance("repeated"):
                answer = method(self, *args, **kwargs)
            self.world.step()
            if self.world.chance("answer lost"):
                raise MlflowException("API request failed")
            return answer

        return sent

    def do_get_experiment_by_name(self, name: str) -> Any:
        found = self.experiments.get(name)
        return found and SimpleNamespace(experiment_id=found, lifecycle_stage="active")

    def do_create_experiment(self, name: str, artifact_location: str | None = None) -> str:
        if name in self.experiments:
            raise exists()
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def do_search_runs(self, ids: list[str], query: str, max_results: int) -> list[Any]:
        wanted = query.rpartition(" = ")[2].strip("'")
        return [run for run in reversed(self.runs.values()) if run.tags[f"{TAG}run"] == wanted][:max_results]

    def do_create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        run_id = f"r{len(self.runs)}"
        info = SimpleNamespace(run_id=run_id, artifact_uri=f"mlflow-artifacts:/{run_id}")
        self.runs[run_id] = SimpleNamespace(info=info, tags=dict(tags))
        return self.runs[run_id]

    def do_get_run(self, run_id: str) -> Any:
        return self.runs[run_id]

    def do_set_terminated(self, run_id: str, status: str = "FINISHED") -> None: ...

    def do_create_registered_model(self, name: str) -> Any:
        if name in self.models:
            raise exists()
        self.models[name] = SimpleNamespace(name=name, aliases={}, tags={})
        return self.models[name]

    def do_search_registered_models(self, max_results: int, page_token: str | None = None) -> Page:
        return Page(
            SimpleNamespace(name=m.name, aliases=dict(m.aliases), tags=dict(m.tags)) for m in self.models.values()
        )

    def do_create_model_version(self, name: str, source: str, run_id: str, tags: dict[str, str]) -> Any:
        number = self.numbers[name] = self.numbers.get(name, 0) + 1
        version = SimpleNamespace(name=name, version=str(number), source=source, run_id=run_id, tags=dict(tags))
        self.versions[name, str(number)] = version
        return _copy(version)

    def do_get_model_version(self, name: str, number: str) -> Any:
        if (name, number) not in self.versions:
            raise MlflowException("no version", error_code=9)
        return _copy(self.versions[name, number])

    def do_search_model_versions(self, query: str, max_results: int, page_token: str | None = None) -> Page:
        run = query.rpartition(f"tags.`{TAG}run` = ")[2].strip("'") if TAG in query else None
        found = [v for v in self.versions.values() if run in (None, v.tags.get(f"{TAG}run"))]
        return Page(_copy(version) for version in sorted(found, key=lambda v: -int(v.version)))

    def do_delete_model_version(self, name: str, number: str) -> None:
        if self.versions.pop((name, number), None) is None:
            raise MlflowException("no version", error_code=9)
        aliases = self.models[name].aliases
        for alias in [one for one, at in aliases.items() if at == number]:
            del aliases[alias]

    def do_set_model_version_tag(self, name: str, number: str, key: str, value: str) -> None:
        self.versions[name, number].tags[key] = value

    def do_set_registered_model_alias(self, name: str, alias: str, number: str) -> None:
        self.models[name].aliases[alias] = number

    def do_set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.models[name].tags[key] = value

    def log_artifacts(self, run_id: str, folder: str, path: str) -> None:
        """Sends one file after the other."""
        for file in sorted(Path(folder).iterdir()):
            self.log_artifact(run_id, file.name, file.read_bytes())

    def do_log_artifact(self, run_id: str, name: str, content: bytes) -> None:
        self.files.setdefault(run_id, {})[name] = content


def exists() -> MlflowException:
    error = MlflowException("it exists")
    error.error_code = "RESOURCE_ALREADY_EXISTS"
    return error


def _copy(version: Any) -> Any:
    return SimpleNamespace(**{**vars(version), "tags": json.loads(json.dumps(version.tags))})
