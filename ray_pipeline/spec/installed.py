"""Whether the libraries of the chosen families are installed; checked before any work."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ray_pipeline.spec.source_map import Place

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec


def missing_libraries(spec: "Spec") -> Iterator[tuple[Place, str, str]]:
    """Place, what is not installed, and what installs it."""
    for name, family in spec.model.items():
        library, extra = getattr(family, "library", None), getattr(family, "extra", None)
        if library and find_spec(library) is None:
            fix = f"pip install 'ray-pipeline[{extra}]'" if extra else f"pip install {library}"
            yield ("model", name), f"{name!r} trains with {library}, which is not installed", fix
