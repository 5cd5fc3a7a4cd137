"""Columns that look otherwise in validation or test than in train."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.checks._base import Check, varying
from ray_pipeline.checks._numbers import LEAST_ROWS
from ray_pipeline.spec import Spec
from ray_pipeline.stages.drift import drift, shapes
from ray_pipeline.stages.profile import Profile
from ray_pipeline.values import PARTS, Finding


class Drift(Check):
    """By the population stability index between the samples of both parts (`stages/drift.py`): low above 0.1, medium above 0.25."""

    fix: ClassVar = "expect the model to be worse there; leave out what only tells the time"

    def look(self, seen: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column: of the part where it drifts most."""
        worst: dict[str, Finding] = {}
        indices: dict[str, float] = {}
        known = shapes(seen.sample, varying(seen))
        for part in PARTS[1:]:
            judged = seen.judged.get(part)
            if judged is None or min(judged.num_rows, seen.sample.num_rows) < LEAST_ROWS:
                continue
            for told in drift(known, {name: shape.count(judged[name]) for name, shape in known.items()}):
                name, index, severity = told["column"], told["index"], told["severity"]
                if severity and index > indices.get(name, 0.0):
                    indices[name] = index
                    found = f"{name} differs between train and {part} by a population stability index of {index:.2f}"
                    worst[name] = self.finding(severity, name, seen.parts[part], found)
        yield from worst.values()
