"""The fingerprint of a spec: what decides the model, with every default, whatever the spec is called."""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray_pipeline.spec.spec import Spec

NOT_IDENTITY = ("name", "register")
IDENTITY_IF_GIVEN = ("monotone", "interactions", "intervals", "ensemble")
"""Keys that are newer than 0.1.0: without them a spec keeps its fingerprint."""
FIT_ON_IDENTITY = {"auto": "train+validation", "train+validation": "always train+validation"}
"""Words of `fit.on` in the fingerprint: a spec without it keeps that of 0.1.0, which always refitted."""


def fingerprint(spec: "Spec") -> str:
    """Return the SHA-256 of the spec as canonical JSON with all defaults, without `name`, `register` and paths of
    queries."""
    identity = {
        key: value
        for key, value in spec.as_data().items()
        if key not in NOT_IDENTITY and (value not in ({}, [], None, "off") or key not in IDENTITY_IF_GIVEN)
    }
    identity["fit"]["on"] = FIT_ON_IDENTITY.get(identity["fit"]["on"], identity["fit"]["on"])
    if identity["split"]["folds"] == "auto":
        del identity["split"]["folds"]
    for name, family in spec.model.items():
        for newer in getattr(family, "newer", ()):
            if family.is_default(newer):  # type: ignore[attr-defined]
                del identity["model"][name][newer]
    for table in identity["features"].values():
        if table.get("kind") == "sql":
            table.pop("path", None)
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
