"""Whether the libraries of the chosen families are here; told before any work."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ray_pipeline.spec.source_map import Place

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec


def absent(spec: "Spec") -> Iterator[tuple[Place, str, str]]:
    """Place, what is not installed, what would install it."""
    for word, family in spec.model.items():
        library, extra = getattr(family, "library", None), getattr(family, "extra", None)
        if library and find_spec(library) is None:
            fix = f"pip install 'ray-pipeline[{extra}]'" if extra else f"pip install {library}"
            yield ("model", word), f"{word!r} trains with {library}, which is not installed", fix
