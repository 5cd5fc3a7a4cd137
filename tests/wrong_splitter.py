"""A split of a user's own with a mistake; the workers of the tests find this module beside the tests."""

from typing import Any

import pyarrow as pa

from ray_pipeline.components.splitters._base import Splitter


class Halves(Splitter):
    by: str

    def part_of(self, rows: pa.Table) -> Any:
        return rows["absent"]
