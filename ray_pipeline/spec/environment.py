"""`${env:NAME}` in paths and URIs; nowhere else."""

import os
import re
from collections.abc import Iterator

from ray_pipeline.errors import Problem
from ray_pipeline.spec.source_map import Place, SourceMap, problem_at

VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")

ALLOWED = (("path",), ("url",))
"""The keys of a table in which a variable may stand."""


def expand(written: str) -> str:
    """The text with each `${env:NAME}` replaced from the environment; raises `ValueError` where a variable is not
    set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise ValueError(
                f"the environment variable {match[1]} is {'empty' if match[1] in os.environ else 'not set'}"
            )
        return found

    return VARIABLE.sub(value, written)


def stray_variables(source: SourceMap) -> list[Problem]:
    """A problem for each `${…}` of a spec that is not in the path of a table."""

    def found_in(value: object, place: Place) -> Iterator[tuple[Place, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from found_in(item, (*place, key))
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                yield from found_in(item, (*place, number))
        elif isinstance(value, str) and "${" in value and not (place[0] == "features" and place[2:] in ALLOWED):
            yield place, value

    rule, fix = "${env:NAME} is allowed in paths and URIs only", "write the value itself"
    return [problem_at(source, place, f"{value!r}: {rule}", fix) for place, value in found_in(source.data, ())]
