"""The classes that `docs/extending.md` shows, one of each kind: as files, as a package, and as an installed package."""

import re
import shutil
from pathlib import Path

import ray_pipeline

PACKAGE, INSTALLED = "own_package", "installed_package"
FILES = {
    "sources": "feather",
    "splitters": "every_nth",
    "checks": "few_rows",
    "column_encodings": "text_length",
    "encoders": "standard",
    "models": "least_squares",
    "metrics": "mean_cost",
    "slices": "steps",
    "calibrators": "shrink",
}
CLASSES = {folder: "".join(part.title() for part in word.split("_")) for folder, word in FILES.items()}
DOTTED = {folder: f"{PACKAGE}.{word}.{CLASSES[folder]}" for folder, word in FILES.items()}


def texts() -> dict[str, str]:
    """The text of each file, by its folder."""
    docs = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
    return dict(re.findall(r"^### (\w+)\n\n```python\n(.*?)^```", docs, re.MULTILINE | re.DOTALL))


def write_files(components: Path) -> None:
    """Puts each file into its folder below `components`."""
    for folder, text in texts().items():
        (components / folder).mkdir(parents=True, exist_ok=True)
        (components / folder / f"{FILES[folder]}.py").write_text(text)


def write_package(folder: Path) -> None:
    """Puts all of them into one package, which only trust makes known."""
    _write(folder / PACKAGE, encoder=DOTTED["encoders"])


def write_installed_package(folder: Path) -> None:
    """Puts all of them into one installed package, whose entry points name them `own_<word>`."""
    _write(folder / INSTALLED, encoder=f"own_{FILES['encoders']}")
    about = folder / f"{INSTALLED}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {INSTALLED}\nVersion: 1.0\n")
    groups = (
        f"[ray_pipeline.{kind}]\nown_{word} = {INSTALLED}.{word}:{CLASSES[kind]}\n" for kind, word in FILES.items()
    )
    (about / "entry_points.txt").write_text("\n".join(groups))


def _write(package: Path, encoder: str) -> None:
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for kind, text in texts().items():
        (package / f"{FILES[kind]}.py").write_text(text.replace('"standard"', f'"{encoder}"'))


def copy_of_the_package(folder: Path) -> Path:
    """A copy of `ray_pipeline` in which every folder has one file more."""
    source = Path(ray_pipeline.__file__).parent
    shutil.copytree(source, folder / "ray_pipeline", ignore=shutil.ignore_patterns("__pycache__", "examples"))
    write_files(folder / "ray_pipeline" / "components")
    return folder
