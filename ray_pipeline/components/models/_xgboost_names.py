"""The names of matrix columns in XGBoost's files, which allow fewer signs than tables do."""

import re
from collections.abc import Sequence


def feature_names(columns: Sequence[str]) -> list[str]:
    """The names of matrix columns as XGBoost allows them: unique, and `_` for each of `[`, `]`, `<` and NUL.

    Examples
    --------
    >>> feature_names(["age", "x[0]", "x_0_"])
    ['age', 'x_0_', 'x_0_ (2)']
    """
    names: dict[str, None] = {}
    for column in columns:
        name = allowed = re.sub(r"[\[\]<\0]", "_", column)
        number = 1
        while name in names:
            number += 1
            name = f"{allowed} ({number})"
        names[name] = None
    return list(names)
