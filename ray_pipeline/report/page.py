"""A page: a template filled in with the one style and the one script that its policy allows, and written whole."""

import base64
import hashlib
import os
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ray_pipeline.report.format import visible

if TYPE_CHECKING:
    from jinja2 import Template


def fill(template: str, /, **values: Any) -> str:
    """The page as text: every value is escaped, what cannot be seen is written out, passwords are blotted."""
    style, script = (_text(part) for part in ("page.css", "sort.js"))
    return _template(template).render(
        style=Markup(style), style_hash=_digest(style), script=Markup(script), script_hash=_digest(script), **values
    )


def write(text: str, target: Path) -> Path:
    """The target, which holds the page whole or is as it was. Raises `OSError` where it cannot be written."""
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
def _template(name: str) -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text(name))


@cache
def _text(name: str) -> str:
    return (package_files("ray_pipeline.report") / name).read_text("utf-8")


def _digest(text: str) -> str:
    """What the policy knows style and script by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
