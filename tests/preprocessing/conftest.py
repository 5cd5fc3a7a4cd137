"""The loans, read, split and profiled once; what a stage makes of them is cheap."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline.data.read import read
from ray_pipeline.data.split import split
from ray_pipeline.data.table import Table
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.profiling.table_profile import profile_table
from ray_pipeline.runtime.session import session
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """What `encode` starts from."""

    spec: Spec
    table: Table
    profile: Profile


@pytest.fixture(scope="package")
def profiled(loans: Path, ray_local: None) -> Profiled:
    """The tables of `tables.py`, with a matrix for trees and one for nets."""
    spec = Spec.from_file(write_spec(loans, "encoded.yaml", model="model: {xgboost => model: {linear: {}, xgboost"))
    with session(Where()):
        table = split(read(spec, Where()), spec)
        return Profiled(spec=spec, table=table, profile=profile_table(table, spec))
