"""The spec's monotone constraints as signs of matrix columns."""

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


def _signs(spec: Spec, encoder: Encoder) -> tuple[int, ...]:
    """A number's first matrix column is its value; a second one says that it is missing."""
    signs = {_feature(column, encoder): SIGNS[direction] for column, direction in spec.monotone.items()}
    return tuple(
        signs.get(encoding.name, 0) if place == 0 else 0
        for encoding in encoder.encoded
        for place in range(len(encoding.columns))
    )


def _feature(column: str, encoder: Encoder) -> str:
    """The full name of the number of that name, or bare name."""
    features = {encoding.name: encoding for encoding in encoder.encoded}
    found = [name for name in features if column in (name, name.rpartition(".")[2])]
    name = column if column in features else found[0] if len(found) == 1 else None
    key = f"monotone.{column}"
    if name is None:
        fix = f"{nearest(column, features)}Known: {listed(tuple(features), 12)}"
        raise DataError(Problem(key=key, stage="search", column=column, found=f"{column!r} is no feature", fix=fix))
    if features[name].kind != "number" or features[name].columns[0] != name:
        found_kind = f"{name!r} is encoded as {features[name].columns[0]!r} of kind {features[name].kind}"
        fix = "constrain numbers only, or remove it"
        raise DataError(Problem(key=key, stage="search", column=name, found=found_kind, fix=fix))
    return name
