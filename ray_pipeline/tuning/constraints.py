"""The spec's constraints, in matrix columns; `data/column_checks.py` has checked the columns that they name."""

from collections.abc import Mapping

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.spec import Spec

SIGNS = {"increasing": 1, "decreasing": -1}


def monotone_signs(spec: Spec, encoders: Mapping[str, Encoder]) -> dict[str, tuple[int, ...]]:
    """Return for each encoder 1, -1 or 0 for each matrix column; nothing where the spec has no such constraint.

    A column that is not encoded, since it does not vary, has no sign.
    """
    return {name: _signs(spec, encoder) for name, encoder in encoders.items()} if spec.monotone else {}


def interaction_groups(spec: Spec, encoders: Mapping[str, Encoder]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return for each encoder the groups of matrix columns that may interact; nothing where the spec has none.

    A column that no group names is a group of its own: XGBoost would use it alone, but LightGBM not at all. A column
    that is not encoded is in no group.
    """
    return {name: _groups(spec, encoder) for name, encoder in encoders.items()} if spec.interactions else {}


def _groups(spec: Spec, encoder: Encoder) -> tuple[tuple[int, ...], ...]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(encoding.name for encoding in encoder.encoded for _ in encoding.columns):
        places.setdefault(name, []).append(place)
    groups = [[_feature(column, list(places)) for column in group] for group in spec.interactions]
    alone = [[name] for name in places if not any(name in group for group in groups)]
    found = (tuple(sorted(place for name in group for place in places.get(name, ()))) for group in (*groups, *alone))
    return tuple(group for group in found if group)


def _signs(spec: Spec, encoder: Encoder) -> tuple[int, ...]:
    """A number's first matrix column is its value; a second one says that it is missing."""
    names = [encoding.name for encoding in encoder.encoded]
    signs = {_feature(column, names): SIGNS[direction] for column, direction in spec.monotone.items()}
    return tuple(
        signs.get(encoding.name, 0) if place == 0 else 0
        for encoding in encoder.encoded
        for place in range(len(encoding.columns))
    )


def _feature(written: str, names: list[str]) -> str:
    """The canonical name of the feature that the user wrote with its table, or by its bare name."""
    written = written.removeprefix("labels.")
    return written if written in names else next((name for name in names if name.endswith(f".{written}")), written)
