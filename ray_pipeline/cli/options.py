"""The arguments and options that several verbs share, and what they name: a cluster file, a registry, a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray_pipeline.registry import Registry
    from ray_pipeline.runs.run_folder import RunFolder
    from ray_pipeline.spec.where import Where

ON_HELP = "The cluster file: its path, or NAME for cluster/NAME.yaml beside the spec."

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
On = Annotated[str | None, typer.Option("--on", metavar="CLUSTER", help=ON_HELP, show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the spec, as in --set search.trials=8. May be repeated.",
        show_default=False,
    ),
]


def _runs_here(begun: str) -> list[str]:
    """The runs in ./runs whose ids begin so, for the shell's completion."""
    return sorted(path.parent.name for path in Path("runs").glob("*/spec.yaml") if path.parent.name.startswith(begun))


RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its id, or the path or URI of its folder.",
        show_default=False,
        autocompletion=_runs_here,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="PATH",
        help="The folder or URI with the runs. Default: the cluster file's storage, else ./runs.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A registered model: name@alias, name/version or models:/...", show_default=False
    ),
]
RegistryUri = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URI",
        help="The registry's MLflow address. Default: the cluster file's registry.",
        show_default=False,
    ),
]


def where_of(on: str | None, beside: Path | None = None) -> "Where":
    """Return the cluster file that `--on` names, looked for beside the spec or in the working directory."""
    from ray_pipeline.spec.where import Where

    return Where.find(on, beside or Path.cwd())


def registry_of(on: str | None, uri: str | None, *, debug: bool) -> "Registry":
    """Return the registry at `--registry`, else that of the cluster file, else the default one."""
    from ray_pipeline.registry import Registry

    where = where_of(on) if on else None
    keys = where.key_files() if where else ()
    if where and not uri:
        uri = where.registry_uri(Path.cwd())
    return Registry(uri, debug=debug, trust_keys=keys) if uri else Registry.default(debug=debug, trust_keys=keys)


def run_folder(run: str, on: str | None = None, storage: str | None = None) -> "RunFolder":
    """Return the folder of a run.

    Raises
    ------
    StorageError
        There is no such run.
    """
    from ray_pipeline.runs.run_folder import RunFolder

    return RunFolder.open(storage or where_of(on).storage_folder(Path.cwd()), run)
