"""A guess at what was meant, so that one mistake does not hide the next: unknown keys take the name they resemble,
wrong values fall back to the default."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray_pipeline.errors import nearest
from ray_pipeline.spec.source_map import Place

Mistake = tuple[Place, str, Sequence[str]]
"""Where, pydantic's kind of mistake, and the keys that would be known there."""
SILENCES = {
    "gates": ("evaluate", "bias", "task"),
    "search": ("task",),
    "evaluate": ("task", "features"),
    "bias": ("task", "features"),
    "split": ("features",),
}
"""Sections whose rules say nothing trustworthy once another section has been guessed at."""


def repaired(data: Any, mistakes: Sequence[Mistake]) -> Any:
    """A copy of the content without its mistakes; what is missing stays missing."""
    for place, kind, known in sorted(mistakes, key=lambda mistake: [str(step) for step in mistake[0]], reverse=True):
        if kind != "missing":
            data = _without(data, place, known if kind == "extra_forbidden" else ())
    return data


def can_judge(section: str, mistakes: Sequence[Mistake]) -> bool:
    """Whether a rule about that section may speak, though the content was guessed at elsewhere."""
    guessed = {str(place[0]) for place, kind, _ in mistakes if place and kind != "extra_forbidden"}
    return section not in guessed and not guessed & set(SILENCES.get(section, ()))


def _without(data: Any, place: Place, known: Sequence[str]) -> Any:
    """The content without the value at the place; under the name that it resembles, where that one is free."""
    if not place:
        return data
    step, rest = place[0], place[1:]
    if isinstance(data, tuple) and isinstance(step, int) and step < len(data):
        inner = (_without(data[step], rest, known),) if rest else ()
        return (*data[:step], *inner, *data[step + 1 :])
    if not isinstance(data, Mapping) or step not in data:
        return data
    if rest:
        return {key: _without(value, rest, known) if key == step else value for key, value in data.items()}
    meant = (
        nearest(str(step), [key for key in known if key not in data]).removeprefix("did you mean '").removesuffix("'? ")
    )
    return {(meant if key == step else key): value for key, value in data.items() if key != step or meant}
