"""A page: a template with the one style and the one script that its security policy allows, written whole."""

import base64
import hashlib
import os
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ray_pipeline.report.format import printable

TEMPLATES = Environment(
    loader=PackageLoader("ray_pipeline", "report"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=printable,
    trim_blocks=True,
    lstrip_blocks=True,
)


def fill(template: str, /, **values: Any) -> str:
    """Return the page as text; every value passes `printable` and is escaped."""
    style, script = (_text(part) for part in ("page.css", "sort.js"))
    return TEMPLATES.get_template(template).render(
        style=Markup(style), style_hash=_digest(style), script=Markup(script), script_hash=_digest(script), **values
    )


def write(text: str, target: Path) -> Path:
    """Write the page and return its path; after an error the file is as it was before.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    draft = target.with_name(f".{target.stem}.{os.getpid()}.html")
    try:
        with draft.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


@cache
def _text(name: str) -> str:
    return (package_files("ray_pipeline.report") / name).read_text("utf-8")


def _digest(text: str) -> str:
    """The hash by which the security policy allows a style or a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
