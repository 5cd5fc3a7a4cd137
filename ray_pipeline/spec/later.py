"""What the language already says and this version cannot do yet."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ray_pipeline.choice import menu
from ray_pipeline.spec.text import Place

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec


def later(spec: "Spec") -> Iterator[tuple[Place, str, str]]:
    """Place, what was asked for, what to write today."""
    for name, table in spec.features.all.items():
        if table.kind not in menu("sources"):
            yield ("features", name, "kind"), f"the source {table.kind!r}", f"known today: {', '.join(menu('sources'))}"
