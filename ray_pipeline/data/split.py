"""Step 2: train, validation and test; the part of a row is a pure function of the row."""

import pyarrow as pa

from ray_pipeline.data.table import Table
from ray_pipeline.spec import Spec


def split(table: Table, spec: Spec, *, with_ray: bool = True) -> Table:
    """The table with a part for each row.

    One extra pass over the rows is made only if the splitter needs a column of every row first: by Ray, or in this
    process.
    """
    splitter, builder = spec.split, table.row_builder
    columns = list(splitter.fit_columns())
    if not columns:
        return table.with_splitter(splitter)

    def fit_rows(block: pa.Table) -> pa.Table:
        rows, _ = builder.prepare(block)
        return builder.split_input(rows, splitter).select(columns)

    with table.locating_errors():
        pieces = table.map_blocks(fit_rows) if with_ray else map(fit_rows, table.tables())
        blocks = list(pieces)
    # Without a row there is nothing to fit on; the profile says why there is none.
    return table.with_splitter(splitter.fit(pa.concat_tables(blocks)) if blocks else splitter)
