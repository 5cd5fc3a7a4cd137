"""Tables as of a moment, by the number of the version that this means: a repeated run reads the same rows."""

from ray_pipeline.data.open_tables import for_each, open_source
from ray_pipeline.spec import Spec
from ray_pipeline.spec.table_fields import with_table_fields
from ray_pipeline.spec.where import Where


def with_fixed_tables(spec: Spec, where: Where) -> Spec:
    """Return the spec with the parameters of each table such that they mean the same rows for ever.

    Only the logs of tables that have parameters are read.

    Raises
    ------
    DataError
        A version does not exist.
    """
    given = [name for name, table in spec.features.all.items() if table.parameters]
    found = for_each(given, lambda name: dict(open_source(spec, where, name).fixed()))
    changed = {name: own for name, own in found.items() if own != spec.features.all[name].parameters}
    return with_table_fields(spec, {name: {"parameters": own} for name, own in changed.items()})
