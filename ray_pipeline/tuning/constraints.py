"""The spec's monotone constraints and groups of interacting columns, in matrix columns."""

from collections.abc import Mapping

from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.spec import Spec

SIGNS = {"increasing": 1, "decreasing": -1}


def monotone_signs(spec: Spec, encoders: Mapping[str, Encoder]) -> dict[str, tuple[int, ...]]:
    """Return for each encoder 1, -1 or 0 for each matrix column; nothing where the spec has no such constraint.

    Raises
    ------
    DataError
        A column is no feature, or no number.
    """
    return {name: _signs(spec, encoder) for name, encoder in encoders.items()} if spec.monotone else {}


def interaction_groups(spec: Spec, encoders: Mapping[str, Encoder]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return for each encoder the groups of matrix columns that may interact; nothing where the spec has none.

    A column that no group names is a group of its own: XGBoost would use it alone, but LightGBM not at all.

    Raises
    ------
    DataError
        A column is no feature.
    """
    return {name: _groups(spec, encoder) for name, encoder in encoders.items()} if spec.interactions else {}


def _groups(spec: Spec, encoder: Encoder) -> tuple[tuple[int, ...], ...]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(encoding.name for encoding in encoder.encoded for _ in encoding.columns):
        places.setdefault(name, []).append(place)
    groups = [
        [_feature(column, encoder, f"interactions[{number}]") for column in group]
        for number, group in enumerate(spec.interactions)
    ]
    alone = [[name] for name in places if not any(name in group for group in groups)]
    return tuple(tuple(sorted(place for name in group for place in places[name])) for group in (*groups, *alone))


def _signs(spec: Spec, encoder: Encoder) -> tuple[int, ...]:
    """A number's first matrix column is its value; a second one says that it is missing."""
    signs = {_number(column, encoder): SIGNS[direction] for column, direction in spec.monotone.items()}
    return tuple(
        signs.get(encoding.name, 0) if place == 0 else 0
        for encoding in encoder.encoded
        for place in range(len(encoding.columns))
    )


def _feature(column: str, encoder: Encoder, key: str) -> str:
    """The full name of the feature of that name, or bare name."""
    features = [encoding.name for encoding in encoder.encoded]
    found = [name for name in features if column in (name, name.rpartition(".")[2])]
    name = column if column in features else found[0] if len(found) == 1 else None
    if name is None:
        fix = f"{nearest(column, features)}Known: {listed(tuple(features), 12)}"
        raise DataError(Problem(key=key, stage="search", column=column, found=f"{column!r} is no feature", fix=fix))
    return name


def _number(column: str, encoder: Encoder) -> str:
    """The full name of the feature of that name, which must be a number."""
    key = f"monotone.{column}"
    name = _feature(column, encoder, key)
    (encoding,) = (encoding for encoding in encoder.encoded if encoding.name == name)
    if encoding.kind != "number" or encoding.columns[0] != name:
        found_kind = f"{name!r} is encoded as {encoding.columns[0]!r} of kind {encoding.kind}"
        fix = "constrain numbers only, or remove it"
        raise DataError(Problem(key=key, stage="search", column=name, found=found_kind, fix=fix))
    return name
