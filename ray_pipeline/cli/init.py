"""`init`: a working example, or a spec for tables of the user's own."""

import shutil
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_pipeline.errors import Problem, SpecError, StorageError, listed, nearest
from ray_pipeline.suggestion import command

if TYPE_CHECKING:
    from ray_pipeline.start import Candidate, Draft

EXAMPLES = ("flights", "adult")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An example: flights (three tables) or adult (one table). With --from, the name of the new spec.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR", help="The folder to write. Default: NAME in the working directory.", show_default=False
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="PATH",
        help="A table of your own with the label: CSV, Parquet, Delta or Iceberg; a file, folder, glob or URI.",
        show_default=False,
    ),
]
LabelName = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="COLUMN",
        help="What to predict: a column of that table, or an expression such as 'delay > 15'.",
        show_default=False,
    ),
]
FeatureTables = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="TABLE",
        help="A table to join, in any of these formats, or a Feast repository. May be repeated.",
        show_default=False,
    ),
]


def init(
    name: Name,
    folder: Folder = None,
    from_: From = None,
    label: LabelName = None,
    features: FeatureTables = None,
) -> dict[str, Any]:
    """Write a working example, or with --from a commented spec for your own tables."""
    if from_ is not None:
        return _start(name, folder or Path(name), from_, label, features or ())
    for option, given in (("--label", label), ("--features", features)):
        if given:
            raise SpecError(
                Problem(key=option, found="it needs --from", fix="name the table with the label: --from PATH")
            )
    if name not in EXAMPLES:
        fix = f"{nearest(name, EXAMPLES)}Known: {', '.join(EXAMPLES)}. For a table of your own add --from PATH"
        raise SpecError(Problem(key="NAME", found=f"there is no example {name!r}", fix=fix))
    target = folder or Path(name)
    spec = _new(target / f"{name}.yaml")
    try:
        with as_file(files("ray_pipeline") / "examples" / name) as example:
            shutil.copytree(example, target, dirs_exist_ok=True)
    except OSError as error:
        raise _cannot_write(target, error) from None
    typer.echo(f"{spec} and its tables are written. Now: {command('run', spec)}")
    return {"spec": str(spec)}


def _start(name: str, folder: Path, path: str, label: str | None, features: Sequence[str]) -> dict[str, Any]:
    """Write the spec for the user's own tables."""
    from ray_pipeline.spec.field_types import model_name
    from ray_pipeline.start import propose, text_of

    try:
        model_name(name)
    except ValueError as error:
        raise SpecError(Problem(key="NAME", found=str(error), fix="correct the name")) from None
    spec = _new(folder / f"{name}.yaml")
    ask = _ask if sys.stdin.isatty() and sys.stdout.isatty() else None
    draft = propose(name, path, folder, label=label, features=features, ask=ask)
    text = text_of(draft)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = spec.with_suffix(".yaml.part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(spec)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    for line in _summary(draft):
        typer.echo(line)
    typer.echo(f"{spec} is written, with the reason of each choice. Now: {command('run', spec)}")
    return {
        "spec": str(spec),
        "task": draft.label.task,
        "label": draft.label.text,
        "split": draft.split.by,
        "metric": draft.metric.value,
        "features": len(draft.features),
        "left_out": dict(draft.left_out),
        "gates": [gate.value for gate in draft.gates],
        "problems": [],
    }


def _ask(candidates: "Sequence[Candidate]") -> str:
    """The label that the person picks from the list."""
    import questionary

    choices = [questionary.Choice(title=str(one), value=one.name) for one in candidates]
    answer = questionary.select("Which column is to be predicted?", choices=choices).ask()
    if answer is None:
        raise KeyboardInterrupt
    return str(answer)


def _summary(draft: "Draft") -> list[str]:
    """What was decided, one line each."""
    checks = {name: why.partition(": ")[0] for name, why in draft.left_out.items()}
    out = [f"{name} ({check})" if check.isidentifier() else name for name, check in checks.items()]
    return [
        f"task     {draft.label.task}: {draft.label.why}",
        f"label    {draft.label.text}",
        *(f"join     {join.name} by {', '.join(join.on)}: {join.why}" for join in draft.all_joins),
        f"split    {'; '.join([f'{draft.split.by}: {draft.split.why}', *draft.split.rejected])}",
        f"features {len(draft.features)}{f'; left out: {listed(out)}' if out else ''}",
        *(f"look at  {remark}" for remark in draft.remarks),
        f"gates    {'; '.join(gate.value for gate in draft.gates) or f'none: {draft.no_gate}'}",
    ]


def _new(spec: Path) -> Path:
    """The path of a spec that does not exist yet."""
    if spec.exists():
        raise StorageError(Problem(file=str(spec), found="exists already", fix="name another folder, or remove it"))
    return spec


def _cannot_write(target: Path, error: OSError) -> StorageError:
    found = f"cannot write: {error.strerror or error}"
    return StorageError(Problem(file=str(target), found=found, fix="name a folder that you can write to"))
