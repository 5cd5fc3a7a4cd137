"""Whether the libraries of the chosen families are installed; checked before any work."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ray_pipeline.components.choice import find, menu
from ray_pipeline.spec.source_map import Place

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec


def installed_families(*needed: str) -> tuple[str, ...]:
    """Name every family whose library is installed and that takes what is needed, such as `takes_monotone`.

    The cheapest comes first: the defaults are the first trials, and a slow one must not keep quick ones waiting.
    """
    families = {name: find("models", name) for name in menu("models")}
    return tuple(
        name
        for name, family in sorted(families.items(), key=lambda one: int(one[1].row_cost))
        if find_spec(family.library) is not None and all(getattr(family, one) for one in needed)
    )


def missing_libraries(spec: "Spec") -> Iterator[tuple[Place, str, str]]:
    """Place, what is not installed, and what installs it."""
    for name, family in spec.model.items():
        library, extra = getattr(family, "library", None), getattr(family, "extra", None)
        if library and find_spec(library) is None:
            fix = f"pip install 'ray-pipeline[{extra}]'" if extra else f"pip install {library}"
            yield ("model", name), f"{name!r} trains with {library}, which is not installed", fix
