"""The reference of the run folder and of the exit codes."""

import re
from pathlib import Path

from ray_pipeline import errors
from ray_pipeline.errors import PipelineError
from ray_pipeline.runs.artifacts import write_artifacts

RUNNING = Path(__file__).parents[1] / "running.md"
OTHERS = {0: "Done. For `run`: the model is registered.", 7: "The run is complete, but the gates refused the model."}
"""Exit codes that no error has."""


def run_folder_page() -> str:
    """The page of the run folder."""
    lines = [FOLDER_HEAD, "| file | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in run_files().items()]
    lines += ["", "## Which stage writes what", "", WRITES, "", "| value | files |", "|---|---|"]
    for kind, write in write_artifacts.registry.items():
        if kind is not object:
            lines.append(f"| `{kind.__name__}` | {' '.join((write.__doc__ or '').split())} |")
    return "\n".join([*lines, ""])


def run_files() -> dict[str, str]:
    """The files of a run folder, as docs/running.md lists them."""
    (tree,) = re.findall(r"^runs/<run>/\n(.*?)^```", RUNNING.read_text(), re.MULTILINE | re.DOTALL)
    found = re.findall(r"^  (\S+) +(\S.*)$", tree, re.MULTILINE)
    return {name: meaning.replace("|", "\\|") for name, meaning in found}


def exit_codes_page() -> str:
    """The page of the exit codes."""
    lines = [CODES_HEAD, "| exit code | meaning | error in Python |", "|---|---|---|"]
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PipelineError)]
    rows = {kind.exit_code: (_sentence(kind), f"`{kind.__name__}`") for kind in kinds if kind is not PipelineError}
    rows |= {code: (text, "") for code, text in OTHERS.items()}
    rows[1] = ("A bug of ours. The message names a file with the traceback.", "any other exception")
    lines += [f"| {code} | {text} | {name} |" for code, (text, name) in sorted(rows.items())]
    return "\n".join([*lines, CODES_TAIL])


def _sentence(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


FOLDER_HEAD = """# Reference: the run folder

`runs/<run>/`, where a run's name is the spec's name, the first 8 characters of its fingerprint and a number. All files
are plain: they are read without Ray, MLflow or this package. A file appears whole or not at all, and `manifest.json` is
the last one. In a bucket the same files are objects.
"""
WRITES = "A stage of the pipeline returns a value, and the type of the value decides which files it leaves."
CODES_HEAD = """# Reference: exit codes

Every verb ends with one of these codes. If there are several problems, the lowest code counts.
"""
CODES_TAIL = """
With `--json` the last line of standard output is one JSON object, also after an error. Its `exit` is the code, and
`problems` lists each problem with `file`, `line`, `key`, `stage`, `column`, `rows`, `found` and `fix`; a key that says
nothing is null.
"""
