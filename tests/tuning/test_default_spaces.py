"""A spec with all defaults written out, as `resume` and `rerun` read it, searches as the short one does."""

import pytest

from ray_pipeline.components.choice import menu
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.spec import Spec

SPEC = """\
name: short
task: binary
features: {labels: {path: rows, label: y, key: id}}
split: {by: random}
model: FAMILY
"""


@pytest.mark.parametrize("family", [word for word in menu("models") if word != "auto"])
@pytest.mark.parametrize("codes", [(0, 0), (0, 5)], ids=["numbers", "a category"])
@pytest.mark.parametrize("monotone", [{}, {"trees": (1, 0)}], ids=["free", "monotone"])
def test_the_rendered_spec_has_the_same_space(
    family: str, codes: tuple[int, int], monotone: dict[str, tuple[int, ...]]
) -> None:
    short = Spec.from_text(SPEC.replace("FAMILY", family))
    rendered = Spec.from_text(short.render())
    encoder = short.model[family].encoder
    context = TrainingContext(
        task="binary",
        num_classes=2,
        threads=1,
        rows=1_000,
        cardinalities={encoder: codes},
        features={encoder: ("a", "b")},
        codes={encoder: codes},
        monotone=monotone,
    )
    assert rendered.model[family].space(context) == short.model[family].space(context)
