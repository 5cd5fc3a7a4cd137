"""What is stored of a new version: the bundle, rows that prove it, and where it came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.values import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class NewVersion:
    """A version as `Registry.register` takes it.

    Parameters
    ----------
    name
        Name of the registered model and of its MLflow experiment.
    run
        The run's id. A run has one version: registering it again returns the same version.
    alias
        The alias that the version gets unless its scorecard has failed; None for no alias.
    bundle_folder
        The folder that `write_bundle` wrote.
    sample
        Rows before encoding. The version stores at most 256 of them.
    scores
        The training run's scores of `sample`, float64, shape (rows,) or (rows, classes). The stored version must give
        the same scores, bit for bit.
    scorecard
        The content of `scorecard.json`, with `passed`; None if nothing was judged.
    spec_text
        The rendered spec.
    tags
        Tags of the version, such as `fingerprint` and `family`; each is stored as `ray_pipeline.<key>`.
    metrics
        Metrics on the whole test part. Values that are not finite are left out.
    params
        Hyperparameters of the model.
    lineage
        Where the rows came from, with `fingerprint`; stored as `data.json`.
    sources
        The path or URI of each table by its name; each becomes a dataset of MLflow's run.
    spec_file
        The file of the spec, which MLflow shows as the source of the run; None if there is none.
    signing_key
        The file of the private key by which the version is signed; None for no signature.
    files
        Plain files of the run, such as `report.html`; files that do not exist are left out.

    Raises
    ------
    RegistryError
        The name, the run or the alias has a character that MLflow's search, paths or tags could read as something else.
    """

    name: str
    run: str
    alias: str | None
    bundle_folder: Path
    sample: pa.Table
    scores: Vector
    scorecard: Mapping[str, Any] | None
    spec_text: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    lineage: Mapping[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)
    spec_file: str | None = None
    signing_key: Path | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for key, text in (("name", self.name), ("run", self.run), ("register.alias", self.alias)):
            if text is not None and not re.fullmatch(r"[A-Za-z0-9_.\-]{1,200}", text):
                raise RegistryError(
                    Problem(
                        key=key, found=f"{text!r} is no name for the registry", fix="use letters, digits and _ . - only"
                    )
                )

    @property
    def verdict(self) -> str | None:
        """`passed`, `refused`, or None if nothing was judged."""
        return None if self.scorecard is None else "passed" if self.scorecard["passed"] else "refused"
