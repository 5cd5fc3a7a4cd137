"""Step 2: train, validation and test, each row's part a pure function of the row."""

import pyarrow as pa

from ray_pipeline.data.read import Table
from ray_pipeline.runtime.session import arrow_blocks
from ray_pipeline.spec import Spec


def split(table: Table, spec: Spec) -> Table:
    """The table whose rows know their part; one extra pass only where the splitter must first look at a column of every
    row."""
    splitter, maker = spec.split, table.maker
    looked = splitter.fit_columns()
    if not looked:
        return table.with_splitter(splitter)

    def look(block: pa.Table) -> pa.Table:
        return maker.split_input(maker.prepare(block)[0], splitter).select(list(looked))

    with table.scanning():
        fit_rows = pa.concat_tables(arrow_blocks(table.blocks(), look))
    return table.with_splitter(splitter.fit(fit_rows))
